"""Says on the controller whether a file is a whole backup, as backup.yml makes it. Exit code 1: the reason."""

from __future__ import annotations

import gzip
import sys
import tarfile
import zlib
from pathlib import Path

FOLDERS = ("var/lib/edge", "etc/edge")
NEEDED = {"var/lib/edge/ledger.sqlite", "etc/edge/edge.yaml"}


def fault(path: Path) -> str:
    """Why it is none; empty when it is one. Reads it to its end."""
    names = set()
    try:
        with gzip.open(path) as file:
            with tarfile.open(fileobj=file, mode="r|") as tar:
                for member in tar:
                    names.add(member.name)
            while file.read(1 << 20):  # to the end: what is cut off there shows in the checksum alone
                pass
    except (OSError, EOFError, zlib.error, tarfile.TarError) as err:
        return "there is no such file" if isinstance(err, FileNotFoundError) else f"broken or no .tar.gz: {err}"
    if "MANIFEST.json" in names:
        return "made by `edge backup`: put it back on the board itself, by `edge restore`"
    for name in sorted(names):
        if ".." in name.split("/") or not any(name == folder or name.startswith(f"{folder}/") for folder in FOLDERS):
            return f"no backup of a board: it holds {name}"
    missing = sorted(NEEDED - names)
    return f"no backup of a board: it lacks {', '.join(missing)}" if missing else ""


if __name__ == "__main__":
    reason = fault(Path(sys.argv[1]))
    sys.exit(f"{sys.argv[1]}: {reason}" if reason else 0)
