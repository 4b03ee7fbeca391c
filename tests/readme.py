"""The examples in README.md, by the mark that stands over them."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(kind: str) -> list[str]:
    """The code under each `<!-- test: KIND -->`."""
    return re.findall(rf"<!-- test: {re.escape(kind)} -->\n```\w+\n(.*?)```", README, re.DOTALL)
