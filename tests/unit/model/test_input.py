"""An input file of a job has a hash, and a name that can be the name of a file."""

from __future__ import annotations

import msgspec
import pytest

from edge.model import InputFile, Submission

HASH = "0" * 64


@pytest.mark.parametrize("name", [".", "..", ".profile", "a/b", "a\nb", "a\x00", "", "x" * 256, "ä" * 128])
def test_a_name_that_is_no_plain_file_name_is_refused(name: str) -> None:
    """A command may get a link with this name in its folder."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"sha256": HASH, "name": name}, InputFile)


@pytest.mark.parametrize("name", ["clip.mov", "Urlaub in Zürich (1).mov", "-i", "x" * 255])
def test_a_name_as_people_give_it_is_taken(name: str) -> None:
    """Files come from cameras and phones, with many forms of names."""
    assert msgspec.convert({"sha256": HASH, "name": name}, InputFile).name == name


@pytest.mark.parametrize("sha256", ["", "0" * 63, "0" * 65, "A" * 64, "../" * 21 + "a"])
def test_a_hash_is_written_one_way(sha256: str) -> None:
    """The hash is the name of the stored file, so only one form is allowed."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"sha256": sha256}, InputFile)


def test_a_job_names_its_files_by_identifiers() -> None:
    """A command refers to these names in its template."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"task": "t", "files": {"my clip": {"sha256": HASH}}}, Submission)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"task": "t", "files": {f"f{n}": {"sha256": HASH} for n in range(17)}}, Submission)
