"""Checks that the built pages fetch nothing from another machine: `python -m tests.docs.site build/docs`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

#: Patterns of addresses that a browser fetches by itself. A link that a person may follow is not among them.
_FETCHED = (
    re.compile(
        r"""<(?:script|link|img|iframe|source|audio|video|embed)\b[^>]*?(?:src|href)=["']?(?:https?:)?//[^>]*>"""
    ),
    re.compile(r"""url\(["']?(?:https?:)?//[^)]*\)|@import\s+["'](?:https?:)?//[^;]*"""),
)


def outward(folder: Path) -> list[str]:
    """Return each place where a page or style in `folder` would fetch something from elsewhere, with its file."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".html", ".css", ".svg"}:
            text = path.read_text()
            found += [f"{path}: {each[0]}" for pattern in _FETCHED for each in pattern.finditer(text)]
    return found


def main() -> None:
    """Print each such place and exit with 1, if there is one."""
    (folder,) = sys.argv[1:]
    if lines := outward(Path(folder)):
        sys.exit("\n".join(lines))


if __name__ == "__main__":
    main()
