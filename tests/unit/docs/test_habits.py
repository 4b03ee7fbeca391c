"""Prose, docstrings and commits follow the project's rules."""

from __future__ import annotations

from tests.docs import habits
from tests.docs.pages import TOP


def test_no_line_of_prose_is_too_long() -> None:
    """Lines have at most 100 columns; tables, code and lines that cannot be wrapped may be longer."""
    assert habits.long_lines() == []


def test_no_subject_of_a_commit_is_too_long() -> None:
    """Subjects have at most 72 characters, so that no list of commits cuts them."""
    assert habits.long_subjects() == []


def test_each_module_begins_with_a_full_claim() -> None:
    """The docstring of each module begins with a sentence that says what it is or does."""
    assert habits.without_claim() == []


def test_the_readme_is_short() -> None:
    """README.md has at most 150 lines; longer text belongs to a page."""
    assert len((TOP / "README.md").read_text().splitlines()) <= 150


def test_the_pictures_are_small() -> None:
    """Each picture is smaller than 60 kB, so that a clone stays small."""
    for path in (TOP / "docs/images").iterdir():
        assert path.stat().st_size < 60_000, path


def test_the_glossary_is_one_table_in_order() -> None:
    """The glossary has 30 to 50 terms, sorted, none twice."""
    page = (TOP / "docs/explanation/glossary.md").read_text()
    terms = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")][1:]
    assert 30 <= len(terms) <= 50
    assert terms == sorted(set(terms))
