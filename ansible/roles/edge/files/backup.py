"""Checks on the controller that a file is a complete backup by backup.yml; otherwise prints why and exits with 1."""

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
    """Return why the file is not a complete backup, or an empty text; the file is read to its end."""
    names = set()
    try:
        with gzip.open(path) as file:
            with tarfile.open(fileobj=file, mode="r|", ignore_zeros=True) as tar:  # two archives, one after the other
                for member in tar:
                    names.add(member.name)
            while file.read(1 << 20):  # to the end, because only the checksum shows that a last part is missing
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
