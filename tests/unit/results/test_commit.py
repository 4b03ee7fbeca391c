"""A group of results is committed with two syncs. An error of the disk is reported for the right members."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.config import Config
from edge.core import durable, ordered
from edge.model import JobState, Result
from edge.results.commit import Written
from edge.results.store import Results
from edge.results.sync_choice import SLOW_S, SyncChoice


def result(job_id: str, *, value: object = 1, attempts: int = 1) -> Result:
    return Result(id=job_id, task="t", state=JobState.SUCCEEDED, value=value, attempts=attempts)


@pytest.fixture
def results(config: Config) -> Results:
    """Results on a file system that is not known to keep the order of changes."""
    return Results(config.layout, choice=SyncChoice(keeps_order=lambda _: False))


@pytest.fixture
def ordered_results(config: Config) -> Results:
    """Results on a file system that keeps the order of changes."""
    return Results(config.layout, choice=SyncChoice(keeps_order=lambda _: True))


def written(results: Results, *job_ids: str, value: object = 1) -> list[Written]:
    return [results.write(result(job_id, value=value)) for job_id in job_ids]


def with_file(results: Results, job_id: str, content: bytes = b"x") -> Written:
    staging = results.stage(job_id)
    staging.file("out.bin").write_bytes(content)
    return results.write(result(job_id), staging)


def recorded(calls: list[str], name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `real` so that each call is recorded as `name`."""

    def call(*args: Any) -> Any:
        calls.append(name)
        return real(*args)

    return call


def test_a_group_costs_two_syncs(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of any size costs two syncs if the folders exist."""
    results.recover()
    calls: list[str] = []
    monkeypatch.setattr(durable, "_syncfs", recorded(calls, "syncfs", durable._syncfs))
    monkeypatch.setattr(os, "fsync", recorded(calls, "fsync", os.fsync))
    members = [*written(results, *(f"{n:02x}-job" for n in range(31))), with_file(results, "aa-file")]
    assert results.commit(members) == [None] * 32
    assert calls == ["syncfs", "syncfs"]
    assert all(results.read(member.result.id) is not None for member in members)
    assert list(members[0].shard.parent.joinpath(".staging").iterdir()) == []


def test_the_first_result_stands(results: Results) -> None:
    """A member whose job has a result already is discarded with its files. The others are not affected."""
    results.publish(result("ab-1", value="first"))
    late = with_file(results, "ab-1")
    assert results.commit([late, *written(results, "ab-2")]) == [None, None]
    first, other = results.read("ab-1"), results.read("ab-2")
    assert first is not None
    assert first.value == "first"
    assert other is not None
    assert late.staging is not None
    assert not late.staging.folder.exists()


def test_two_members_of_one_job_leave_one_result(results: Results) -> None:
    """Two copies of a message may end in one group. The first member stands."""
    assert results.commit([*written(results, "ab-1", value=1), *written(results, "ab-1", value=2)]) == [None, None]
    stands = results.read("ab-1")
    assert stands is not None
    assert stands.value == 1


def test_a_removed_job_stays_removed(results: Results) -> None:
    """A tombstone wins over a member that ends later."""
    results.publish(result("ab-1"))
    results.remove("ab-1")
    assert results.commit(written(results, "ab-1", "ab-2")) == [None, None]
    assert results.removed("ab-1")
    assert results.read("ab-1") is None


def failing(times: int, monkeypatch: pytest.MonkeyPatch, *, after: int = 0) -> None:
    """Make `syncfs` fail `times` times, after the first `after` calls."""
    real, calls = durable._syncfs, [0]

    def syncfs(fd: int) -> int:
        calls[0] += 1
        if after < calls[0] <= after + times:
            raise OSError(errno.EIO, "the disk refuses")
        return real(fd)

    monkeypatch.setattr(durable, "_syncfs", syncfs)


def test_a_failed_first_sync_is_tried_member_by_member(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members without files are written again and published alone.

    A member with files is refused, because the files may be lost.
    """
    failing(1, monkeypatch)
    members = [*written(results, "ab-1", "ab-2"), with_file(results, "ab-3")]
    outcomes = results.commit(members)
    assert outcomes[:2] == [None, None]
    assert isinstance(outcomes[2], OSError)
    assert results.read("ab-1") is not None
    assert results.read("ab-3") is None
    assert not Path(members[2].private).exists()


def test_a_file_that_was_lost_before_the_group_began_is_refused(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel reports a failed write once. If another worker got the report, the sync of this group succeeds."""
    real = durable.check_written

    def lost(fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").readlink().name == "out.bin":
            raise OSError(errno.EIO, "the disk refuses")
        real(fd)

    members = written(results, "ab-1")
    monkeypatch.setattr(durable, "check_written", lost)
    with pytest.raises(OSError, match="the disk refuses"):
        with_file(results, "ab-2")
    assert results.commit(members) == [None]
    assert results.read("ab-2") is None


def test_a_failed_second_sync_keeps_the_names(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """A linked result stays with its files, and is synced alone."""
    failing(1, monkeypatch, after=1)
    members = [with_file(results, "ab-1", b"content"), *written(results, "cd-2")]
    assert results.commit(members) == [None, None]
    stands = results.read("ab-1")
    assert stands is not None
    assert results.artifact(stands, "out.bin").read_bytes() == b"content"


def test_a_member_that_is_refused_alone_is_named(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of one member cannot be made. Only this member gets the error, and it is not announced."""
    real = durable.link

    def link(source: Path | str, path: Path | str) -> bool:
        if "ab-1" in str(path):
            raise OSError(errno.ENOSPC, "no space left on device")
        return real(source, path)

    monkeypatch.setattr(durable, "link", link)
    outcomes = results.commit(written(results, "ab-1", "ab-2"))
    assert isinstance(outcomes[0], OSError)
    assert outcomes[0].errno == errno.ENOSPC
    assert outcomes[1] is None
    assert not results.has("ab-1")
    assert results.has("ab-2")


def test_a_descriptor_that_a_job_closed_is_noticed(results: Results, tmp_path: Path) -> None:
    """Its number may belong to another file by then.

    The group is made durable member by member, and nothing is lost.
    """
    members = written(results, "ab-1", "ab-2")
    group = results._group
    assert group is not None
    os.close(group._fd)
    other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
    try:
        assert other == group._fd
        assert results.commit(members) == [None, None]
        os.fstat(other)  # the other file is not closed
    finally:
        os.close(other)
    assert results.has("ab-1")


def test_a_closed_descriptor_that_nobody_took_is_noticed(results: Results) -> None:
    """A body that closes all descriptors costs the group its two syncs, but no member loses its result."""
    members = written(results, "ab-1", "ab-2")
    group = results._group
    assert group is not None
    os.close(group._fd)
    assert results.commit(members) == [None, None]
    assert [results.read(job_id) is not None for job_id in ("ab-1", "ab-2")] == [True, True]


def test_names_that_a_failed_sync_left_are_durable_before_they_are_announced(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only after the next sync of its folder a job may be acknowledged."""
    members = written(results, "ab-1", "cd-2")
    failing(1, monkeypatch, after=1)
    calls: list[str] = []
    real_fsync, real_unlink = os.fsync, os.unlink

    def fsync(fd: int) -> None:
        calls.append(f"sync {Path(f'/proc/self/fd/{fd}').readlink().name}")
        real_fsync(fd)

    def unlink(path: Path | str) -> None:
        calls.append(f"announce {Path(path).name}")
        real_unlink(path)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "unlink", unlink)
    assert results.commit(members) == [None, None]
    for shard, job_id in (("ab", "ab-1"), ("cd", "cd-2")):
        assert calls.index(f"sync {shard}") < calls.index(f"announce {job_id}.json")


def test_nothing_is_synced_by_a_number_that_is_another_files(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync of another file's file system succeeds, but says nothing about the results."""
    members = written(results, "ab-1", "ab-2")
    group = results._group
    assert group is not None
    os.close(group._fd)
    other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
    synced: list[str] = []
    monkeypatch.setattr(durable, "_syncfs", recorded(synced, "sync", durable._syncfs))
    try:
        assert results.commit(members) == [None, None]
    finally:
        os.close(other)
    assert synced == []


def test_nothing_is_announced_before_the_second_sync(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of a commit is: all content, all names, then the announcements."""
    members = written(results, "ab-1", "cd-2")
    calls: list[str] = []
    monkeypatch.setattr(durable, "_syncfs", recorded(calls, "sync", durable._syncfs))
    monkeypatch.setattr(os, "link", recorded(calls, "link", os.link))
    monkeypatch.setattr(os, "unlink", recorded(calls, "announce", os.unlink))
    results.commit(members)
    assert calls == ["sync", "link", "link", "sync", "announce", "announce"]


def test_a_result_alone_is_committed_after_its_files_and_their_folder(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a result promises that its files exist, even after a cut."""
    results.recover()
    member = with_file(results, "aa-file")
    assert member.staging is not None
    synced: list[tuple[str, bool]] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append((str(Path(f"/proc/self/fd/{fd}").readlink()), Path(member.path).exists()))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    assert results.commit([member]) == [None]
    folder = member.staging.folder
    for path in (folder / "out.bin", folder, member.shard):
        assert (str(path), False) in synced
    assert (str(member.shard), True) in synced


def watch_commit(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Record every call that makes something durable, links or announces."""
    for module, function, name in (
        (durable, "_syncfs", "syncfs"),
        (ordered, "_sync_file_range", "write out"),
        (os, "fsync", "fsync"),
        (os, "link", "link"),
        (os, "unlink", "announce"),
    ):
        monkeypatch.setattr(module, function, recorded(calls, name, getattr(module, function)))


def test_an_ordered_disk_needs_one_commit(ordered_results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """All content is passed on and awaited. Then follow the names, the sync of their folder and the announcements."""
    ordered_results.recover()
    members = written(ordered_results, "ab-1", "ab-2")
    calls: list[str] = []
    watch_commit(calls, monkeypatch)
    assert ordered_results.commit(members) == [None, None]
    assert calls == [*["write out"] * 4, "link", "link", "fsync", "announce", "announce"]


def test_an_ordered_disk_gets_the_files_of_a_job_too(ordered_results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """Artifacts are part of the result, and its name promises them."""
    ordered_results.recover()
    member = with_file(ordered_results, "aa-file")
    paths: list[str] = []
    real = ordered._sync_file_range

    def sync_file_range(fd: int, flags: int) -> int:
        paths.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        return real(fd, flags)

    monkeypatch.setattr(ordered, "_sync_file_range", sync_file_range)
    assert ordered_results.commit([member]) == [None]
    assert member.staging is not None
    assert {str(member.staging.folder / "out.bin"), member.private} == set(paths)


def test_content_that_cannot_be_written_out_is_refused(
    ordered_results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result gets no name, because its bytes may be lost."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, "the disk refuses")

    members = written(ordered_results, "ab-1", "ab-2")
    monkeypatch.setattr(ordered, "_sync_file_range", refuse)
    assert all(isinstance(outcome, OSError) for outcome in ordered_results.commit(members))
    assert not ordered_results.has("ab-1")


def test_after_a_slow_sync_each_result_is_synced_alone(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes of another program made the sync slow, and a sync of one file does not wait for them."""
    choice = SyncChoice(keeps_order=lambda _: False)
    results = Results(config.layout, choice=choice)
    results.recover()
    choice.took(SLOW_S + 0.1)
    members = written(results, "ab-1", "ab-2")
    calls: list[str] = []
    watch_commit(calls, monkeypatch)
    assert results.commit(members) == [None, None]
    assert calls == ["fsync", "fsync", "link", "link", "fsync", "announce", "announce"]
