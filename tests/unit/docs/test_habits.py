"""What the house asks of prose, docstrings and commits holds."""

from __future__ import annotations

from tests.docs import habits
from tests.docs.pages import TOP


def test_no_line_of_prose_is_too_long() -> None:
    """100 columns; tables, code and what cannot be broken may be longer."""
    assert habits.long_lines() == []


def test_no_subject_of_a_commit_is_too_long() -> None:
    """72 characters, so that no list of commits cuts it."""
    assert habits.long_subjects() == []


def test_each_module_begins_with_a_full_claim() -> None:
    """Its docstring says what it is or does, as a sentence."""
    assert habits.without_claim() == []


def test_the_readme_is_short() -> None:
    """What is longer is a page."""
    assert len((TOP / "README.md").read_text().splitlines()) <= 150


def test_the_pictures_are_small() -> None:
    """A clone is for the code."""
    for path in (TOP / "docs/images").iterdir():
        assert path.stat().st_size < 60_000, path


def test_the_glossary_is_one_table_in_order() -> None:
    """30 to 50 terms, sorted, none twice."""
    page = (TOP / "docs/explanation/glossary.md").read_text()
    terms = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")][1:]
    assert 30 <= len(terms) <= 50
    assert terms == sorted(set(terms))
