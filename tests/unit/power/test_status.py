"""The governor's word as others read it: anew when it is another one, and judged each time."""

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


def said(state: PowerState, **fields: object) -> PowerStatus:
    word = PowerStatus(state, "c", "because", boot_id=boot_id(), pid=os.getpid(), monotonic=time.monotonic())
    return msgspec.structs.replace(word, **fields)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "power.json"


def old(path: Path) -> None:
    """Let the file look as if it had been there for a while."""
    os.utime(path, (time.time() - 10, time.time() - 10))


def test_each_new_word_is_read(path: Path) -> None:
    """Also one that came within the same tick of the clock, is as long, and lies in the same place on the disk."""
    reader = Reader(path)
    assert reader.read().state is PowerState.UNKNOWN
    for state in (PowerState.NORMAL, PowerState.PAUSED, PowerState.NORMAL) * 20:
        path.write_bytes(msgspec.json.encode(said(state)))
        assert reader.read().state is state
    path.unlink()
    assert reader.read().code == "no-governor"


def test_a_word_that_stands_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at, no more."""
    status.write(path, said(PowerState.LOW))
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
def test_a_word_that_stands_may_count_no_longer(path: Path, fields: dict[str, object], code: str) -> None:
    """Its age, its boot and the life of who said it are looked at each time."""
    status.write(path, said(PowerState.NORMAL, **fields))
    old(path)
    reader = Reader(path)
    assert [reader.read().code, reader.read().code] == [code, code]


def test_garbage_is_unknown_until_it_is_replaced(path: Path) -> None:
    """With the reason."""
    path.write_bytes(b"{")
    old(path)
    reader = Reader(path)
    assert [reader.read().code, reader.read().code] == ["unreadable", "unreadable"]
    status.write(path, said(PowerState.NORMAL))
    assert reader.read().state is PowerState.NORMAL


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Something else that may wake a sleeper."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def governor() -> Iterator[subprocess.Popen[bytes]]:
    """A process that may speak, and die."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_a_sleeper_is_woken_by_what_it_waits_for(pipe: tuple[int, int], governor: subprocess.Popen[bytes]) -> None:
    """And by nothing while the word counts."""
    word = said(PowerState.NORMAL, pid=governor.pid, valid_s=600.0)
    assert status.wait(word, [pipe[0]], 0.001) == set()
    os.write(pipe[1], b"x")
    assert status.wait(word, [pipe[0]]) == {pipe[0]}


@pytest.mark.timeout(30)
def test_a_sleeper_wakes_when_the_governor_dies(pipe: tuple[int, int], governor: subprocess.Popen[bytes]) -> None:
    """During the sleep, and before it: then its process id may be gone altogether."""
    word = said(PowerState.NORMAL, pid=governor.pid)
    threading.Timer(0.05, governor.kill).start()
    assert status.wait(word, [pipe[0]]) == set()
    governor.wait()
    assert status.wait(word, [pipe[0]]) == set()


@pytest.mark.timeout(30)
def test_a_sleeper_wakes_when_the_word_grew_too_old(path: Path, pipe: tuple[int, int]) -> None:
    """Late enough that who looks then finds it too old."""
    word = said(PowerState.NORMAL, valid_s=0.05)
    status.write(path, word)
    assert status.wait(word, [pipe[0]]) == set()
    assert status.read(path).code == "governor-silent"


def test_when_a_word_expires() -> None:
    """A word that says nothing, and one that counts as long as its governor lives, do not."""
    assert status.expires_in(said(PowerState.NORMAL)) is None
    assert status.expires_in(said(PowerState.UNKNOWN, valid_s=5.0)) is None
    assert status.expires_in(said(PowerState.NORMAL, valid_s=5.0)) == pytest.approx(5.0, abs=1.0)
    assert status.expires_in(said(PowerState.NORMAL, valid_s=5.0, monotonic=0.0)) == pytest.approx(0.05)


class TestStatus:
    def status(self, **fields: object) -> PowerStatus:
        good = PowerStatus(
            PowerState.NORMAL, "normal", "fine", boot_id=boot_id(), pid=os.getpid(), monotonic=time.monotonic()
        )
        return msgspec.structs.replace(good, **fields)

    def read(self, tmp_path: Path, **fields: object) -> tuple[PowerState, str]:
        status.write(tmp_path / "power.json", self.status(**fields))
        said = status.read(tmp_path / "power.json")
        return said.state, said.code

    def test_a_living_governor_is_believed(self, tmp_path: Path) -> None:
        """Its word stands as it is."""
        assert self.read(tmp_path) == (PowerState.NORMAL, "normal")

    @pytest.mark.parametrize(
        ("fields", "code"),
        [({"boot_id": "other"}, "other-boot"), ({"pid": 2**22 + 1}, "governor-died"),
         ({"valid_s": 90.0, "monotonic": time.monotonic() - 91.0}, "governor-silent")],
    )  # fmt: skip
    def test_a_word_that_does_not_count_is_unknown(self, tmp_path: Path, fields: dict[str, object], code: str) -> None:
        """Of another boot, of a dead governor, or too old: unknown, and which of these."""
        assert self.read(tmp_path, **fields) == (PowerState.UNKNOWN, code)

    def test_a_wall_clock_that_jumps_makes_nothing_stale(self, tmp_path: Path) -> None:
        """Age is taken from the monotonic clock."""
        assert self.read(tmp_path, at=0.0, valid_s=90.0)[0] is PowerState.NORMAL

    @pytest.mark.parametrize("content", [None, b"", b"{", b'{"state": "splendid"}', b"\xff\xfe"])
    def test_no_file_or_garbage_is_unknown(self, tmp_path: Path, content: bytes | None) -> None:
        """Whatever lies there, reading it never raises and never allows work."""
        if content is not None:
            (tmp_path / "power.json").write_bytes(content)
        assert status.read(tmp_path / "power.json").state is PowerState.UNKNOWN
