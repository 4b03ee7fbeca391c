"""The targets of the pages exist: other pages, files of the repository, targets of make."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import TOP, all_pages

_PAGES = all_pages()
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([\w-]+))?\)")
_FILE = re.compile(
    r"`((?:edge|tests|docs|ansible|container|systemd|tasks)/[\w./@-]+\.(?:py|md|yml|yaml|html|css|json|service))`"
)
#: Files that the reader creates; pages may name them although they do not exist.
_OF_READER = {"container/.env", "ansible/inventory.yml"}


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    return {_slug(found[1]) for found in re.finditer(r"^#+ (.*)$", page.read_text(), re.MULTILINE)}


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_each_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    """Each link, resolved relative to the page as a forge does, leads to an existing file and heading."""
    lost = []
    for target, anchor in _LINK.findall(page.read_text()):
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in _anchors(path)):
            lost.append(f"{target}#{anchor}")
    assert lost == []


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_each_file_that_a_page_names_is_there(page: Path) -> None:
    """A path in backticks from the top of the repository exists; capitals stand for a name that the reader chooses."""
    named = {name for name in _FILE.findall(page.read_text()) if name not in _OF_READER}
    assert [name for name in sorted(named) if not re.search(r"[A-Z]{3,}\.", name) and not (TOP / name).exists()] == []


def test_each_page_that_the_code_names_is_there() -> None:
    """Each `docs/...md` that a message, comment or test names exists."""
    lost = []
    for folder in ("edge", "tests", "ansible", "container", "systemd", "tasks"):
        for path in (TOP / folder).rglob("*"):
            if path.suffix in {".py", ".yml", ".yaml", ".service", ".md"} and path.is_file():
                found = re.findall(r"docs/[\w/-]+\.(?:md|json)", path.read_text())
                lost += [f"{path.relative_to(TOP)}: {name}" for name in found if not (TOP / name).exists()]
    assert lost == []


def test_each_page_stands_in_the_index_of_its_folder() -> None:
    """Each index.md lists all pages of its folder, because a forge shows no other table of contents."""
    missing = []
    for index in (TOP / "docs").glob("*/index.md"):
        text = index.read_text()
        missing += [page for page in index.parent.glob("*.md") if page != index and f"({page.name})" not in text]
    assert missing == []


def test_each_target_of_make_that_a_page_names_is_there() -> None:
    """Each `make NAME` in a sentence or a block is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
    named = {
        name for page in _PAGES for name in re.findall(r"(?:`|^)make ([a-z][a-z0-9-]*)", page.read_text(), re.MULTILINE)
    }
    assert named - targets == set()
