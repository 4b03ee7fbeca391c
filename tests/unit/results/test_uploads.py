"""What nodes hand in lies on the head no longer than it is of use."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from edge.core.errors import TornResult
from edge.core.layout import Layout
from edge.model import Artifact, JobState, Result
from edge.results.store import Results
from edge.results.uploads import Uploads

NUMBER = sha256(b"25").hexdigest()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "state", tmp_path / "run")


def hand_in(uploads: Uploads, job_id: str, attempt: str, content: bytes) -> None:
    (uploads.folder(job_id, attempt) / "a.txt").write_bytes(content)
    result = Result(job_id, "echo", JobState.SUCCEEDED, files=(Artifact("a.txt", len(content), NUMBER),))
    uploads.lay(result, attempt)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def test_only_uploads_of_jobs_that_are_over_are_dropped(layout: Layout) -> None:
    """A node that lost its power half-way never asks for that: its job ended elsewhere, its files filled the card."""
    uploads = Uploads(layout)
    for job_id in ("over", "open"):
        hand_in(uploads, job_id, "0123abcd", b"25")
    uploads.folder("over", "0000ffff")
    uploads.tidy(lambda job_id: job_id == "over")
    assert names(layout.uploads) == {"open.0123abcd", "open.0123abcd.json", "a.txt"}


@pytest.mark.parametrize("ended", [True, False])
def test_a_damaged_upload_leaves_nothing_among_the_results(layout: Layout, ended: bool) -> None:
    """Also where another attempt of the job was first: its copy would lie there as long as the result does."""
    uploads, results = Uploads(layout), Results(layout)
    if ended:
        results.publish(Result("job-1", "echo", JobState.SUCCEEDED))
    hand_in(uploads, "job-1", "0123abcd", b"26")
    with pytest.raises(TornResult, match="does not match its SHA-256"):
        uploads.publish("job-1", results)
    assert names(layout.results) - {".staging", "jo"} == ({"job-1.json"} if ended else set())
