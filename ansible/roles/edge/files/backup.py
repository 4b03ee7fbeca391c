"""Says on the controller whether a file is a whole backup, as backup.yml makes it. Exit code 1: the reason."""

from __future__ import annotations

import gzip
import sys
import tarfile
import zlib
from pathlib import Path

OLD = "var/lib/edge/ledger.sqlite"
STATE = {"ledger.sqlite", "MANIFEST.json"}
KEYS = "etc/edge/edge.yaml"


def fault(path: Path) -> str:
    """Why it is none; empty when it is one. Reads it to its end."""
    names = set()
    try:
        with gzip.open(path) as file:
            with tarfile.open(fileobj=file, mode="r|", ignore_zeros=True) as tar:  # one archive behind the other
                for member in tar:
                    names.add(member.name)
            while file.read(1 << 20):  # to the end: what is cut off there shows in the checksum alone
                pass
    except (OSError, EOFError, zlib.error, tarfile.TarError) as err:
        return "there is no such file" if isinstance(err, FileNotFoundError) else f"broken or no .tar.gz: {err}"
    if OLD in names:
        return "made by an older version: deploy that one and restore with it, then deploy this one"
    if not names >= STATE:
        return f"no backup of a board: it lacks {', '.join(sorted(STATE - names))}"
    if KEYS not in names:
        return "without the board's keys: made by `edge backup`? `edge restore` on the board itself puts it back"
    return ""


if __name__ == "__main__":
    reason = fault(Path(sys.argv[1]))
    sys.exit(f"{sys.argv[1]}: {reason}" if reason else 0)
