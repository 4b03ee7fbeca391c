"""A Victron charger on its VE.Direct port: text frames at 19200 8N1, about one a second."""

from __future__ import annotations

import os
import re
import termios
import tty
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge.power.sources.reading import Reading, Unreadable, Verdict, unknown

_END = b"\r\nChecksum\t"
_HEX_MESSAGE = re.compile(rb":[0-9A-F]*\n")  # asynchronous answers of the HEX protocol, not in the sum
_LONGEST = 8192
_PHASES = {
    0: "off", 2: "fault", 3: "bulk", 4: "absorption", 5: "float", 6: "storage", 7: "equalize", 9: "inverting",
    11: "power supply", 245: "starting up", 246: "repeated absorption", 247: "auto equalize", 252: "external control",
}  # fmt: skip
_FULL = frozenset({4, 5, 6, 7, 246, 247})


class Frames:
    """Cuts a byte stream into frames whose bytes sum up to 0 modulo 256."""

    def __init__(self) -> None:
        self._buffer = b""
        self.bad = 0

    def feed(self, data: bytes) -> Iterator[dict[str, str]]:
        """The good frames that are complete with `data`; a bad one is counted and dropped."""
        self._buffer = (self._buffer + data)[-_LONGEST:]
        while (at := self._buffer.find(_END)) >= 0 and len(self._buffer) > at + len(_END):
            cut = at + len(_END) + 1
            frame, self._buffer = self._buffer[:cut], self._buffer[cut:]
            if sum(frame) % 256 and sum(frame := _HEX_MESSAGE.sub(b"", frame)) % 256:
                self.bad += 1  # the first one after opening is nearly always cut
                continue
            lines = frame.decode("latin-1").split("\r\n")
            yield dict(line.split("\t", 1) for line in lines if "\t" in line and not line.startswith("Checksum"))


class VeDirect:
    """Reads `volts` and `amps` of the battery, `solar_watts`, and `phase` (absorption and float say surplus).

    The port is drained at each read and not in between, so that a frame a second costs no wake-ups; the
    age of a reading is therefore an upper bound: the time since the read before.
    """

    #: The kernel keeps 4096 bytes of a port; a charger sends about 200 a second.
    max_period_s = 15.0

    def __init__(self, name: str = "vedirect", *, device: Path = Path("/dev/ttyUSB0"), stale_s: float = 30.0) -> None:
        self.name, self.device, self.stale_s = name, device, stale_s
        self._fd: int | None = None
        self._frames = Frames()
        self._fields: dict[str, str] = {}
        self._seen: float | None = None
        self._drained: float | None = None

    def read(self, now: float) -> tuple[Reading, ...]:
        """The newest frame's numbers, with their age."""
        bad = self._frames.bad
        try:
            arrived = self._drain()
        except Unreadable as err:
            self.close()
            return self._nothing(err)
        for frame in self._frames.feed(arrived):
            self._fields |= frame
            # Somewhere since the last drain; a first drain finds what the driver kept since it was opened.
            self._seen = self._drained if self._drained is not None else now
        self._drained = now
        if self._seen is None:
            garbled = self._frames.bad > bad or (arrived and not self._frames.bad)
            return self._nothing(f"{self.device}: {'no good frame yet, bytes are garbled' if garbled else 'silent'}")
        age_s = now - self._seen
        if age_s > self.stale_s:
            self._fields.clear()
            return self._nothing(f"{self.device}: no good frame for {age_s:.0f} s", age_s)
        return tuple(self._readings(age_s))

    def close(self) -> None:
        """Let the port go; the next read opens it anew."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):
                os.close(fd)
        self._frames = Frames()
        self._fields, self._seen, self._drained = {}, None, None

    def _nothing(self, reason: object, age_s: float = 0.0) -> tuple[Reading, ...]:
        return (
            unknown(self.name, "volts", reason, "V", age_s=age_s),
            unknown(self.name, "phase", reason, age_s=age_s),
        )

    def _drain(self) -> bytes:
        try:
            if self._fd is None:
                self._fd = self._open()
            data = b""
            while len(data) < _LONGEST:
                try:
                    chunk = os.read(self._fd, _LONGEST)
                except BlockingIOError:
                    return data
                if not chunk:
                    # A tty with VMIN 0 says so when it is empty; one whose device is gone says it too.
                    if not self.device.exists():
                        raise Unreadable(f"{self.device}: unplugged")
                    return data
                data += chunk
            return data
        except (OSError, termios.error) as err:
            raise Unreadable(f"{self.device}: {getattr(err, 'strerror', None) or err.args[-1]}") from err

    def _open(self) -> int:
        fd = os.open(self.device, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            tty.setraw(fd)
            attributes = termios.tcgetattr(fd)
            attributes[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
            attributes[4] = attributes[5] = termios.B19200
            termios.tcsetattr(fd, termios.TCSANOW, attributes)
        except (OSError, termios.error):
            os.close(fd)
            raise
        return fd

    def _readings(self, age_s: float) -> Iterator[Reading]:
        for key, what, unit, scale, low, high in (
            ("V", "volts", "V", 1000.0, 0.5, 100.0),
            ("I", "amps", "A", 1000.0, -1000.0, 1000.0),
            ("PPV", "solar_watts", "W", 1.0, 0.0, 50_000.0),
        ):
            if key not in self._fields:
                if key == "V":
                    yield unknown(self.name, "volts", f"{self.device}: no V in the frames", "V", age_s=age_s)
                continue
            text = self._fields[key]
            value = int(text) / scale if re.fullmatch(r"-?[0-9]{1,9}", text) else None
            if value is None:
                yield unknown(self.name, what, f"{self.device}: {key} garbled ({text[:20]!r})", unit, age_s=age_s)
            elif not low <= value <= high:
                yield unknown(self.name, what, f"{self.device}: {key} absurd ({text})", unit, age_s=age_s)
            else:
                yield Reading(self.name, what, value, unit, age_s, Verdict.OK)
        yield self._phase(age_s)

    def _phase(self, age_s: float) -> Reading:
        text = self._fields.get("CS", "")
        phase = int(text) if re.fullmatch(r"[0-9]{1,3}", text) else None
        if phase not in _PHASES:
            reason = f"charger state {text[:20]!r} is not one we know" if text else "no charger state in the frames"
            return unknown(self.name, "phase", f"{self.device}: {reason}", age_s=age_s)
        if phase == 2:
            reason = f"charger fault, ERR {self._fields.get('ERR', '?')}"
            return Reading(self.name, "phase", 2.0, "", age_s, Verdict.LOW, reason)
        verdict = Verdict.SURPLUS if phase in _FULL else Verdict.OK
        return Reading(self.name, "phase", float(phase), "", age_s, verdict, _PHASES[phase])
