"""Files of spawned jobs are removed after their parent has ended and the ledger has been copied twice since."""

from __future__ import annotations

from pathlib import Path

from edge.config import Config
from edge.gateway.background.spawned import OldSpawned, new_jobs
from edge.model import JobState, Power, Result, SpawnedJob, SpawnedJobs
from edge.results.spawned import SpawnedFiles
from edge.results.store import Results

SPAWNED = SpawnedJobs("p", (SpawnedJob("echo", ["a"], power=Power.ALWAYS, call=1), SpawnedJob("echo", key="k")), "me")


def test_files_of_ended_parents_go(tmp_path: Path) -> None:
    """Files of ended parents are removed at the second copy, but never files that were not taken."""
    layout = Config(root=tmp_path).layout
    files, old = SpawnedFiles(layout), OldSpawned(layout)
    files.write(SPAWNED, number=0)
    (name,) = files.waiting()
    files.take(name)
    for _ in range(3):
        old.forget()
    assert files.taken() == [name]
    Results(layout).publish(Result("p", "t", JobState.SUCCEEDED))
    files.write(SPAWNED, number=1)
    old.forget()
    assert files.taken() == [name]
    old.forget()
    assert (files.taken(), len(files.waiting())) == ([], 1)


def test_jobs_come_with_their_parents_submitter() -> None:
    """A spawned job gets the submitter of its file, else of its parent's row, else `amqp`, and keeps its settings."""
    one, two = new_jobs(SPAWNED)
    assert (one.id, one.submitter, one.power, one.key) == (SPAWNED.jobs[0].id("p"), "me", Power.ALWAYS, "")
    assert (two.submitter, two.key, two.fingerprint) == ("me", "k", SPAWNED.jobs[1].fingerprint)
    plain = SpawnedJobs("p", SPAWNED.jobs)
    assert {job.submitter for job in new_jobs(plain)} == {"amqp"}
    assert {job.submitter for job in new_jobs(plain, submitter="you")} == {"you"}
