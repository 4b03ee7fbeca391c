"""Results of a board without a broker: each worker keeps its own until the head has them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import pytest

from edge.config.records import NodeConfig
from edge.core.errors import EdgeError, KeyReused, NotAllowed, SpawnedOtherwise, Unreachable, UsageError
from edge.core.layout import Layout
from edge.model import Attempts, Begun, Failure, FailureCode, JobState, Result, SpawnedJob, SpawnedJobs
from edge.results.commit import Written
from edge.worker.attempt.head import Head, HeadAttempts, HeadResults, HeadSpawned


class Taker:
    """Stands where the head does; remembers what it was handed."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, ...]] = []
        self.results: dict[str, Result] = {}
        self.away = False
        self.refuses: dict[str, EdgeError] = {}  # by job id, what it says to every result
        self.most_bytes = 1 << 20  # of a file
        self.most_args = 10

    def put(self, *path: str, body: bytes | BinaryIO, **_: object) -> None:
        """As the head's."""
        if self.away:
            raise Unreachable("no route to host")
        job_id, what = path[1:3]
        if what == "files" and not isinstance(body, bytes) and os.fstat(body.fileno()).st_size > self.most_bytes:
            raise UsageError(f"the files have more bytes than {self.most_bytes}, the limit")
        if what == "result":
            if job_id in self.refuses:
                raise self.refuses[job_id]
            assert isinstance(body, bytes)
            result = msgspec.json.decode(body, type=Result)
            if len(result.args) > self.most_args:
                raise UsageError("the body has too many bytes")
            self.results[job_id] = result
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


@pytest.fixture
def taker() -> Taker:
    """The head of `results`."""
    return Taker()


@pytest.fixture
def results(tmp_path: Path, taker: Taker) -> HeadResults:
    """Results of a node."""
    return HeadResults(Layout(tmp_path / "state", tmp_path / "run"), cast("Head", taker), "one")


def group(results: HeadResults, *jobs: str, files: dict[str, int] | None = None, **fields: object) -> list[Written]:
    """Results that are to be handed in together, some with a file of so many bytes."""
    members = []
    for job in jobs:
        staging = results.stage(job)
        if job in (files or {}):
            staging.file("out.bin").write_bytes(bytes((files or {})[job]))
        result = Result(job, "echo", JobState.SUCCEEDED, value=1, **fields)  # type: ignore[arg-type]
        members.append(results.write(result, staging))
    return members


@pytest.mark.parametrize("err", [Unreachable("the head: its card is full"), NotAllowed("no such token")])
def test_one_member_that_the_head_does_not_take_now_holds_up_no_other(
    results: HeadResults, taker: Taker, err: Unreachable | NotAllowed
) -> None:
    """Its message stays, those of the others go; handed in again later, it is taken with the same files."""
    taker.refuses["job-2"] = err
    members = group(results, "job-1", "job-2", "job-3", files={"job-2": 10})
    assert results.commit(members) == [None, err, None]
    assert sorted(taker.results) == ["job-1", "job-3"]
    taker.refuses.clear()
    again = results.write(members[1].result, members[1].staging)
    assert results.commit([again]) == [None]
    assert [file.name for file in taker.results["job-2"].files] == ["out.bin"]


def test_one_member_that_the_head_never_takes_ends_alone(results: HeadResults, taker: Taker) -> None:
    """Its files are more than the head allows: the worker ended of it, and the last job of the group got the blame."""
    taker.most_bytes = 100
    members = group(results, "job-1", "job-2", "job-3", files={"job-1": 100, "job-2": 101})
    assert results.commit(members) == [None, None, None]
    states = {job: result.state for job, result in taker.results.items()}
    assert states == {"job-1": JobState.SUCCEEDED, "job-2": JobState.FAILED, "job-3": JobState.SUCCEEDED}
    refused = taker.results["job-2"]
    assert refused.failure == Failure(
        FailureCode.TOO_LARGE,
        "the head refused the result: the files have more bytes than 100, the limit",
    )
    assert (refused.value, refused.files) == (None, ())
    assert [path for path in members[1].shard.rglob("*") if path.is_file()] == []


def test_a_failure_that_the_head_finds_too_large_stays_what_it_was(results: HeadResults, taker: Taker) -> None:
    """The files go; why the job failed is what its submitter needs to know."""
    taker.most_bytes = 100
    failure = Failure(FailureCode.EXCEPTION, "boom", "RuntimeError")
    staging = results.stage("job-1")
    staging.file("out.bin").write_bytes(bytes(101))
    assert results.publish(Result("job-1", "echo", JobState.FAILED, failure=failure), staging)
    assert taker.results["job-1"].failure == failure


def test_arguments_that_the_head_finds_too_large_are_left_out(results: HeadResults, taker: Taker) -> None:
    """From plain Celery anything may come; the job must end all the same."""
    taker.most_args = 2
    assert results.commit(group(results, "job-1", args=[1, 2, 3])) == [None]
    assert (taker.results["job-1"].state, taker.results["job-1"].args) == (JobState.FAILED, [])


def test_a_head_that_goes_away_while_it_refuses_is_asked_again(results: HeadResults, taker: Taker) -> None:
    """Nothing is let go before the head has the failure."""
    taker.most_bytes = 100
    away = Unreachable("no route to host")
    taker.refuses["job-1"] = away
    assert results.commit(group(results, "job-1", files={"job-1": 101})) == [away]
    assert taker.results == {}


class Refuser(Taker):
    """A head that has another job in the place of one."""

    def put(self, *path: str, **_: object) -> None:
        """As the head's."""
        raise KeyReused.reported("spawn, call 1 without a key: another task", key="", job_id="job-9")


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
