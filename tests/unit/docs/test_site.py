"""The check of the built pages finds addresses elsewhere that a browser would fetch by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.site import outward


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script async src="https://example.org/x.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="//example.org/x.css">'),
        ("a.css", "@font-face { src: url(https://example.org/x.woff2) }"),
        ("a.css", '@import "https://example.org/x.css";'),
    ],
)
def test_what_is_fetched_from_elsewhere_is_found(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert len(outward(tmp_path)) == 1


def test_a_link_that_a_person_may_follow_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="https://example.org/">there</a><script src="_static/x.js"></script>')
    assert outward(tmp_path) == []
