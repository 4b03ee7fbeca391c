"""The ledger knows the input files of its jobs, and which of them are still needed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from edge.core.layout import Layout
from edge.ledger.recovery import rebuild
from edge.ledger.rows import NewJob
from edge.ledger.schedules import ScheduleRow
from edge.ledger.writer import LedgerWriter
from edge.model import InputFile, JobState, Power, Result, Schedule

A, B, C = (InputFile(digit * 64, f"{digit}.mov", 7) for digit in "abc")


def new(job_id: str, **files: InputFile) -> NewJob:
    """Return a job with these input files."""
    return NewJob(job_id, "t", [], {}, Power.NORMAL, 0, None, "me", b"", files=files)


def test_a_row_keeps_the_files_of_its_job(tmp_path: Path) -> None:
    """Names and sizes are kept over a restart. Most jobs have no files."""
    with closing(LedgerWriter.open(tmp_path / "l")) as ledger, ledger.transaction(durable=True):
        ledger.add(new("one", clip=A, sound=B), now=1.0)
        ledger.add(new("two"), now=1.0)
    with closing(LedgerWriter.open(tmp_path / "l")) as ledger:
        assert ledger.reader.get("one").inputs() == {"clip": A, "sound": B}
        assert ledger.reader.get("two").files is None


def test_a_file_is_wanted_until_the_last_of_its_jobs_has_ended(tmp_path: Path) -> None:
    """Two jobs may have the same file."""
    with closing(LedgerWriter.open(tmp_path / "l")) as ledger, ledger.transaction(durable=True):
        ledger.add(new("one", clip=A, sound=B), now=1.0)
        ledger.add(new("two", clip=A), now=1.0)
        assert ledger.reader.wanted_files() == {A.sha256, B.sha256}
        ledger.finish(Result("one", "t", JobState.SUCCEEDED, finished_at=2.0), size_bytes=1)
        assert ledger.reader.wanted_files() == {A.sha256}
        ledger.finish(Result("two", "t", JobState.FAILED, finished_at=2.0), size_bytes=1)
        assert ledger.reader.wanted_files() == set()


def test_a_schedule_wants_the_files_of_its_jobs(tmp_path: Path) -> None:
    """Between two slots no job is open, but the next one needs the file."""
    with closing(LedgerWriter.open(tmp_path / "l")) as ledger, ledger.transaction(durable=True):
        asked = Schedule("t", every_s=60, files={"clip": C})
        ledger.schedules.put(ScheduleRow("nightly", "u", asked, "me", "UTC", None, None, 1.0))
        assert ledger.reader.wanted_files() == {C.sha256}


@pytest.mark.parametrize("copied", [False, True])
def test_a_rebuilt_ledger_has_the_files_of_its_jobs(tmp_path: Path, *, copied: bool) -> None:
    """They are read from the broken file, or from its copy."""
    layout = Layout(tmp_path, tmp_path / "run")
    with closing(LedgerWriter.open(layout.ledger)) as ledger, ledger.transaction(durable=True):
        ledger.add(new("one", clip=A), now=1.0)
    if copied:
        layout.ledger.rename(layout.ledger_copy)
    else:
        content = layout.ledger.read_bytes()
        layout.ledger.write_bytes(content.replace(b"CREATE INDEX job_files", b"CREATE INDEX jox_files", 1))
        layout.ledger_copy.write_bytes(b"")
        with layout.ledger.open("r+b") as file:
            file.seek(28)  # the size of the file in pages
            file.write(b"\xff\xff\xff\xff")
    rebuild.rebuild(layout)
    with closing(LedgerWriter.open(layout.ledger)) as ledger:
        assert ledger.reader.get("one").inputs() == {"clip": A}
