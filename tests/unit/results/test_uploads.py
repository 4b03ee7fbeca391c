"""Results from nodes stay on the head only until they are published or not needed."""

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
    """A node that lost its power never removes its upload.

    Its job ended elsewhere, and the files would fill the card.
    """
    uploads = Uploads(layout)
    for job_id in ("over", "open"):
        hand_in(uploads, job_id, "0123abcd", b"25")
    uploads.folder("over", "0000ffff")
    uploads.tidy(lambda job_id: job_id == "over")
    assert names(layout.uploads) == {"open.0123abcd", "open.0123abcd.json", "a.txt"}


@pytest.mark.parametrize("ended", [True, False])
def test_a_damaged_upload_leaves_nothing_among_the_results(layout: Layout, ended: bool) -> None:
    """No copy stays, even if another attempt of the job was first."""
    uploads, results = Uploads(layout), Results(layout)
    if ended:
        results.publish(Result("job-1", "echo", JobState.SUCCEEDED))
    hand_in(uploads, "job-1", "0123abcd", b"26")
    with pytest.raises(TornResult, match="does not match its SHA-256"):
        uploads.publish("job-1", results)
    assert names(layout.results) - {".staging", "jo"} == ({"job-1.json"} if ended else set())
