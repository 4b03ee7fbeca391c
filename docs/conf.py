"""Builds the pages of this folder by Sphinx, MyST and Furo: `make docs`.

The pages are plain Markdown, so that they read well on a forge, too. What Sphinx wants beyond that is added here while
it reads them: the table of contents of each folder, and the pages that stand at the top of the repository.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

_TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_TOP))
#: Pages whose text stands at the top of the repository, where a forge looks for it.
_FROM_TOP = {
    "explanation/architecture": "ARCHITECTURE.md",
    "project/changelog": "CHANGELOG.md",
    "project/contributing": "CONTRIBUTING.md",
    "project/security": "SECURITY.md",
}
_SECTIONS = ("tutorials", "how-to", "reference", "explanation", "project")

project = "Edge worker"
copyright = "the authors of the edge worker, MIT licence"  # noqa: A001 - the name that Sphinx reads
release = re.findall(r'__version__ = "(.*)"', (_TOP / "edge/__init__.py").read_text())[0]
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
nitpicky = True
smartquotes = False  # `--json` in a sentence is an option, no dash
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Edge worker"
html_static_path: list[str] = []
html_copy_source = False
html_show_sourcelink = False
myst_heading_anchors = 3


def _contents(*entries: str) -> str:
    return "\n".join(["", "```{toctree}", ":hidden:", ":glob:", "", *entries, "```", ""])


def _moved(link: re.Match[str], page: str) -> str:
    """A link of a page at the top of the repository, as it reads from where the page stands in the built pages."""
    target, hash_, anchor = link[1].partition("#")
    here = {name: docname for docname, name in _FROM_TOP.items()}
    docname = here.get(target) or target.removeprefix("docs/").removesuffix(".md")
    ups = "../" * page.count("/")
    return f"]({ups}{docname}.md{hash_}{anchor})"


def _add_contents(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Add what a forge does not need: called by Sphinx with each page that it has read."""
    if docname in _FROM_TOP:
        text = (_TOP / _FROM_TOP[docname]).read_text()
        source[0] = re.sub(r"\]\(((?:docs/)?[\w/.-]+\.md(?:#[\w-]+)?)\)", lambda link: _moved(link, docname), text)
    elif docname == "index":
        source[0] += _contents(*(f"{name}/index" for name in _SECTIONS))
    elif docname == "reference/cli":
        from tests.docs.reference.commands import details  # only for this page

        source[0] += details()
    elif docname.endswith("/index"):
        source[0] += _contents("*")


def setup(app: Sphinx) -> None:
    """Register the hook; called by Sphinx."""
    app.connect("source-read", _add_contents)
