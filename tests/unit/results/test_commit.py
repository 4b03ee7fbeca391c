"""A group of results is committed with two syncs; what the disk refuses is refused for the right members."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.config import Config
from edge.core import durable
from edge.model import JobState, Result
from edge.results.commit import Written
from edge.results.store import Results


def result(job_id: str, *, value: object = 1, attempts: int = 1) -> Result:
    return Result(id=job_id, task="t", state=JobState.SUCCEEDED, value=value, attempts=attempts)


@pytest.fixture
def results(config: Config) -> Results:
    return Results(config.layout)


def written(results: Results, *job_ids: str, value: object = 1) -> list[Written]:
    return [results.write(result(job_id, value=value)) for job_id in job_ids]


def with_file(results: Results, job_id: str, content: bytes = b"x") -> Written:
    staging = results.stage(job_id)
    staging.file("out.bin").write_bytes(content)
    return results.write(result(job_id), staging)


def recorded(calls: list[str], name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """`real`, each call of it noted as `name`."""

    def call(*args: Any) -> Any:
        calls.append(name)
        return real(*args)

    return call


def test_a_group_costs_two_syncs(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many members it has; a warm store syncs nothing else."""
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
    """A member whose job has a result already is discarded, with its files; the others are not touched by that."""
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
    """Two copies of a message may end in one group: the first member stands."""
    assert results.commit([*written(results, "ab-1", value=1), *written(results, "ab-1", value=2)]) == [None, None]
    stands = results.read("ab-1")
    assert stands is not None
    assert stands.value == 1


def test_a_removed_job_stays_removed(results: Results) -> None:
    """A tombstone wins over a member that ended late."""
    results.publish(result("ab-1"))
    results.remove("ab-1")
    assert results.commit(written(results, "ab-1", "ab-2")) == [None, None]
    assert results.removed("ab-1")
    assert results.read("ab-1") is None


def failing(times: int, monkeypatch: pytest.MonkeyPatch, *, after: int = 0) -> None:
    """Let `syncfs` fail: `times` calls, after the first `after` ones."""
    real, calls = durable._syncfs, [0]

    def syncfs(fd: int) -> int:
        calls[0] += 1
        if after < calls[0] <= after + times:
            raise OSError(errno.EIO, "the disk refuses")
        return real(fd)

    monkeypatch.setattr(durable, "_syncfs", syncfs)


def test_a_failed_first_sync_is_tried_member_by_member(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members without files are written anew and published alone; one with files is refused: they may be gone."""
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
    """The kernel tells of a failed write once. Another worker may have been told: the sync of this group succeeds."""
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
    """What is linked stands, is synced alone, and keeps its files."""
    failing(1, monkeypatch, after=1)
    members = [with_file(results, "ab-1", b"content"), *written(results, "cd-2")]
    assert results.commit(members) == [None, None]
    stands = results.read("ab-1")
    assert stands is not None
    assert results.artifact(stands, "out.bin").read_bytes() == b"content"


def test_a_member_that_is_refused_alone_is_named(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """One member's name cannot be made: it alone gets the error, nothing of it is announced."""
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
    """The number may be another file's by now: the group is then made durable member by member, nothing is lost."""
    members = written(results, "ab-1", "ab-2")
    group = results._group
    assert group is not None
    os.close(group._fd)
    other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
    try:
        assert other == group._fd
        assert results.commit(members) == [None, None]
        os.fstat(other)  # and the other file is not closed
    finally:
        os.close(other)
    assert results.has("ab-1")


def test_a_closed_descriptor_that_nobody_took_is_noticed(results: Results) -> None:
    """A body that closes all it finds costs the group its two syncs, and no member of it its result."""
    members = written(results, "ab-1", "ab-2")
    group = results._group
    assert group is not None
    os.close(group._fd)
    assert results.commit(members) == [None, None]
    assert [results.read(job_id) is not None for job_id in ("ab-1", "ab-2")] == [True, True]


def test_names_that_a_failed_sync_left_are_durable_before_they_are_announced(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next sync of each folder is what lets its job be acknowledged."""
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


def test_nothing_is_announced_before_the_second_sync(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """Order of one commit: all content, all names, then the announcements."""
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
    """Its name is the promise that its files are there, after a cut as well."""
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
