"""`make reference`: write the parts of the pages that are generated from the code."""

from __future__ import annotations

import sys

from tests.docs.generated import current
from tests.docs.pages import TOP, all_pages
from tests.docs.reference import PARTS


def main() -> None:
    """Write each page that differs, and print its path."""
    for page in all_pages():
        text = page.read_text()
        made = current(text, PARTS)
        if made != text:
            page.write_text(made)
            sys.stdout.write(f"{page.relative_to(TOP)}\n")


if __name__ == "__main__":
    main()
