"""The volatile disk loses only unflushed data, and an ext4 on it can be mounted again."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.core import durable
from tests.powercut.pages import PAGE, SECTOR, Keep, Pages
from tests.powercut.volume import Volume


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    path = tmp_path / "backing"
    path.write_bytes(b"o" * 8 * PAGE)
    fd = os.open(path, os.O_RDWR)
    yield Pages(fd)
    os.close(fd)


def test_reads_see_unflushed_writes(pages: Pages) -> None:
    """A read returns the newest write at any offset and size, with the old data around it."""
    pages.write(PAGE + 100, b"new")
    assert pages.read(PAGE + 99, 5) == b"onewo"
    assert pages.read(0, PAGE) == b"o" * PAGE
    assert list(pages.dirty) == [1]


def test_flush_makes_durable(pages: Pages) -> None:
    """Flushed data survives every cut; a flush counts the bytes it writes, each page once."""
    pages.write(0, b"n" * 2 * PAGE)
    pages.write(0, b"m" * PAGE)
    assert pages.flush() == 2 * PAGE
    assert pages.flush() == 0
    for seed in range(20):
        pages.cut(random.Random(seed))
        assert pages.read(0, 2 * PAGE) == b"m" * PAGE + b"n" * PAGE


def test_cuts_keep_none_all_some_and_torn(pages: Pages) -> None:
    """Over many seeds each kind of loss happens; torn pages mix old and new whole sectors."""
    seen: dict[Keep, set[bytes]] = {keep: set() for keep in Keep}
    for seed in range(200):
        pages.write(0, b"o" * 8 * PAGE)
        pages.flush()
        pages.write(0, b"n" * 8 * PAGE)
        keep, kept, at_stake = pages.cut(random.Random(seed))
        left = pages.read(0, 8 * PAGE)
        seen[keep].add(left)
        assert at_stake == 8
        assert all(len(set(left[at : at + SECTOR])) == 1 for at in range(0, 8 * PAGE, SECTOR))
        if keep in (Keep.NONE, Keep.ALL, Keep.SUBSET):
            assert left.count(b"n" * PAGE) == kept
    assert seen[Keep.NONE] == {b"o" * 8 * PAGE}
    assert seen[Keep.ALL] == {b"n" * 8 * PAGE}
    assert len(seen[Keep.SUBSET]) > 5
    assert any(b"o" * SECTOR in left and b"n" * SECTOR in left for left in seen[Keep.TORN])


def test_the_same_seed_cuts_the_same(pages: Pages) -> None:
    """A cut can be replayed."""

    def left(seed: int) -> bytes:
        pages.write(0, b"o" * 8 * PAGE)
        pages.flush()
        pages.write(0, b"n" * 8 * PAGE)
        pages.cut(random.Random(seed))
        return pages.read(0, 8 * PAGE)

    assert [left(seed) for seed in range(20)] == [left(seed) for seed in range(20)]


def test_ext4_keeps_what_was_synced_and_loses_the_rest(volume: Volume) -> None:
    """A cut loses the page cache and the disk's cache; the journal restores a sound file system with the rest."""
    kept, lost = volume.mount / "kept", volume.mount / "lost"
    with kept.open("wb") as file:
        file.write(b"k" * 10_000)
        os.fsync(file.fileno())
    lost.write_bytes(b"l" * 10_000)
    cut = volume.cut(seed=1)
    with pytest.raises(OSError, match=r"Input/output error|Read-only"), (volume.mount / "after").open("wb") as file:
        file.write(b"a")
        os.fsync(file.fileno())
    volume.detach()
    volume.attach()
    assert kept.read_bytes() == b"k" * 10_000
    assert not lost.exists() or lost.read_bytes() != b"l" * 10_000
    assert cut.flushes > 0
    volume.detach()
    assert volume.problems() == ""
    volume.attach()


def test_no_sync_succeeds_after_the_journal_was_given_up(volume: Volume) -> None:
    """A plain fsync may: what shared the lost transaction is neither running nor being committed any more."""
    first, second = volume.mount / "first", volume.mount / "second"
    for folder in (first, second):
        folder.mkdir()
        durable.sync_folder(volume.mount)
    for folder in (first, second):
        (folder / "name").touch()
    volume.disk.fail("write", errno.EIO)
    fd = os.open(first, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match=r"Input/output error|Read-only"):
            os.fsync(fd)
    finally:
        os.close(fd)
    with pytest.raises(OSError, match=r"Input/output error|Read-only"):
        durable.sync_folder(second)
    volume.disk.mend()
    volume.cut(seed=1)
    volume.detach()
    volume.attach()
    assert not (second / "name").exists()


def test_an_armed_cut_comes_at_its_flush(volume: Volume) -> None:
    """The flush that the cut is armed for fails, and so does everything after it."""
    path = volume.mount / "file"
    volume.disk.arm("flush", 3, seed=7)
    with path.open("wb") as file:
        synced = 0
        with pytest.raises(OSError, match=r"Input/output error|Read-only"):
            for _ in range(10):
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
                synced += 1
    assert volume.disk.traffic().dead
    assert volume.cut(0) == volume.cut(1), "a second cut changed the armed one"
    volume.detach()
    volume.attach()
    assert path.stat().st_size >= synced * 4096


def test_injected_errors_end_when_mended(volume: Volume) -> None:
    """EIO on a flush reaches the program's fsync, as with a failing card."""
    with (volume.mount / "a").open("wb") as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())
        os.pwrite(file.fileno(), b"y", 0)
        volume.disk.fail("flush", errno.EIO, 1)
        with pytest.raises(OSError, match=r"Input/output error"):
            os.fdatasync(file.fileno())
        volume.disk.mend()
    before = volume.disk.traffic()
    assert before.flushed_bytes > 0
    assert not before.dead
