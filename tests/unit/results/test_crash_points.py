"""A power cut before or after any system call of a durable write leaves a state that `durable` and `Results` allow."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from edge.core import durable
from edge.core.layout import Layout
from edge.model import Attempts, JobState, Result, SpawnedJob, SpawnedJobs
from edge.results.attempts import AttemptsStore
from edge.results.spawned import SpawnedFiles
from edge.results.store import Results
from edge.results.sync_choice import Way
from edge.worker.api.checkpoint import Checkpoint
from tests.unit.results.crash_states import Died, Disk, Point

ID = "ab-1"
RESULT = Result(id=ID, task="t", state=JobState.SUCCEEDED, value=7)
OTHER = Result(id=ID, task="t", state=JobState.SUCCEEDED, value=8, attempts=2)


class Crash:
    """Cuts the power at every point in `points`, and boots from a new folder for every state that may be left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self.boots = 0

    def each(self, points: list[Point], check: Callable[[Layout, str], None]) -> None:
        """Call `check(layout, where)` for every state of every point."""
        for number, point in enumerate(points):
            for state in point.states():
                self._number += 1
                root = self._folder / str(self._number)
                root.mkdir(parents=True)
                state.write(root)
                check(
                    Layout(root, root / "run"), f"after call {number}: {point.call}; left {[n for n, _ in state.tree]}"
                )
                shutil.rmtree(root)  # the start of a worker makes 256 folders in each
                self.boots += 1


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Disk:
    root = tmp_path / "disk"
    root.mkdir()
    return Disk(root, way=getattr(request, "param", Way.TOGETHER))


#: A result alone is never committed TOGETHER: for it that is the same as APART.
EACH_WAY = pytest.mark.parametrize("disk", list(Way), indirect=True)
APART_OR_ORDERED = pytest.mark.parametrize("disk", [Way.APART, Way.ORDERED], indirect=True)


@pytest.fixture
def crash(tmp_path: Path) -> Crash:
    return Crash(tmp_path / "boots")


def layout_of(disk: Disk) -> Layout:
    return Layout(disk.root, disk.root / "run")


def store(disk: Disk) -> Results:
    return Results(layout_of(disk), choice=disk.choice)


def write(path: Path, data: bytes) -> None:
    """Write an artifact as the body of a job does, without an fsync."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, data)
    os.close(fd)


def calls(disk: Disk, do: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run `do`, and return the number of its system calls."""
    with disk.watched(monkeypatch):
        do()
    return len(disk.points) - 1


def test_publish(disk: Disk, crash: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any cut a published file is complete or missing.

    It exists after `publish` returned or `temp` was removed.
    """
    path, temp = disk.root / "file", disk.root / "staging" / "file.tmp"
    with disk.watched(monkeypatch):
        temp.parent.mkdir()
        disk.settle()
        durable.publish(path, b"content", temp=temp)
    vanished = next(n for n, point in enumerate(disk.points) if point.call.startswith("unlink staging/file.tmp"))

    def check(layout: Layout, where: str) -> None:
        file = layout.root / "file"
        assert not file.exists() or file.read_bytes() == b"content", where

    def check_there(layout: Layout, where: str) -> None:
        assert (layout.root / "file").read_bytes() == b"content", where

    crash.each(disk.points, check)
    crash.each(disk.points[vanished:], check_there)
    assert crash.boots > 20


def test_replace(disk: Disk, crash: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any cut a replaced file has the old or the new content, and the new one after `replace` returned."""
    path = disk.root / "file"
    with disk.watched(monkeypatch):
        durable.replace(path, b"old")
        disk.settle()
        durable.replace(path, b"new!")

    def check(layout: Layout, where: str) -> None:
        assert (layout.root / "file").read_bytes() in (b"old", b"new!"), where

    def check_new(layout: Layout, where: str) -> None:
        assert (layout.root / "file").read_bytes() == b"new!", where

    crash.each(disk.points, check)
    crash.each(disk.points[-1:], check_new)


def test_a_checkpoint_is_the_old_or_the_new(disk: Disk, crash: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cut during `save` leaves a readable checkpoint, and the new one after `save` returned."""
    checkpoint = Checkpoint(layout_of(disk).checkpoints / f"{ID}.json")
    with disk.watched(monkeypatch):
        checkpoint.save({"n": 1}, now=True)
        first = len(disk.points) - 1
        checkpoint.save({"n": 2}, now=True)

    def read(layout: Layout) -> object:
        return Checkpoint(layout.checkpoints / f"{ID}.json").read()

    def check(layout: Layout, where: str) -> None:
        assert read(layout) in ({"n": 1}, {"n": 2}), where

    def check_new(layout: Layout, where: str) -> None:
        assert read(layout) == {"n": 2}, where

    crash.each(disk.points[first:], check)
    crash.each(disk.points[-1:], check_new)


def test_spawned_jobs_are_handed_over_whole(disk: Disk, crash: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any cut a file is complete or missing.

    It exists after `write` returned, and no move to `taken` loses it.
    """
    files = SpawnedFiles(layout_of(disk))
    spawned = SpawnedJobs(ID, (SpawnedJob("t", [1], call=1), SpawnedJob("t", [2], key="k")))
    with disk.watched(monkeypatch):
        files.write(spawned, number=0)
        written = len(disk.points) - 1
        (name,) = files.waiting()
        files.take(name)

    def check(layout: Layout, where: str) -> None:
        assert SpawnedFiles(layout).known(ID) in ([], [spawned]), where

    def check_there(layout: Layout, where: str) -> None:
        found = SpawnedFiles(layout)
        assert found.known(ID) == [spawned], where
        assert len(found.waiting()) + len(found.taken()) == 1, where

    crash.each(disk.points, check)
    crash.each(disk.points[written:], check_there)
    assert crash.boots > 10


def test_attempts_are_the_old_or_the_new(disk: Disk, crash: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of a redelivery is durable before the body runs again."""
    store = AttemptsStore(layout_of(disk))
    with disk.watched(monkeypatch):
        store.write(Attempts(ID, deliveries=1))
        first = len(disk.points) - 1
        store.write(Attempts(ID, deliveries=2))

    def check(layout: Layout, where: str) -> None:
        read = AttemptsStore(layout).read(ID)
        assert read is not None, where
        assert read.deliveries in (1, 2), where

    crash.each(disk.points[first:], check)


def publish(results: Results, result: Result = RESULT) -> None:
    """Publish as the worker does: two artifacts, then the JSON."""
    staging = results.stage(ID)
    write(staging.file("a.txt"), b"artifact a")
    write(staging.file("b.txt"), b"artifact b")
    results.publish(result, staging)


def check_result(layout: Layout, where: str) -> Result | None:
    """Check that there is no result, or a complete one with all its files."""
    results = Results(layout)
    result = results.read(ID)
    if result is not None:
        for file in result.files:
            content = results.artifact(result, file.name).read_bytes()
            assert content == f"artifact {file.name[0]}".encode(), where
        assert len(result.files) == 2, where
    return result


@APART_OR_ORDERED
def test_a_result_is_whole_with_its_files_or_absent(disk: Disk, crash: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any cut there is no result, or a result with all artifacts. It exists after `publish` returned."""
    with disk.watched(monkeypatch):
        publish(store(disk))
    vanished = next(n for n, point in enumerate(disk.points) if point.call.startswith(f"unlink results/.staging/{ID}"))

    def check(layout: Layout, where: str) -> None:
        check_result(layout, where)

    def check_there(layout: Layout, where: str) -> None:
        assert check_result(layout, where) is not None, where

    crash.each(disk.points, check)
    crash.each(disk.points[vanished:], check_there)


@APART_OR_ORDERED
def test_the_attempt_after_the_cut_ends_with_one_result(
    disk: Disk, crash: Crash, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any cut the next attempt publishes. An existing result stands, and no temporary file stays."""
    with disk.watched(monkeypatch):
        publish(store(disk))

    def check(layout: Layout, where: str) -> None:
        before = check_result(layout, where)
        results = Results(layout, choice=disk.choice)
        results.recover()
        if not results.has(ID):
            publish(results, OTHER)
        after = check_result(layout, where)
        assert after is not None, where
        assert before is None or after == before, where
        assert list(layout.staging.iterdir()) == [], where
        folders = [path.name for path in results.path(ID).parent.iterdir() if path.is_dir()]
        assert folders == [after.folder], where

    crash.each(disk.points, check)


@APART_OR_ORDERED
def test_a_removed_result_never_comes_back(disk: Disk, crash: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any cut of a removal the job has a result or a tombstone. After the removal it keeps the tombstone."""
    results = store(disk)
    with disk.watched(monkeypatch):
        publish(results)
        disk.settle()
        results.remove(ID)

    def check(layout: Layout, where: str) -> None:
        assert Results(layout).has(ID), where
        if not Results(layout).removed(ID):
            assert check_result(layout, where) == results_before, where

    def check_gone(layout: Layout, where: str) -> None:
        assert Results(layout).removed(ID), where
        assert Results(layout).read(ID) is None, where

    def check_finished(layout: Layout, where: str) -> None:
        """Check that the next worker completes an interrupted removal, and that its remains never count as a result."""
        removed = Results(layout).removed(ID)
        assert not removed or list(Results(layout).ids()) == [], where
        Results(layout).recover()
        if removed:
            assert [path.name for path in Results(layout).path(ID).parent.iterdir()] == [f"{ID}.gone"], where

    told = next(n for n, point in enumerate(disk.points) if point.call == f"unlink results/.staging/{ID}.gone")
    results_before = None
    first = disk.points[0].states()
    assert len(first) == 1, "settled: one state only"

    def remember(layout: Layout, where: str) -> None:
        nonlocal results_before
        results_before = check_result(layout, where)

    crash.each(disk.points[:1], remember)
    assert results_before is not None
    crash.each(disk.points, check)
    crash.each(disk.points[told:], check_gone)
    crash.each(disk.points, check_finished)


def test_a_half_removed_result_does_not_outlive_its_tombstone(
    disk: Disk, crash: Crash, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker completes the removal, and the next one removes the old tombstone. No cut brings the result back."""
    monkeypatch.setattr(Results, "_lay_out", lambda _: None)  # the 256 folders are not part of this test
    layout = layout_of(disk)
    with disk.watched(monkeypatch):
        results = Results(layout)
        publish(results)
        durable.publish(results.path(ID).with_suffix(".gone"), b"", temp=layout.staging / f"{ID}.tombstone")
        disk.settle()
        Results(layout).recover()
        Results(layout).recover(forget_before=4e9)
    assert any(point.call == f"unlink results/ab/{ID}.gone" for point in disk.points)

    def check(layout: Layout, where: str) -> None:
        again = Results(layout)
        assert again.removed(ID) or again.read(ID) is None, where

    crash.each(disk.points, check)


def each_death(
    disk: Disk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    first: Callable[[Results], object],
    second: Callable[[Results], object],
    check: Callable[[Layout, str], None],
) -> None:
    """Kill a worker at each system call of `first`, run `second` in the next worker, and then cut the power."""
    count = calls(disk, lambda: first(store(disk)), monkeypatch)
    boots = 0
    for die_at in range(count):
        root = tmp_path / f"died-{die_at}"
        root.mkdir()
        again = Disk(root, way=disk.way, die_at=die_at)
        with again.watched(monkeypatch), suppress(Died):
            first(store(again))
        again.die_at = -1
        with again.watched(monkeypatch):
            results = store(again)
            results.recover()
            second(results)

        def check_boot(layout: Layout, where: str, die_at: int = die_at) -> None:
            check(layout, f"died before call {die_at}; {where}")

        crash = Crash(tmp_path / f"boots-{die_at}")
        crash.each(again.points[-1:], check_boot)
        boots += crash.boots
    assert boots >= count


@APART_OR_ORDERED
def test_a_worker_killed_before_a_cut(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker dies at any system call, the next one publishes, and the power goes: the result exists.

    A folder or a link that a dead process made is visible, but not durable.
    """

    def next_worker(results: Results) -> None:
        if results.has(ID):
            results.announce(ID)
        else:
            publish(results, OTHER)

    def check(layout: Layout, where: str) -> None:
        assert check_result(layout, where) is not None, where

    each_death(disk, tmp_path, monkeypatch, first=publish, second=next_worker, check=check)


GROUP = ("ab-1", "cd-2")


def publish_group(results: Results, value: int = 7) -> None:
    """Publish as the worker does: two jobs end, the first one with a file, and one commit serves both."""
    staging = results.stage(GROUP[0])
    write(staging.file("a.txt"), b"artifact a")
    members = [
        results.write(Result(id=GROUP[0], task="t", state=JobState.SUCCEEDED, value=value), staging),
        results.write(Result(id=GROUP[1], task="t", state=JobState.SUCCEEDED, value=value)),
    ]
    assert results.commit(members) == [None, None]


def check_group(layout: Layout, where: str) -> dict[str, Result]:
    """Check that each job of the group has no result, or a complete one with its file."""
    results = Results(layout)
    found = {job_id: result for job_id in GROUP if (result := results.read(job_id)) is not None}
    for result in found.values():
        contents = [results.artifact(result, file.name).read_bytes() for file in result.files]
        assert contents == ([b"artifact a"] if result.id == GROUP[0] else []), where
    return found


@EACH_WAY
def test_a_group_is_whole_or_absent_member_by_member(disk: Disk, crash: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any cut each member is complete or missing. All exist once the first one is announced."""
    results = store(disk)
    with disk.watched(monkeypatch):
        for job_id in GROUP:
            results.stage(job_id)  # makes the folders
        results.announce(GROUP[0])
        disk.settle()
        publish_group(results)
    announced = next(n for n, p in enumerate(disk.points) if p.call.startswith(f"unlink results/.staging/{GROUP[0]}"))

    def check(layout: Layout, where: str) -> None:
        check_group(layout, where)

    def check_there(layout: Layout, where: str) -> None:
        assert set(check_group(layout, where)) == set(GROUP), where

    crash.each(disk.points, check)
    crash.each(disk.points[announced:], check_there)
    assert crash.boots > 100


@EACH_WAY
def test_after_a_cut_in_a_group_each_job_ends_once(disk: Disk, crash: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any cut of a group the next worker gives each job its one result, and no temporary file stays."""
    results = store(disk)
    with disk.watched(monkeypatch):
        for job_id in GROUP:
            results.stage(job_id)
        results.announce(GROUP[0])
        disk.settle()
        publish_group(results)

    def check(layout: Layout, where: str) -> None:
        before = check_group(layout, where)
        again = Results(layout, choice=disk.choice)
        again.recover()
        for job_id in GROUP:
            if not again.has(job_id):
                staging = again.stage(job_id)
                if job_id == GROUP[0]:
                    write(staging.file("a.txt"), b"artifact a")
                again.publish(Result(id=job_id, task="t", state=JobState.SUCCEEDED, value=8, attempts=2), staging)
        after = check_group(layout, where)
        assert set(after) == set(GROUP), where
        assert all(after[job_id] == result for job_id, result in before.items()), where
        assert list(layout.staging.iterdir()) == [], where

    crash.each(disk.points, check)


@pytest.mark.parametrize("disk", [Way.TOGETHER, Way.ORDERED], indirect=True)
def test_a_worker_killed_inside_a_group(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker dies at any system call of a group, the next one publishes, and the power goes: both results exist."""

    def next_worker(results: Results) -> None:
        for job_id in GROUP:
            if results.has(job_id):
                results.announce(job_id)
        if not all(results.has(job_id) for job_id in GROUP):
            publish_group(results, 8)

    def check(layout: Layout, where: str) -> None:
        assert set(check_group(layout, where)) == set(GROUP), where

    each_death(disk, tmp_path, monkeypatch, first=publish_group, second=next_worker, check=check)
