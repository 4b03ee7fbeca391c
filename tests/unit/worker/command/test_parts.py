"""The small parts of a run: progress, output, cgroups, inputs."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import CommandConfig, Config
from edge.model import Progress
from edge.results.kept_output import FILE_BYTES, TAIL_FILES
from edge.results.output import OutputFiles
from edge.results.stream import Stream
from edge.worker.command.cgroup import Cgroups, NotEnforced
from edge.worker.command.cgroup_files import wanted
from edge.worker.command.here import missing
from edge.worker.command.inputs import _file_name
from edge.worker.command.progress import ProgressReader
from edge.worker.command.shared import _group_name


def progress(lines: bytes, **fields: Any) -> Progress | None:
    return ProgressReader(CommandConfig(name="c", run=("x",), **fields)).feed("stdout", lines)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (b"EDGE_PROGRESS 3/10\n", Progress(3, 10)),
        (b"EDGE_PROGRESS 3\n", Progress(3, 0)),
        (b"EDGE_PROGRESS 0.5 / 1 half\n", Progress(0.5, 1, "half")),
        (b"EDGE_PROGRESS 1/10\nEDGE_PROGRESS 2/10\n", Progress(2, 10)),
        (b"EDGE_PROGRESS 3/10", None),
        (b"EDGE_PROGRESS x/10\n", None),
        (b"EDGE_PROGRESS 1.2.3/10\n", None),
        (b"EDGE_PROGRESS -1/10\n", None),
        (b"EDGE_PROGRESS 1e9/10\n", None),
        (b"a" * 5000 + b"EDGE_PROGRESS 3/10\n", None),
        (b"\xff\xfe EDGE\n", None),
    ],
)
def test_lines_of_progress(lines: bytes, found: Progress | None) -> None:
    assert progress(lines) == found


def test_a_pattern_counts_against_a_total_that_was_printed() -> None:
    lines = b"  Duration: 00:01:40.00, start\nframe=1 time=00:00:25.00 bitrate\r"
    found = progress(lines, progress="time=([0-9:.]+)", progress_total="Duration: ([0-9:.]+)")
    assert found == Progress(25.0, 100.0)


def test_a_pattern_counts_against_a_number() -> None:
    assert progress(b"7%\n", progress="([0-9]+)%", progress_total=100.0) == Progress(7, 100)


def test_half_a_line_is_kept_for_its_other_half() -> None:
    reader = ProgressReader(CommandConfig(name="c", run=("x",)))
    assert reader.feed("stdout", b"EDGE_PROG") is None
    assert reader.feed("stderr", b"x\n") is None
    assert reader.feed("stdout", b"RESS 1/2\n") == Progress(1, 2)


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_output_breaks_the_reader(parts: list[bytes]) -> None:
    reader = ProgressReader(CommandConfig(name="c", run=("x",), progress="([0-9:.]+)", progress_total="T([0-9:.]+)"))
    for part in parts:
        reader.feed("stdout", part)


def stream(tmp_path: Path) -> Stream:
    return Stream(tmp_path / "main" / "aa1" / "stdout")


def test_short_output_is_kept_whole(tmp_path: Path) -> None:
    made = stream(tmp_path)
    made.feed(b"one\n")
    made.feed(b"two\n")
    assert made.last == "one\ntwo\n"
    assert not made.is_long
    found = OutputFiles(tmp_path, "aa1").read("stdout", 4)
    assert found is not None
    assert (found.offset, found.data, found.next) == (4, b"two\n", None)


def test_long_output_keeps_head_and_tail_and_says_what_was_cut(tmp_path: Path) -> None:
    made = stream(tmp_path)
    total = FILE_BYTES * 20 + 7
    content = bytes(range(256)) * (total // 256 + 1)
    for at in range(0, total, 50_000):
        made.feed(content[at : min(at + 50_000, total)])
    made.keep(tmp_path / "kept")
    kept = (tmp_path / "kept").read_bytes()
    head, _, rest = kept.partition(b"\n[... ")
    cut, _, tail = rest.partition(b" bytes cut ...]\n")
    assert content[:total].startswith(head)
    assert content[:total].endswith(tail)
    assert len(head) + int(cut) + len(tail) == made.size_bytes == total
    assert len(list((tmp_path / "main/aa1/stdout").iterdir())) <= TAIL_FILES + 1


@pytest.mark.parametrize("data", [b"caf\xe9\n", b"a\0b", b"1%\r" * 50, b"line\n" * 41])
def test_output_that_the_value_cannot_hold_is_long(tmp_path: Path, data: bytes) -> None:
    made = stream(tmp_path)
    made.feed(data)
    assert made.is_long


def test_a_reader_is_told_where_to_go_on_behind_a_cut(tmp_path: Path) -> None:
    made = stream(tmp_path)
    for _ in range(20):
        made.feed(b"x" * FILE_BYTES)
    files = OutputFiles(tmp_path, "aa1")
    head = files.read("stdout", 10)
    assert head is not None
    assert (head.offset, len(head.data)) == (10, FILE_BYTES - 10)
    assert head.next == FILE_BYTES * (20 - TAIL_FILES)
    tail = files.read("stdout", FILE_BYTES + 5)
    assert tail is not None
    assert tail.offset == head.next
    assert files.read("stdout", FILE_BYTES * 20) is None


def test_a_full_disk_is_a_cut_and_no_end(tmp_path: Path) -> None:
    (tmp_path / "main").write_text("in the way of the folder")
    made = stream(tmp_path)
    made.feed(b"lost\n")
    assert made.last == "lost\n"
    made.keep(tmp_path / "kept")
    assert b"5 bytes cut" in (tmp_path / "kept").read_bytes()


@pytest.mark.parametrize(
    ("wanted_name", "found"),
    [
        (None, "clip"),
        ("a.mov", "a.mov"),
        ("-rf", "clip"),
        ("a%03d.mov", "clip.mov"),
        ("a[0].png", "clip.png"),
        ("a;b.mov", "clip.mov"),
        ("é.mov", "clip.mov"),
        ("a.$(id)", "clip"),
        ("..", "clip"),
    ],
)
def test_a_file_name_is_only_a_name(wanted_name: str | None, found: str) -> None:
    assert _file_name("clip", wanted_name) == found


def cgroups(tmp_path: Path, *, controllers: str, delegated: bool, within: str = "") -> Cgroups:
    base = tmp_path / "cg" / "unit"
    base.mkdir(parents=True, exist_ok=True)
    (base / "cgroup.controllers").write_text(controllers)
    (base / "cgroup.subtree_control").write_text(controllers)
    mounts, own = tmp_path / "mountinfo", tmp_path / "cgroup"
    mounts.write_text(f"30 20 0:26 / {tmp_path}/cg rw,nosuid shared:4 - cgroup2 cgroup2 rw\n")
    own.write_text(f"0::/unit{within}\n")
    systemd = tmp_path / "systemd"
    if not delegated:
        systemd.mkdir()
    return Cgroups("main", mounts=mounts, own=own, systemd=systemd)


LIMITED = wanted(CommandConfig(name="c", run=("x",), memory_mb=64, cpu_percent=50))


def test_a_limit_without_its_controller_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(NotEnforced, match="cgroup_enable=memory"):
        cgroups(tmp_path, controllers="cpu", delegated=True).make("x", LIMITED, needed=False)


def test_a_limit_without_delegation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotEnforced, match="Delegate=yes"):
        cgroups(tmp_path, controllers="cpu memory", delegated=False).make("x", LIMITED, needed=False)


def test_a_worker_that_is_born_where_another_has_moved_makes_groups_beside_it(tmp_path: Path) -> None:
    """The next worker of an `edge up` starts in the cgroup into which the first has moved all processes."""
    (tmp_path / "cg/unit/edge-own").mkdir(parents=True)
    left = tmp_path / "cg/unit/edge-main.left"
    left.mkdir()
    made = cgroups(tmp_path, controllers="cpu memory", delegated=True, within="/edge-own")
    made.clear()
    assert (left / "cgroup.kill").read_text() == "1"
    group = made.make("x", {}, needed=True)
    assert group is not None
    assert group.folders == (tmp_path / "cg/unit/edge-main.x",)


def test_a_cgroup_of_that_name_without_delegation_above_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.worker.command.cgroup._delegated", lambda folder: folder.name == "edge-own")
    (tmp_path / "cg/unit/edge-own").mkdir(parents=True)
    made = cgroups(tmp_path, controllers="", delegated=False, within="/edge-own")
    group = made.make("x", {}, needed=True)
    assert group is not None
    assert group.folders == (tmp_path / "cg/unit/edge-own/edge-main.x",)


def test_a_cgroup_that_gets_a_process_meanwhile_is_emptied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel refuses controllers for children while a process is in the cgroup itself."""
    made = cgroups(tmp_path, controllers="cpu memory", delegated=True)
    base = tmp_path / "cg/unit"
    (base / "cgroup.subtree_control").write_text("")
    (base / "cgroup.procs").write_text("7\n")
    group = base / "edge-main.x"
    group.mkdir()
    for name in ("memory.max", "cpu.max"):
        (group / name).touch()
    refusals = [OSError(errno.EBUSY, "busy"), OSError(errno.EBUSY, "busy")]
    written, write_text = list[str](), Path.write_text

    def refuse(path: Path, text: str) -> int:
        if path.name == "cgroup.subtree_control" and refusals:
            raise refusals.pop()
        written.append(f"{path.name} {text}")
        return write_text(path, text)

    monkeypatch.setattr(Path, "write_text", refuse)
    assert made.make("x", LIMITED, needed=False) is not None
    assert written.count("cgroup.procs 7") == 4  # three tries for the first controller, one for the second


def test_no_group_is_made_where_none_is_needed(tmp_path: Path) -> None:
    assert cgroups(tmp_path, controllers="", delegated=False).make("x", {}, needed=False) is None


def test_a_program_without_sandbox_needs_a_group(tmp_path: Path) -> None:
    with pytest.raises(NotEnforced, match="Delegate=yes"):
        cgroups(tmp_path, controllers="", delegated=False).make("x", {}, needed=True)


def test_a_machine_that_lacks_something_says_what_to_do(tmp_path: Path) -> None:
    from edge.config import Config

    (tmp_path / "cgroup.controllers").write_text("cpu pids")
    config = Config(commands=(CommandConfig(name="c", run=("no-such-program",), memory_mb=64),))
    found = dict(missing(config, cgroups=tmp_path))
    assert any("no-such-program" in what for what in found)
    assert any("cmdline.txt" in cure for cure in found.values())


def test_another_board_on_this_machine_has_other_groups(tmp_path: Path) -> None:
    """A worker that starts ends all processes in the groups of its name, so these must be of its own board."""
    here, there, again = (
        _group_name(Config(root=tmp_path / name, run=tmp_path / name / "run")) for name in ("here", "there", "here")
    )
    assert here == again != there
    assert here.startswith("main.")
