"""The kernel's GPIO lines, with the two system calls that need hardware played by the test."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config.power import ButtonConfig
from edge.power.governor import button as buttons
from edge.power.governor.button import Button, Press
from edge.power.sources.gpio import KernelLine, Line


class Chip:
    """A chip with one line, as the kernel's second interface shows it (numbers as in linux/gpio.h)."""

    def __init__(self, dev: Path) -> None:
        self.dev = dev
        for name in ("gpiochip0", "gpiochip4"):
            (dev / name).touch()
        self.requests: list[dict[str, int]] = []
        self.high = False
        self.gone = False
        self.reader, self.writer = os.pipe()

    def ioctl(self, fd: int, number: int, data: bytearray) -> int:
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")
        path = Path(f"/proc/self/fd/{fd}").readlink()
        if number == 0x8044B401:
            label = b"raspberrypi-exp-gpio" if path.name == "gpiochip0" else b"pinctrl-rp1"
            struct.pack_into("=32s32sI", data, 0, path.name.encode(), label, 54)
        elif number == 0xC250B407:
            assert len(data) == 592
            assert path.name == "gpiochip4"
            flags, attributes = struct.unpack_from("=QI", data, 288)
            kind, _, value, mask = struct.unpack_from("=IIQQ", data, 320)
            line, lines = struct.unpack_from("=I", data, 0)[0], struct.unpack_from("=I", data, 560)[0]
            self.requests.append(
                {
                    "line": line,
                    "lines": lines,
                    "flags": flags,
                    "attributes": attributes,
                    "kind": kind,
                    "us": value,
                    "mask": mask,
                }
            )
            struct.pack_into("=i", data, 588, os.dup(self.reader))
        elif number == 0xC010B40E:
            struct.pack_into("=Q", data, 0, int(self.high))
        return 0

    def drive(self, high: bool) -> None:
        self.high = high
        os.write(self.writer, struct.pack("=QIIII24x", 0, 1 if high else 2, 17, 1, 1))


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[Chip]:
    made = Chip(tmp_path)
    yield made
    os.close(made.reader)
    os.close(made.writer)


def line(chip: Chip, told: threading.Semaphore, pull: str = "none", bounce_s: float = 0.01) -> KernelLine:
    return KernelLine("GPIO17", pull=pull, bounce_s=bounce_s, edge=told.release, dev=chip.dev, ioctl=chip.ioctl)


@pytest.mark.parametrize(("pull", "bias"), [("none", 0x400), ("up", 0x100), ("down", 0x200)])
def test_asks_the_socs_chip_for_an_input_with_both_edges(chip: Chip, pull: str, bias: int) -> None:
    """One line, input, rising and falling, biased and debounced by the kernel, on the chip of the SoC."""
    made = line(chip, threading.Semaphore(0), pull)
    made.close()
    assert chip.requests == [
        {"line": 17, "lines": 1, "flags": 0x4 | 0x30 | bias, "attributes": 1, "kind": 3, "us": 10_000, "mask": 1}
    ]


def test_edges_are_told_and_levels_read(chip: Chip) -> None:
    """Each change wakes whoever waits; between changes the thread sleeps in the kernel."""
    told = threading.Semaphore(0)
    made = line(chip, told, bounce_s=0)
    assert not made.level()
    chip.drive(True)
    assert told.acquire(timeout=10)
    assert made.level()
    chip.drive(False)
    assert told.acquire(timeout=10)
    assert not made.level()
    assert chip.requests[0]["attributes"] == 0
    made.close()
    made.close()


def test_a_chip_that_goes_raises_when_it_is_read(chip: Chip) -> None:
    """The pin source makes `unknown` of it."""
    made = line(chip, threading.Semaphore(0))
    chip.gone = True
    with pytest.raises(OSError, match="No such device"):
        made.level()
    made.close()


def test_no_chip_of_the_soc_is_said(chip: Chip) -> None:
    """Another chip's line 6 is not the board's."""
    (chip.dev / "gpiochip4").unlink()
    with pytest.raises(OSError, match="no GPIO chip of the SoC"):
        line(chip, threading.Semaphore(0))


def test_a_name_that_is_no_number_is_refused(chip: Chip) -> None:
    """Names of headers are gpiozero's."""
    with pytest.raises(ValueError, match="via: gpiozero"):
        KernelLine("J8:11", pull="none", bounce_s=0, edge=lambda: None, dev=chip.dev, ioctl=chip.ioctl)


class Wire:
    """A line that the test drives."""

    def __init__(self) -> None:
        self.high = True

    def level(self) -> bool:
        return self.high

    def close(self) -> None:
        pass


class TestButton:
    @pytest.fixture
    def wire(self, monkeypatch: pytest.MonkeyPatch) -> Wire:
        wire = Wire()

        def opened(*args: object, **kwargs: object) -> Line:
            return wire

        monkeypatch.setattr(buttons, "open_line", opened)
        return wire

    def press(self, button: Button, wire: Wire, *levels: bool) -> None:
        for wire.high in levels:
            button._on_edge()

    def test_short_and_held(self, wire: Wire) -> None:
        """Let go before its time it is short; still down after it, long, once; its release is nothing more."""
        button = Button(ButtonConfig(pin=17, hold_s=60), lambda: None, print)
        self.press(button, wire, False, True)
        assert button.presses(0.0) == [Press.SHORT]
        assert button.wait_s(0.0) is None
        self.press(button, wire, False)
        assert button.presses(0.0) == []
        wait_s = button.wait_s(0.0)
        assert wait_s is not None
        assert button.presses(wait_s - 1) == []
        assert button.presses(wait_s + 1) == [Press.LONG]
        self.press(button, wire, True)
        assert button.presses(wait_s + 2) == []

    def test_a_line_that_cannot_be_opened_is_told_and_costs_the_button_only(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A board without that pin still governs."""

        def fails(*args: object, **kwargs: object) -> Line:
            raise OSError("GPIO busy")

        monkeypatch.setattr(buttons, "open_line", fails)
        said: list[str] = []
        button = Button(ButtonConfig(pin=17), lambda: None, said.append)
        assert said == ["no button on GPIO 17: OSError: GPIO busy"]
        assert button.presses(0.0) == []
        button.close()
