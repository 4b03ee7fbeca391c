"""Tests of the governor's report: a reader reads a changed file again, and checks at each read whether it is valid."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edge.core.host import boot_id
from edge.model import PowerState, PowerStatus
from edge.power import status
from edge.power.status import Reader


def report(state: PowerState, **fields: object) -> PowerStatus:
    made = PowerStatus(state, "c", "because", boot_id=boot_id(), pid=os.getpid(), monotonic=time.monotonic())
    return msgspec.structs.replace(made, **fields)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "power.json"


def old(path: Path) -> None:
    """Set the time of the file to ten seconds ago."""
    os.utime(path, (time.time() - 10, time.time() - 10))


def test_each_new_report_is_read(path: Path) -> None:
    """This includes one of the same length that came in the same tick of the clock and in the same inode."""
    reader = Reader(path)
    assert reader.read().state is PowerState.UNKNOWN
    for state in (PowerState.NORMAL, PowerState.PAUSED, PowerState.NORMAL) * 20:
        path.write_bytes(msgspec.json.encode(report(state)))
        assert reader.read().state is state
    path.unlink()
    assert reader.read().code == "no-governor"


def test_an_unchanged_report_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader only calls `stat` on the file."""
    status.write(path, report(PowerState.LOW))
    old(path)
    reader = Reader(path)
    assert reader.read().state is PowerState.LOW
    monkeypatch.setattr(Path, "read_bytes", lambda _path: pytest.fail("read again"))
    assert reader.read().state is PowerState.LOW


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"pid": 0}, "governor-died"),
        ({"boot_id": "another"}, "other-boot"),
        ({"valid_s": 0.001, "monotonic": 0.0}, "governor-silent"),
    ],
)
def test_an_unchanged_report_may_become_invalid(path: Path, fields: dict[str, object], code: str) -> None:
    """Each read checks its age, its boot, and whether its governor lives."""
    status.write(path, report(PowerState.NORMAL, **fields))
    old(path)
    reader = Reader(path)
    assert [reader.read().code, reader.read().code] == [code, code]


def test_garbage_is_unknown_until_it_is_replaced(path: Path) -> None:
    """The status has a code for the reason."""
    path.write_bytes(b"{")
    old(path)
    reader = Reader(path)
    assert [reader.read().code, reader.read().code] == ["unreadable", "unreadable"]
    status.write(path, report(PowerState.NORMAL))
    assert reader.read().state is PowerState.NORMAL


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The ends of a pipe; the first one is another descriptor that `wait` watches."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def governor() -> Iterator[subprocess.Popen[bytes]]:
    """A process in place of the governor, which a test may kill."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_wait_ends_when_a_descriptor_can_be_read(pipe: tuple[int, int], governor: subprocess.Popen[bytes]) -> None:
    """While the report is valid, nothing else ends the wait before its timeout."""
    made = report(PowerState.NORMAL, pid=governor.pid, valid_s=600.0)
    assert status.wait(made, [pipe[0]], 0.001) == set()
    os.write(pipe[1], b"x")
    assert status.wait(made, [pipe[0]]) == {pipe[0]}


@pytest.mark.timeout(30)
def test_wait_ends_when_the_governor_dies(pipe: tuple[int, int], governor: subprocess.Popen[bytes]) -> None:
    """It ends too if the governor died before, when its process id may no longer exist."""
    made = report(PowerState.NORMAL, pid=governor.pid)
    threading.Timer(0.05, governor.kill).start()
    assert status.wait(made, [pipe[0]]) == set()
    governor.wait()
    assert status.wait(made, [pipe[0]]) == set()


@pytest.mark.timeout(30)
def test_wait_ends_when_the_report_is_too_old(path: Path, pipe: tuple[int, int]) -> None:
    """It ends late enough that a read then finds the report too old."""
    made = report(PowerState.NORMAL, valid_s=0.05)
    status.write(path, made)
    assert status.wait(made, [pipe[0]]) == set()
    assert status.read(path).code == "governor-silent"


def test_when_a_report_expires() -> None:
    """An unknown one, and one that is valid while its governor lives, do not expire."""
    assert status.expires_in(report(PowerState.NORMAL)) is None
    assert status.expires_in(report(PowerState.UNKNOWN, valid_s=5.0)) is None
    assert status.expires_in(report(PowerState.NORMAL, valid_s=5.0)) == pytest.approx(5.0, abs=1.0)
    assert status.expires_in(report(PowerState.NORMAL, valid_s=5.0, monotonic=0.0)) == pytest.approx(0.05)


class TestStatus:
    def status(self, **fields: object) -> PowerStatus:
        good = PowerStatus(
            PowerState.NORMAL, "normal", "fine", boot_id=boot_id(), pid=os.getpid(), monotonic=time.monotonic()
        )
        return msgspec.structs.replace(good, **fields)

    def read(self, tmp_path: Path, **fields: object) -> tuple[PowerState, str]:
        status.write(tmp_path / "power.json", self.status(**fields))
        found = status.read(tmp_path / "power.json")
        return found.state, found.code

    def test_a_living_governor_is_believed(self, tmp_path: Path) -> None:
        """Its report is returned without a change."""
        assert self.read(tmp_path) == (PowerState.NORMAL, "normal")

    @pytest.mark.parametrize(
        ("fields", "code"),
        [({"boot_id": "other"}, "other-boot"), ({"pid": 2**22 + 1}, "governor-died"),
         ({"valid_s": 90.0, "monotonic": time.monotonic() - 91.0}, "governor-silent")],
    )  # fmt: skip
    def test_an_invalid_report_is_unknown(self, tmp_path: Path, fields: dict[str, object], code: str) -> None:
        """The report of another boot, of a dead governor, or one that is too old is unknown. The code says which."""
        assert self.read(tmp_path, **fields) == (PowerState.UNKNOWN, code)

    def test_a_wall_clock_that_jumps_makes_nothing_stale(self, tmp_path: Path) -> None:
        """The age is measured with the monotonic clock."""
        assert self.read(tmp_path, at=0.0, valid_s=90.0)[0] is PowerState.NORMAL

    @pytest.mark.parametrize("content", [None, b"", b"{", b'{"state": "splendid"}', b"\xff\xfe"])
    def test_no_file_or_garbage_is_unknown(self, tmp_path: Path, content: bytes | None) -> None:
        """For any content, the read never raises and never allows work."""
        if content is not None:
            (tmp_path / "power.json").write_bytes(content)
        assert status.read(tmp_path / "power.json").state is PowerState.UNKNOWN
