"""Spawned jobs are checked, written in groups, durable before anything uses them, and the same in each attempt."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.config import Config
from edge.core.errors import BadArguments, KeyReused, SpawnedOtherwise, UnknownTask, UsageError
from edge.model import SpawnedJobs, spawned_job_id
from edge.results.spawned import SpawnedFiles
from edge.worker import Job, app, task
from edge.worker.api import spawner as spawners
from edge.worker.api.checkpoint import Checkpoint
from edge.worker.api.spawner import HandOver, Spawner

PARENT = "3f-parent"
FULL = OSError(28, "No space left on device")


@task(name="spawned_echo", power="always", retries=2, time_limit_s=9)
def echo(text: str, times: int = 1) -> str:
    """Return the text."""
    return text * times


class Taken:
    """A receiver of spawned jobs in memory. It refuses jobs while `fault` is set."""

    def __init__(self) -> None:
        self.files: list[SpawnedJobs] = []
        self.fault: Exception | None = None

    def known(self, parent: str) -> list[SpawnedJobs]:
        """Return the jobs of earlier attempts, as the folder does."""
        return [each for each in self.files if each.id == parent]

    def write(self, spawned: SpawnedJobs, *, number: int) -> None:
        """Add the jobs, as the folder does."""
        if self.fault is not None:
            raise self.fault
        assert number == len(self.files)
        self.files.append(spawned)

    @property
    def texts(self) -> list[Any]:
        """The first argument of each job, file by file."""
        return [job.args[0] for each in self.files for job in each.jobs]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    monkeypatch.setattr(spawners, "WAIT_S", 3600.0)  # nothing goes by itself
    return Taken()


def spawner(taken: HandOver, *, max_bytes: int = 1000) -> Spawner:
    """Return a spawner as another attempt gets it."""
    kinds: Callable[[], Any] = lambda: {"spawned_echo": app.tasks["spawned_echo"]}  # noqa: E731
    return Spawner(PARENT, submitter="me", kinds=kinds, hand_over=taken, max_bytes=max_bytes)


def call(made: Spawner, text: object, *, key: str | None = None) -> str:
    return made.spawn(echo, [text], {}, key=key)


def test_a_job_has_the_settings_of_its_kind_and_its_parents_submitter(taken: Taken) -> None:
    """The task is passed as an object or a name. Power, retries and time limit are those of `@task`."""
    made = spawner(taken)
    first, second = call(made, "a"), made.spawn("spawned_echo", [], {"text": "b"}, key="k")
    made.flush()
    (file,) = taken.files
    one, two = file.jobs
    assert (file.id, file.submitter, one.power, one.retries, one.time_limit_s) == (PARENT, "me", "always", 2, 9)
    assert (first, second) == (spawned_job_id(PARENT, call=1), spawned_job_id(PARENT, key="k"))
    assert (one.id(PARENT), two.id(PARENT)) == made.children == (first, second)


def test_jobs_share_a_file(taken: Taken) -> None:
    """A file is full with 256 jobs. The others are written at the end of the body."""
    made = spawner(taken, max_bytes=10_000)
    for number in range(600):
        call(made, str(number))
    assert [len(file.jobs) for file in taken.files] == [256, 256]
    made.settle()
    assert taken.texts == [str(number) for number in range(600)]
    made.settle()
    assert len(taken.files) == 3


def test_large_jobs_fill_a_file_sooner(taken: Taken) -> None:
    """A file of one megabyte is full."""
    made = spawner(taken, max_bytes=1 << 20)
    for _ in range(3):
        call(made, "x" * 500_000)
    assert [len(file.jobs) for file in taken.files] == [3]


def test_what_waits_goes_by_itself(tmp_path: Path) -> None:
    """A body that spawns and then computes for an hour does not delay its jobs."""
    config = Config(root=tmp_path)
    made = spawner(SpawnedFiles(config.layout))
    call(made, "a")
    deadline = time.monotonic() + 20
    while not SpawnedFiles(config.layout).waiting():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_key_of_a_subclass_of_str_is_handed_in_as_text(tmp_path: Path) -> None:
    """A key that cannot be encoded would end the worker when the file is written."""
    folder = Config(root=tmp_path).layout
    made = spawner(SpawnedFiles(folder))
    job_id = made.spawn(echo, ["a"], {}, key=type("Text", (str,), {})("k"))
    made.flush()
    assert [job.key for each in SpawnedFiles(folder).known(PARENT) for job in each.jobs] == ["k"]
    assert job_id == spawned_job_id(PARENT, key="k")


def test_a_text_that_no_file_can_hold_is_refused_at_the_call(taken: Taken) -> None:
    """UTF-8 cannot represent a lone surrogate."""
    made = spawner(taken)
    with pytest.raises(BadArguments, match="not plain JSON"):
        call(made, "\udc80")
    made.flush()
    assert taken.files == []


def test_a_forked_process_spawns_nothing(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    """The jobs of a child would be lost with its memory."""
    made = spawner(taken)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(UsageError, match="forked"):
        call(made, "a")


def test_another_attempt_makes_nothing_twice(taken: Taken) -> None:
    """It gets the same ids, writes only the new jobs, and names all children."""
    first = spawner(taken)
    ids = [call(first, "a"), call(first, "b", key="k")]
    first.flush()
    second = spawner(taken)
    assert [call(second, "b", key="k"), call(second, "a"), call(second, "c")][:2] == ids[::-1]
    second.settle()
    assert taken.texts == ["a", "b", "c"]
    assert second.children[:2] == tuple(ids)
    assert len(second.children) == 3


@pytest.mark.parametrize("key", [None, "k"])
def test_another_job_in_the_same_place_is_refused(taken: Taken, key: str | None) -> None:
    """In the same attempt a key must not name another job. In a later attempt the ordinal of a call must not either."""
    first = spawner(taken)
    call(first, "a", key=key)
    if key is not None:
        assert call(first, "a", key=key) == spawned_job_id(PARENT, key=key)
        with pytest.raises(KeyReused, match="spawn, key 'k': it was used before for another task or other arguments"):
            call(first, "b", key=key)
    first.flush()
    with pytest.raises(SpawnedOtherwise, match="spawn, key 'k'" if key else "spawn, call 1 without a key"):
        call(spawner(taken), "b", key=key)


@pytest.mark.parametrize(
    ("args", "kwargs", "sentence"),
    [
        ([], {}, "argument 'text' is missing"),
        ([1], {}, "argument 'text' = 1: Expected str, got int"),
        (["a", 1, 2], {}, "3 arguments given by place"),
        (["a"], {"other": 1}, "unknown argument 'other'"),
        ([float("inf")], {}, "not plain JSON"),
        ([b"bytes"], {}, "not plain JSON"),
        ([{1: "a", "1": "b"}], {}, "two keys of a dict become '1'"),
        (["x" * 2000], {}, "2004 bytes|more than gateway.max_body_bytes = 1000"),
    ],
)
def test_arguments_are_checked_at_the_call(
    taken: Taken, args: list[Any], kwargs: dict[str, Any], sentence: str
) -> None:
    """A call that failed does not count, so the next call has its ordinal."""
    made = spawner(taken)
    with pytest.raises(BadArguments, match=sentence):
        made.spawn(echo, args, kwargs, key=None)
    assert call(made, "a") == spawned_job_id(PARENT, call=1)


def test_deep_arguments_are_refused(taken: Taken) -> None:
    """The limit is that of submitted jobs."""
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(BadArguments, match="nested too deeply"):
        spawner(taken).spawn(echo, [deep], {}, key=None)


def test_unknown_kinds_and_odd_tasks_are_refused(taken: Taken) -> None:
    """A name that no module registers, an object that is not a task, and a text that is not a key are refused."""
    made = spawner(taken)
    with pytest.raises(UnknownTask, match="unknown task 'nobody': known are spawned_echo"):
        made.spawn("nobody", [], {}, key=None)
    with pytest.raises(UsageError, match="int is not a task"):
        made.spawn(3, [], {}, key=None)
    for key in ("", "\n", "x" * 256, " a"):
        with pytest.raises(UsageError, match="1 to 255 printable"):
            call(made, "a", key=key)


def test_the_number_of_children_is_bounded(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number is limited, because the result names each child."""
    monkeypatch.setattr(spawners, "MOST_CHILDREN", 2)
    made = spawner(taken)
    call(made, "a")
    call(made, "b", key="b")
    call(made, "b", key="b")
    with pytest.raises(UsageError, match="may spawn 2 jobs"):
        call(made, "c")


def test_a_disk_that_refuses_ends_no_body(taken: Taken) -> None:
    """The spawned jobs wait for the disk, and the parent's result waits for them."""
    made = spawner(taken, max_bytes=10_000)
    taken.fault = FULL
    for number in range(600):
        call(made, str(number))
    made.settle()
    with pytest.raises(OSError, match="No space"):
        made.flush()
    taken.fault = None
    made.flush()
    assert [len(file.jobs) for file in taken.files] == [256, 256, 88]
    assert taken.texts == [str(number) for number in range(600)]


def test_memory_for_what_waits_is_bounded(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the limit is reached, `spawn` raises the disk error."""
    monkeypatch.setattr(spawners, "_WAITING_BYTES", 2 << 20)
    made = spawner(taken, max_bytes=1 << 20)
    taken.fault = FULL
    with pytest.raises(OSError, match="No space"):
        for _ in range(10):
            call(made, "x" * 900_000)


def test_a_head_that_knows_another_job_ends_the_body(taken: Taken) -> None:
    """The head answers after the call. So the next call raises, or the end of the body does."""
    made = spawner(taken)
    call(made, "a")
    taken.fault = SpawnedOtherwise("", 1, "id")
    made.flush()
    for again in (lambda: call(made, "b"), made.settle):
        with pytest.raises(SpawnedOtherwise):
            again()


def test_a_thread_that_outlives_its_body_spawns_nothing(taken: Taken) -> None:
    """The job's result would not name the child."""
    made = spawner(taken)
    made.settle()
    with pytest.raises(UsageError, match="the job has ended"):
        call(made, "a")


def test_threads_may_spawn(taken: Taken) -> None:
    """With keys each job is spawned once."""
    made = spawner(taken)

    def work() -> None:
        for number in range(200):
            call(made, str(number), key=str(number))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made.settle()
    assert sorted(map(int, taken.texts)) == list(range(200))
    assert len(set(made.children)) == 200


def test_progress_is_saved_after_what_was_spawned(tmp_path: Path, taken: Taken) -> None:
    """A checkpoint implies that the jobs before it are spawned. It is not written until they are durable."""
    made = spawner(taken)
    checkpoint = Checkpoint(tmp_path / "c.json", every_s=0.0, before=made.saved)
    job = Job("a", folder=tmp_path, files=tmp_path.joinpath, checkpoint=checkpoint, spawner=made)
    job.spawn(echo, "a")
    taken.fault = FULL
    job.checkpoint(1)
    assert checkpoint.read() is None
    taken.fault = None
    job.checkpoint(2)
    assert (checkpoint.read(), taken.texts) == (2, ["a"])


def test_a_job_that_cannot_spawn_says_so(tmp_path: Path) -> None:
    """A `Job` made without a spawner raises UsageError."""
    job = Job("a", folder=tmp_path, files=tmp_path.joinpath, checkpoint=Checkpoint(tmp_path / "c.json"))
    with pytest.raises(UsageError, match="cannot spawn"):
        job.spawn(echo, "a")


def test_a_local_job_notes_what_it_would_spawn(tmp_path: Path) -> None:
    """For unit tests of task files. The task may have positional arguments named `task` and `key`."""
    job = Job.local(tmp_path)
    made = [job.spawn(echo, "a", times=2), job.spawn("any", 1, key="k")]
    with pytest.raises(BadArguments, match="'text' is missing"):
        job.spawn(echo)
    lines = [json.loads(line) for line in (tmp_path / "spawned.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == made == [spawned_job_id("local", call=1), spawned_job_id("local", key="k")]
    assert (lines[0]["task"], lines[0]["args"], lines[0]["kwargs"]) == ("spawned_echo", ["a"], {"times": 2})
