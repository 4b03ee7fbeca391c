"""GPIO lines as inputs with edges, by gpiozero or straight by the kernel's character device.

gpiozero is the usual way and knows every board. Its lgpio, though, looks 2,000 times a second at a line whose
edges are watched (the 0.5 ms of `ppoll` in lgPthAlerts.c). The kernel's own interface sleeps until there is an
edge and debounces by itself: for boards where idle watts count.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

# linux/gpio.h, second version of its interface: numbers, and offsets in struct gpio_v2_line_request.
_GET_CHIPINFO, _GET_LINE, _GET_VALUES = 0x8044B401, 0xC250B407, 0xC010B40E
_REQUEST_SIZE, _CONSUMER, _FLAGS, _ATTRS, _ATTR_0, _LINES, _FD = 592, 256, 288, 296, 320, 560, 588
_INPUT, _EDGES, _DEBOUNCE = 0x4, 0x10 | 0x20, 3
_BIAS = {"up": 0x100, "down": 0x200, "none": 0x400}


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
        from gpiozero import DigitalInputDevice  # heavy: only a board that configures a pin pays for it

        pull_up = {"up": True, "down": False, "none": None}[pull]
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
        self,
        pin: int | str,
        *,
        pull: str,
        bounce_s: float,
        edge: Callable[[], None],
        dev: Path = Path("/dev"),
        ioctl: Callable[[int, int, bytearray], Any] = fcntl.ioctl,
    ) -> None:
        match = re.fullmatch(r"(?:GPIO|BCM)?([0-9]{1,2})", str(pin))
        if not match:
            raise ValueError(f"{pin!r} is not the number of a line; `via: gpiozero` knows names")
        self._ioctl, self._edge = ioctl, edge
        self._fd = self._request(_chip(dev, ioctl), int(match[1]), pull, bounce_s)
        self._end, self._ender = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._listen, name=f"gpio-{pin}", daemon=True)
        self._thread.start()

    def level(self) -> bool:
        """True while the wire is high."""
        values = bytearray(struct.pack("=QQ", 0, 1))
        self._ioctl(self._fd, _GET_VALUES, values)
        bits, _ = struct.unpack("=QQ", values)
        return bool(bits & 1)

    def close(self) -> None:
        """Let the line go."""
        if self._fd < 0:
            return
        os.write(self._ender, b"\0")
        self._thread.join()
        for fd in (self._fd, self._end, self._ender):
            os.close(fd)
        self._fd = -1

    def _request(self, chip: Path, line: int, pull: str, bounce_s: float) -> int:
        request = bytearray(_REQUEST_SIZE)
        struct.pack_into("=I", request, 0, line)
        struct.pack_into("=32s", request, _CONSUMER, b"edge power")
        struct.pack_into("=Q", request, _FLAGS, _INPUT | _EDGES | _BIAS[pull])
        if bounce_s:
            struct.pack_into("=I", request, _ATTRS, 1)
            struct.pack_into("=IIQQ", request, _ATTR_0, _DEBOUNCE, 0, round(bounce_s * 1e6), 1)
        struct.pack_into("=I", request, _LINES, 1)
        fd = os.open(chip, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._ioctl(fd, _GET_LINE, request)
        finally:
            os.close(fd)
        (found,) = struct.unpack_from("=i", request, _FD)
        return int(found)

    def _listen(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.register(self._end, select.POLLIN)
        while True:
            for fd, event in poll.poll():
                if fd == self._end:
                    return
                if not event & select.POLLIN:  # the chip has gone: the next `level` says so
                    poll.unregister(fd)
                    continue
                with suppress(OSError):
                    os.read(fd, 4096)
            self._edge()


def _chip(dev: Path, ioctl: Callable[[int, int, bytearray], Any]) -> Path:
    """The chip of the SoC's own pins: gpiochip0 on most boards, gpiochip4 on an early Pi 5. Raises OSError."""
    chips = sorted(dev.glob("gpiochip*"))
    for path in chips:
        info = bytearray(68)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            ioctl(fd, _GET_CHIPINFO, info)
        finally:
            os.close(fd)
        if info[32:64].startswith(b"pinctrl-"):
            return path
    raise OSError(f"no GPIO chip of the SoC under {dev} ({len(chips)} others)")
