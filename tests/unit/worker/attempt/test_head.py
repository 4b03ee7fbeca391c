"""Results of a board without a broker: each worker keeps its own until the head has them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from edge.config.records import NodeConfig
from edge.core.errors import KeyReused, SpawnedOtherwise, Unreachable
from edge.core.layout import Layout
from edge.model import Attempts, Begun, JobState, Result, SpawnedJob, SpawnedJobs
from edge.worker.attempt.head import Head, HeadAttempts, HeadResults, HeadSpawned


class Taker:
    """Stands where the head does; remembers what it was handed."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, ...]] = []
        self.away = False

    def put(self, *path: str, **_: object) -> None:
        """As the head's."""
        if self.away:
            raise Unreachable("no route to host")
        self.taken.append(path)


def test_a_worker_that_starts_leaves_the_files_of_another_alone(tmp_path: Path) -> None:
    """They were gone from its result, in silence; what it left itself, a crash ago, goes."""
    layout, head = Layout(tmp_path / "state", tmp_path / "run"), Taker()
    first, second = (HeadResults(layout, cast("Head", head), name) for name in ("one", "two"))
    staging, stale = first.stage("job-1"), second.stage("job-2")
    staging.file("digits.txt").write_text("3628800")
    stale.file("digits.txt").write_text("36")
    second.recover()
    first.publish(Result("job-1", "factorial", JobState.SUCCEEDED), staging)
    assert head.taken == [("jobs", "job-1", "files", "digits.txt"), ("jobs", "job-1", "result")]
    assert [path.name for path in layout.results.rglob("*") if path.is_file()] == []


def test_a_failure_that_the_head_was_not_told_of_is_none_yet(tmp_path: Path) -> None:
    """After a power cut the job's message was taken for one whose retry is known, and let go: nobody knew of it."""
    layout, head = Layout(tmp_path / "state", tmp_path / "run"), Taker()
    store = HeadAttempts(layout, cast("Head", head))
    failed = Attempts("job-1", deliveries=1, failures=1, last_error="boom")
    head.away = True
    with pytest.raises(Unreachable):
        store.write(failed)
    assert store.read("job-1") is None
    head.away = False
    store.write(failed)
    assert head.taken == [("jobs", "job-1", "attempts")]
    assert store.read("job-1") == failed


def test_what_the_head_knows_is_noted_without_it(tmp_path: Path) -> None:
    """The start of a further attempt, and that it ran for a while, concern this board alone."""
    layout, head = Layout(tmp_path / "state", tmp_path / "run"), Taker()
    store = HeadAttempts(layout, cast("Head", head))
    store.write(Attempts("job-1", failures=1))
    head.away = True
    begun = Attempts("job-1", failures=1, begun=Begun("boot"))
    store.write(begun)
    assert store.read("job-1") == begun


class Refuser(Taker):
    """A head that has another job in the place of one."""

    def put(self, *path: str, **_: object) -> None:
        """As the head's."""
        raise KeyReused.told("spawn, call 1 without a key: another task", key="", job_id="job-9")


def test_what_a_body_spawns_goes_to_the_head(tmp_path: Path) -> None:
    """A head that is away is an error of the disk; one that knows another job there says so in the body."""
    token = tmp_path / "token"
    token.write_text("secret")
    store = HeadSpawned(NodeConfig(head_url="http://127.0.0.1:1", token_file=token))
    spawned = SpawnedJobs("job-1", (SpawnedJob("echo", ["a"], call=1),))
    with pytest.raises(Unreachable):
        store.write(spawned, number=0)
    head = Taker()
    store._head = cast("Head", head)
    store.write(spawned, number=0)
    assert (head.taken, store.known("job-1")) == ([("jobs", "job-1", "spawned")], [])
    store._head = cast("Head", Refuser())
    with pytest.raises(SpawnedOtherwise, match="call 1 without a key: another task") as caught:
        store.write(spawned, number=0)
    assert caught.value.job_id == "job-9"
