"""The option `--file NAME=PATH` is checked before anything is sent to the board."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli.jobs.files import named
from edge.core.errors import UsageError


def test_a_file_has_a_name_and_a_path(tmp_path: Path) -> None:
    """NAME and PATH are split at the first equals sign, so PATH may contain one."""
    path = tmp_path / "a=b"
    path.touch()
    assert named([f"clip={path}", f"other={path}"]) == {"clip": path, "other": path}


@pytest.mark.parametrize("text", ["clip", "=x", "clip=", "1=x", "my clip=x"])
def test_what_is_no_name_and_path_is_refused(text: str) -> None:
    """The error says that NAME=PATH is expected."""
    with pytest.raises(UsageError, match="expected NAME=PATH"):
        named([text])


def test_a_file_that_is_not_there_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    """A missing file and a repeated name are refused."""
    with pytest.raises(UsageError, match="there is no file"):
        named([f"clip={tmp_path / 'none'}"])
    path = tmp_path / "a"
    path.touch()
    with pytest.raises(UsageError, match="given twice"):
        named([f"clip={path}", f"clip={path}"])
