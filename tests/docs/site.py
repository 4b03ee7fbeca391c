"""Looks whether the built pages ask another machine for something: `python -m tests.docs.site build/docs`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

#: What a browser fetches by itself. A link that a person may follow is none of it.
_FETCHED = (
    re.compile(
        r"""<(?:script|link|img|iframe|source|audio|video|embed)\b[^>]*?(?:src|href)=["']?(?:https?:)?//[^>]*>"""
    ),
    re.compile(r"""url\(["']?(?:https?:)?//[^)]*\)|@import\s+["'](?:https?:)?//[^;]*"""),
)


def outward(folder: Path) -> list[str]:
    """Return what the pages and styles in `folder` would fetch from elsewhere, with the file that does."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".html", ".css", ".svg"}:
            text = path.read_text()
            found += [f"{path}: {each[0]}" for pattern in _FETCHED for each in pattern.finditer(text)]
    return found


def main() -> None:
    """Exit with 1 and a line for each, where there is one."""
    (folder,) = sys.argv[1:]
    if lines := outward(Path(folder)):
        sys.exit("\n".join(lines))


if __name__ == "__main__":
    main()
