"""GPIO lines as inputs with edges, by gpiozero or straight by the kernel's character device.

gpiozero is the usual way and knows every board. Its lgpio, though, looks 2,000 times a second at a line whose
edges are watched (the 0.5 ms of `ppoll` in lgPthAlerts.c). The kernel's own interface, through gpiod, sleeps until
there is an edge and debounces by itself: for boards where idle watts count.
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
    """One input line. `level` raises OSError, or what gpiozero raises, when it cannot be read."""

    def level(self) -> bool:
        """True while the wire is high."""
        ...

    def close(self) -> None:
        """Let the line go; may be called twice."""
        ...


def open_line(via: str, pin: int | str, *, pull: str, bounce_s: float, edge: Callable[[], None]) -> Line:
    """The line `pin`; `edge` is called from another thread at each change, and must only wake somebody up."""
    kind = KernelLine if via == "kernel" else GpiozeroLine
    return kind(pin, pull=pull, bounce_s=bounce_s, edge=edge)


class GpiozeroLine:
    """A gpiozero DigitalInputDevice, on the pin factory that GPIOZERO_PIN_FACTORY or the board chooses."""

    def __init__(self, pin: int | str, *, pull: str, bounce_s: float, edge: Callable[[], None]) -> None:
        """Take the line; gpiozero has no types, so its device is `Any` here and nowhere else."""
        from gpiozero import DigitalInputDevice  # heavy: only a board that configures a pin pays for it

        pull_up = {"up": True, "down": False, "none": None}[pull]
        # `Any`: gpiozero has no types.
        self._device: Any = DigitalInputDevice(
            pin, pull_up=pull_up, active_state=True if pull_up is None else None, bounce_time=bounce_s or None
        )
        self._device.when_activated = self._device.when_deactivated = edge

    def level(self) -> bool:
        """True while the wire is high."""
        return bool(self._device.pin.state)

    def close(self) -> None:
        """Let the line go."""
        with suppress(Exception):
            self._device.close()


class KernelLine:
    """A line of the board's own `/dev/gpiochipN`; one thread sleeps until the kernel tells of an edge."""

    def __init__(
        self, pin: int | str, *, pull: str, bounce_s: float, edge: Callable[[], None], dev: Path = Path("/dev")
    ) -> None:
        """Take the line. Raises ValueError for what is no pin, and OSError where the kernel refuses it."""
        import gpiod  # 2 MB: only a board that configures such a pin pays for it
        from gpiod.line import Bias, Direction, Edge, Value

        self._gpio, self._edge, self._high = gpio_number(pin), edge, Value.ACTIVE
        settings = gpiod.LineSettings(
            direction=Direction.INPUT,
            edge_detection=Edge.BOTH,
            bias={"up": Bias.PULL_UP, "down": Bias.PULL_DOWN, "none": Bias.DISABLED}[pull],
            debounce_period=timedelta(seconds=bounce_s),
        )
        self._request = gpiod.request_lines(_chip(dev), {self._gpio: settings}, consumer="edge power")
        self._lock = threading.Lock()  # a request is for one thread at a time
        self._end, self._ender = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._listen, name=f"gpio-{pin}", daemon=True)
        self._thread.start()

    def level(self) -> bool:
        """True while the wire is high."""
        with self._lock:
            return self._request.get_value(self._gpio) is self._high

    def close(self) -> None:
        """Let the line go."""
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
                if not event & select.POLLIN:  # the chip has gone: the next `level` says so
                    poll.unregister(fd)
                    continue
                with suppress(OSError), self._lock:
                    self._request.read_edge_events()
            self._edge()


def _chip(dev: Path) -> str:
    """The chip of the SoC's own pins: gpiochip0 on most boards, gpiochip4 on an early Pi 5. Raises OSError."""
    import gpiod

    chips = sorted(dev.glob("gpiochip*"))
    for path in chips:
        with gpiod.Chip(str(path)) as chip:
            if chip.get_info().label.startswith("pinctrl-"):
                return str(path)
    raise OSError(f"no GPIO chip of the SoC under {dev} ({len(chips)} others)")
