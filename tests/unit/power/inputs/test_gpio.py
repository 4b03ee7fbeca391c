"""Tests of the kernel's GPIO lines through gpiod, and of the button.

The tests replace the chips, because gpiod cannot open a line without hardware.
"""

from __future__ import annotations

import errno
import inspect
import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gpiod
import pytest
from gpiod.line import Bias, Direction, Edge, Value

from edge.config.power import ButtonConfig
from edge.power.governor import button as buttons
from edge.power.governor.button import Button, Press
from edge.power.inputs.gpio import KernelLine, Line


class Kernel:
    """A simulated kernel with two chips and one line. The second chip is that of the SoC; edges come through a pipe."""

    def __init__(self, dev: Path) -> None:
        self.dev = dev
        for name in ("gpiochip0", "gpiochip4"):
            (dev / name).touch()
        self.requests: list[tuple[str, dict[int, gpiod.LineSettings]]] = []
        self.released = 0
        self.high = False
        self.gone = False
        self.reader, self.writer = os.pipe()

    def chip(self, path: str) -> Any:
        """Return the chip at `path`, in place of `gpiod.Chip`."""
        label = "pinctrl-rp1" if path.endswith("gpiochip4") else "raspberrypi-exp-gpio"

        class Opened:
            def __enter__(self) -> Opened:
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def get_info(self) -> SimpleNamespace:
                return SimpleNamespace(label=label)

        return Opened()

    def request_lines(self, *args: Any, **kwargs: Any) -> Kernel:
        """Record the request, in place of `gpiod.request_lines`. The arguments are checked in the same way."""
        given = inspect.signature(REQUEST_LINES).bind(*args, **kwargs).arguments
        self.requests.append((given["path"], given["config"]))
        return self

    # The methods below are those of the request, with the signatures of gpiod.LineRequest.

    @property
    def fd(self) -> int:
        return self.reader

    def get_value(self, line: int | str) -> Value:
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")
        assert line == 17
        return Value.ACTIVE if self.high else Value.INACTIVE

    def read_edge_events(self, max_events: int | None = None) -> list[bytes]:
        return [os.read(self.reader, 4096)]

    def release(self) -> None:
        self.released += 1

    def drive(self, high: bool) -> None:
        self.high = high
        os.write(self.writer, b"edge")


REQUEST_LINES = gpiod.request_lines


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    made = Kernel(tmp_path)
    monkeypatch.setattr(gpiod, "Chip", made.chip)
    monkeypatch.setattr(gpiod, "request_lines", made.request_lines)
    yield made
    os.close(made.reader)
    os.close(made.writer)


def line(kernel: Kernel, woken: threading.Semaphore, pull: str = "none", bounce_s: float = 0.01) -> KernelLine:
    return KernelLine("GPIO17", pull=pull, bounce_s=bounce_s, edge=woken.release, dev=kernel.dev)


@pytest.mark.parametrize("name", ["get_value", "read_edge_events", "release"])
def test_the_simulated_request_has_the_signatures_of_the_real_one(name: str) -> None:
    """So the tests below call only methods that gpiod has."""
    real = list(inspect.signature(getattr(gpiod.LineRequest, name)).parameters)
    assert list(inspect.signature(getattr(Kernel, name)).parameters) == real
    assert isinstance(gpiod.LineRequest.fd, property)


@pytest.mark.parametrize(("pull", "bias"), [("none", Bias.DISABLED), ("up", Bias.PULL_UP), ("down", Bias.PULL_DOWN)])
def test_asks_the_socs_chip_for_an_input_with_both_edges(kernel: Kernel, pull: str, bias: Bias) -> None:
    """The request is for one input line of the SoC's chip, with bias and debouncing by the kernel."""
    line(kernel, threading.Semaphore(0), pull).close()
    ((path, config),) = kernel.requests
    assert path == str(kernel.dev / "gpiochip4")
    assert list(config) == [17]
    settings = config[17]
    assert (settings.direction, settings.edge_detection, settings.bias) == (Direction.INPUT, Edge.BOTH, bias)
    assert settings.debounce_period == timedelta(milliseconds=10)
    assert not settings.active_low


def test_edges_are_reported_and_levels_read(kernel: Kernel) -> None:
    """Each change calls `edge`; between changes the thread sleeps in the kernel."""
    woken = threading.Semaphore(0)
    made = line(kernel, woken, bounce_s=0)
    assert not made.level()
    kernel.drive(True)
    assert woken.acquire(timeout=10)
    assert made.level()
    kernel.drive(False)
    assert woken.acquire(timeout=10)
    assert not made.level()
    assert kernel.requests[0][1][17].debounce_period == timedelta()
    made.close()
    made.close()
    assert kernel.released == 1


def test_a_line_without_edges_costs_no_wake_up(kernel: Kernel) -> None:
    """Its thread waits for the descriptor of gpiod's request, and nothing else wakes it."""
    made = line(kernel, threading.Semaphore(0))

    def switches() -> int:
        status = Path(f"/proc/self/task/{made._thread.native_id}/status").read_text()
        return int(status.split("voluntary_ctxt_switches:")[1].split()[0])

    deadline = time.monotonic() + 10
    before = -1
    while switches() != before:  # the thread switches once more when it first goes to sleep
        assert time.monotonic() < deadline
        before = switches()
        time.sleep(1.0)
    made.close()


def test_a_chip_that_was_removed_raises_when_it_is_read(kernel: Kernel) -> None:
    """The source of kind `pin` turns the error into an unknown reading."""
    made = line(kernel, threading.Semaphore(0))
    kernel.gone = True
    with pytest.raises(OSError, match="No such device"):
        made.level()
    made.close()


def test_a_missing_chip_of_the_soc_is_an_error(kernel: Kernel) -> None:
    """The same line number of another chip is another pin."""
    (kernel.dev / "gpiochip4").unlink()
    with pytest.raises(OSError, match="no GPIO chip of the SoC"):
        line(kernel, threading.Semaphore(0))


def test_what_is_no_gpio_chip_is_an_error_of_the_system(tmp_path: Path) -> None:
    """The real library raises OSError for a file in place of a device. The source then reports unknown."""
    (tmp_path / "gpiochip0").touch()
    with pytest.raises(OSError, match=r"Inappropriate ioctl|No such device"):
        KernelLine(17, pull="none", bounce_s=0, edge=lambda: None, dev=tmp_path)


def test_every_name_of_a_pin_is_understood(kernel: Kernel) -> None:
    """The check of the configuration accepts all these names, so the line must accept them, too."""
    KernelLine("J8:11", pull="none", bounce_s=0, edge=lambda: None, dev=kernel.dev).close()
    assert list(kernel.requests[0][1]) == [17]
    with pytest.raises(ValueError, match="GPIO6, BCM6, BOARD31"):
        KernelLine("J8:1", pull="none", bounce_s=0, edge=lambda: None, dev=kernel.dev)


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
        """A release before `hold_s` is a short press. A button still down after it gives one long press."""
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

    def test_a_line_that_cannot_be_opened_is_logged_and_the_button_stays_unused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The governor of a board without that pin still runs."""

        def fails(*args: object, **kwargs: object) -> Line:
            raise OSError("GPIO busy")

        monkeypatch.setattr(buttons, "open_line", fails)
        logged: list[str] = []
        button = Button(ButtonConfig(pin=17), lambda: None, logged.append)
        assert logged == ["no button on GPIO 17: OSError: GPIO busy"]
        assert button.presses(0.0) == []
        button.close()
