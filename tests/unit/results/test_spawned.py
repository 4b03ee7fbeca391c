"""Files of spawned jobs have the parent in their name, and are read completely or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from edge.config import Config
from edge.model import SpawnedJob, SpawnedJobs
from edge.results.spawned import SpawnedFiles, Unreadable, parent_of


@pytest.fixture
def files(tmp_path: Path) -> SpawnedFiles:
    return SpawnedFiles(Config(root=tmp_path).layout)


def jobs(parent: str, *texts: str) -> SpawnedJobs:
    return SpawnedJobs(parent, tuple(SpawnedJob("echo", [text], call=at) for at, text in enumerate(texts, 1)))


@pytest.mark.parametrize(
    ("name", "parent"),
    [
        ("a.000000.01234567.json", "a"),
        ("a.b-c.000012.89abcdef.json", "a.b-c"),
        (".a.000000.01234567.json.77.tmp", ""),
        ("a.json", ""),
        ("..000000.01234567.json", ""),
        ("taken", ""),
        ("a b.000000.01234567.json", ""),
    ],
)
def test_a_name_tells_the_parent(name: str, parent: str) -> None:
    """A file with another form of name was not written by a worker."""
    assert parent_of(name) == parent


def test_files_of_one_parent_are_read_in_order(files: SpawnedFiles) -> None:
    """Taken and other files are read, but no files of another job."""
    one, two = jobs("p.1", "a"), jobs("p.1", "b")
    files.write(one, number=0)
    files.take(files.waiting()[0])
    files.write(two, number=1)
    files.write(jobs("p", "c"), number=0)
    assert files.known("p.1") == [one, two]
    assert [parent_of(name) for name in (*files.waiting(), *files.taken())] == ["p", "p.1", "p.1"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"id": "other"}', b'{"id": "p", "jobs": [{"task": 1}]}', b"\xff"])
def test_what_cannot_be_read_is_left_out(files: SpawnedFiles, tmp_path: Path, content: bytes) -> None:
    """One damaged file does not prevent the reading of the others."""
    files.write(jobs("p", "a"), number=0)
    bad = "p.000001.00000000.json"
    (tmp_path / "spawned" / bad).write_bytes(content)
    with pytest.raises(Unreadable, match=bad):
        files.read(bad)
    assert files.known("p") == [jobs("p", "a")]


@pytest.mark.parametrize("kind", ["pipe", "link", "socket", "folder", "huge"])
def test_what_no_worker_wrote_holds_nobody_up(files: SpawnedFiles, tmp_path: Path, kind: str) -> None:
    """A pipe, a link or a huge file is neither waited for nor followed nor read."""
    files.write(jobs("p", "a"), number=0)
    (tmp_path / "elsewhere").write_bytes((tmp_path / "spawned" / files.waiting()[0]).read_bytes())
    bad = tmp_path / "spawned" / "p.000001.00000000.json"
    match kind:
        case "pipe":
            os.mkfifo(bad)
        case "link":
            bad.symlink_to(tmp_path / "elsewhere")
        case "socket":
            os.mknod(bad, 0o600 | stat.S_IFSOCK)
        case "folder":
            bad.mkdir()
        case "huge":
            with bad.open("wb") as file:
                file.truncate(1 << 40)
    with pytest.raises(Unreadable, match=bad.name):
        files.read(bad.name)
    assert files.known("p") == [jobs("p", "a")]


def test_litter_of_a_cut_goes(files: SpawnedFiles, tmp_path: Path) -> None:
    """The temporary file of an interrupted write is removed. A file of a living process stays."""
    files.prepare()
    dead = tmp_path / "spawned" / ".p.000000.00000000.json.999999999.tmp"
    alive = tmp_path / "spawned" / ".p.000000.00000000.json.1.tmp"
    dead.touch()
    alive.touch()
    files.prepare()
    assert (dead.exists(), alive.exists()) == (False, True)


def test_taken_twice_is_taken(files: SpawnedFiles) -> None:
    """Taking a file a second time is not an error. After `forget` the file does not exist."""
    files.write(jobs("p", "a"), number=0)
    (name,) = files.waiting()
    files.take(name)
    files.take(name)
    assert (files.waiting(), files.taken()) == ([], [name])
    files.forget(name)
    files.forget(name)
    assert files.taken() == []
