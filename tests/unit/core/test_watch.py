"""Changes in folders, as the kernel reports them."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.core.watch import CHANGED, Changes, On, Watch


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    made = Watch(tmp_path)
    yield made
    made.close()


def readable(watch: Watch) -> bool:
    return bool(select.select([watch], [], [], 0)[0])


def test_nothing_is_told_while_nothing_happens(watch: Watch) -> None:
    """`read` does not block if there is no change."""
    assert not readable(watch)
    assert watch.read() == Changes()


def test_a_file_that_was_written_is_told_by_its_name(watch: Watch, tmp_path: Path) -> None:
    """The name is reported once, after any number of writes."""
    (tmp_path / "a.json").write_text("1")
    (tmp_path / "a.json").write_text("2")
    assert readable(watch)
    assert watch.read().names == {"a.json"}
    assert watch.read().names == frozenset()


def test_a_file_that_came_or_went_is_told(watch: Watch, tmp_path: Path) -> None:
    """A renamed file is reported with both names."""
    (tmp_path / "a").write_text("")
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "b").unlink()
    assert watch.read().names == {"a", "b"}


def test_only_what_was_asked_for_is_told(tmp_path: Path) -> None:
    """A result is durable when its name is removed from the staging folder, and not before."""
    watch = Watch(tmp_path, on=On.DELETED)
    (tmp_path / "a").write_text("")
    assert not readable(watch)
    (tmp_path / "a").unlink()
    assert watch.read().names == {"a"}
    watch.close()


def test_folders_are_told_apart(tmp_path: Path) -> None:
    """Two folders may have a file of the same name."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    watch = Watch(one, two)
    (two / "a").write_text("")
    changes = watch.read()
    assert changes.of(two) == {"a"}
    assert changes.of(one) == frozenset()
    watch.close()


def test_a_name_that_is_not_utf8_is_told_as_the_system_gives_it(watch: Watch, tmp_path: Path) -> None:
    """Any user of the machine can make such a file."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_text("")
    assert watch.read().names == {os.fsdecode(b"\xff")}


def test_more_events_than_the_kernel_remembers_are_told_as_lost(watch: Watch, tmp_path: Path) -> None:
    """After that the caller must look at everything."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 100_000:
        pytest.skip(f"this kernel remembers {most} events")
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("")
    for _ in range(most // 4 + 1):  # Two events for each file, because the kernel merges equal neighbours.
        first.rename(second)
        second.rename(first)
    changes = watch.read()
    assert changes.overflow
    assert changes.lost
    assert changes.may_touch("something else")
    assert not watch.read().lost


@pytest.mark.parametrize("way", ["removed", "moved away"])
def test_a_folder_that_goes_is_told_once(tmp_path: Path, way: str) -> None:
    """After that it reports nothing, even if it exists under another name."""
    folder = tmp_path / "folder"
    folder.mkdir()
    watch = Watch(folder)
    if way == "removed":
        folder.rmdir()
    else:
        folder.rename(tmp_path / "aside")
    changes = watch.read()
    assert changes.gone == {folder}
    assert changes.lost
    if way == "moved away":
        (tmp_path / "aside" / "a").write_text("")
    assert watch.read() == Changes()
    watch.close()


def test_a_folder_that_comes_again_is_watched_again(tmp_path: Path) -> None:
    """It is watched again after `add`."""
    folder = tmp_path / "folder"
    folder.mkdir()
    watch = Watch(folder)
    folder.rmdir()
    assert watch.read().gone == {folder}
    folder.mkdir()
    watch.add(folder, on=CHANGED)
    (folder / "a").write_text("")
    assert watch.read().of(folder) == {"a"}
    watch.close()


def test_a_folder_that_is_not_there_is_refused_with_its_name(tmp_path: Path) -> None:
    """No descriptor stays open after the error."""
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are wanted
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Watch(tmp_path / "nowhere")
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """A file is refused, because its replacement would never be seen."""
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        Watch(tmp_path / "file")


def test_an_event_loop_is_called_at_a_change(watch: Watch, tmp_path: Path) -> None:
    """`add_reader` is enough, without a thread."""

    async def seen() -> frozenset[str]:
        loop, found = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        loop.add_reader(watch, lambda: found.set_result(watch.read().names))
        try:
            (tmp_path / "a").write_text("")
            async with asyncio.timeout(10):
                return frozenset(await found)
        finally:
            loop.remove_reader(watch)

    assert asyncio.run(seen()) == {"a"}


def test_close_may_be_called_twice(watch: Watch) -> None:
    """The second call closes nothing."""
    watch.close()
    watch.close()
    assert watch.fileno() == -1


def test_tells_of_writes_renames_and_removals(tmp_path: Path) -> None:
    """Changes are reported by name, and `read` does not block without one."""
    watch = Watch(tmp_path)
    assert watch.read().names == set()
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "b").unlink()
    assert select.select([watch], [], [], 5)[0]
    assert watch.read().names == {"a", "b"}
    watch.close()
    watch.close()
