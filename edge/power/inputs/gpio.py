"""Opens GPIO lines as inputs that report edges, with gpiozero or with the kernel's character device.

gpiozero is the default and knows every board. But its library lgpio polls a watched line 2,000 times a second (the
0.5 ms of `ppoll` in lgPthAlerts.c). The kernel's own interface, used through gpiod, sleeps until there is an edge, and
the kernel debounces the line. It is meant for boards on which idle watts matter.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from edge.config.pins import gpio_number


class Line(Protocol):
    """One input line. `level` raises OSError, or any error of gpiozero, if the line cannot be read."""

    def level(self) -> bool:
        """Return True while the line is high."""
        ...

    def close(self) -> None:
        """Release the line. May be called twice."""
        ...


def open_line(via: str, pin: int | str, *, pull: str, bounce_s: float, edge: Callable[[], None]) -> Line:
    """Open the line `pin`.

    Args:
        via: `kernel` or `gpiozero`.
        pin: the number or name of the pin.
        pull: the pull resistor: `up`, `down` or `none`.
        bounce_s: debounce time in seconds.
        edge: called from another thread at each change. It must not block, so it should only wake a loop.
    """
    kind = KernelLine if via == "kernel" else GpiozeroLine
    return kind(pin, pull=pull, bounce_s=bounce_s, edge=edge)


class GpiozeroLine:
    """A gpiozero DigitalInputDevice, on the pin factory that GPIOZERO_PIN_FACTORY or the board chooses."""

    def __init__(self, pin: int | str, *, pull: str, bounce_s: float, edge: Callable[[], None]) -> None:
        """Open the line. gpiozero has no types, so its device is `Any` here and nowhere else."""
        from gpiozero import DigitalInputDevice  # heavy, so only a board that configures a pin loads it

        pull_up = {"up": True, "down": False, "none": None}[pull]
        # `Any`: gpiozero has no types.
        self._device: Any = DigitalInputDevice(
            pin, pull_up=pull_up, active_state=True if pull_up is None else None, bounce_time=bounce_s or None
        )
        self._device.when_activated = self._device.when_deactivated = edge

    def level(self) -> bool:
        """Return True while the line is high."""
        return bool(self._device.pin.state)

    def close(self) -> None:
        """Release the line."""
        with suppress(Exception):
            self._device.close()


class KernelLine:
    """A line of the board's own `/dev/gpiochipN`. A thread for the line sleeps until the kernel reports an edge."""

    def __init__(
        self, pin: int | str, *, pull: str, bounce_s: float, edge: Callable[[], None], dev: Path = Path("/dev")
    ) -> None:
        """Open the line. Raises ValueError if there is no such pin, and OSError if the kernel refuses the line."""
        import gpiod  # 2 MB, so only a board that configures such a pin loads it
        from gpiod.line import Bias, Direction, Edge, Value

        self._gpio, self._edge, self._high = gpio_number(pin), edge, Value.ACTIVE
        settings = gpiod.LineSettings(
            direction=Direction.INPUT,
            edge_detection=Edge.BOTH,
            bias={"up": Bias.PULL_UP, "down": Bias.PULL_DOWN, "none": Bias.DISABLED}[pull],
            debounce_period=timedelta(seconds=bounce_s),
        )
        self._request = gpiod.request_lines(_chip(dev), {self._gpio: settings}, consumer="edge power")
        self._lock = threading.Lock()  # only one thread at a time may use a request
        self._end, self._ender = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._listen, name=f"gpio-{pin}", daemon=True)
        self._thread.start()

    def level(self) -> bool:
        """Return True while the line is high."""
        with self._lock:
            return self._request.get_value(self._gpio) is self._high

    def close(self) -> None:
        """Release the line."""
        if self._end < 0:
            return
        os.write(self._ender, b"\0")
        self._thread.join()
        with suppress(OSError):
            self._request.release()
        for fd in (self._end, self._ender):
            os.close(fd)
        self._end = -1

    def _listen(self) -> None:
        poll = select.poll()
        line = self._request.fd
        poll.register(line, select.POLLIN)
        poll.register(self._end, select.POLLIN)
        while True:
            for fd, event in poll.poll():
                if fd == self._end:
                    return
                if not event & select.POLLIN:  # the chip was removed; the next `level` raises OSError
                    poll.unregister(fd)
                    continue
                with suppress(OSError), self._lock:
                    self._request.read_edge_events()
            self._edge()


def _chip(dev: Path) -> str:
    """Return the path of the SoC's own GPIO chip: gpiochip0 on most boards, gpiochip4 on an early Pi 5.

    Raises OSError if there is none.
    """
    import gpiod

    chips = sorted(dev.glob("gpiochip*"))
    for path in chips:
        with gpiod.Chip(str(path)) as chip:
            if chip.get_info().label.startswith("pinctrl-"):
                return str(path)
    raise OSError(f"no GPIO chip of the SoC under {dev} ({len(chips)} others)")
