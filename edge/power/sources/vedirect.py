"""Reads a Victron charger or battery monitor on its VE.Direct port: a text frame about each second, 19200 baud 8N1."""

from __future__ import annotations

import os
import re
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec

from edge.config.about import about
from edge.config.power import PowerConfig
from edge.core.layout import Layout
from edge.power.inputs import sysfs
from edge.power.inputs.battery import BatteryConfig
from edge.power.inputs.doubt import JumpCheck
from edge.power.inputs.quantity import (
    AMPS,
    BATTERY_WATTS,
    CONDITION,
    DISCHARGING,
    LOW_BATTERY,
    PHASE,
    RUNTIME,
    Quantity,
    charge,
    solar_watts,
)
from edge.power.inputs.reading import Reading, Unreadable, Verdict, known, unknown
from edge.power.inputs.source import FoundSource

_END = b"\r\nChecksum\t"
#: A frame consists only of such lines. The last line, Checksum, has a single byte of any value.
_LINES = re.compile(rb"(?:\r\n[A-Za-z0-9#]{1,9}\t[\x20-\x7e]{0,40})+")
#: First lines of a frame: chargers send frames that begin with PID; battery monitors also send frames with H1.
_STARTS = re.compile(rb"\r\n(?:PID|H1)\t")
#: Answers of the HEX protocol are not part of the checksum. Some end without a newline, or with another byte in its
#: place.
_HEX_MESSAGE = re.compile(rb":[0-9A-F]+[^\x20-\x7e\r\t]?")
_LONGEST = 8192
_PHASES = {
    0: "off", 2: "fault", 3: "bulk", 4: "absorption", 5: "float", 6: "storage", 7: "equalize", 9: "inverting",
    11: "power supply", 245: "starting up", 246: "repeated absorption", 247: "auto equalize", 252: "external control",
}  # fmt: skip
_FULL = frozenset({4, 5, 6, 7, 246, 247})
#: Bits of `AR`, the reason of an alarm.
_ALARMS = {
    1: "low voltage", 2: "high voltage", 4: "low state of charge", 8: "low starter voltage", 16: "high starter voltage",
    32: "low temperature", 64: "high temperature", 128: "mid voltage", 256: "overload", 512: "DC ripple",
}  # fmt: skip
_EMPTY_ALARMS = 1 | 4


class Number(msgspec.Struct, frozen=True):
    """A numeric field of a frame: its quantity, the divisor that gives our unit, and the plausible range."""

    key: str
    what: str
    unit: str
    scale: float
    low: float
    high: float


_NUMBERS = (
    Number("V", "volts", "V", 1000.0, 0.5, 100.0),
    Number("I", "amps", "A", 1000.0, -1000.0, 1000.0),
    Number("PPV", "solar_watts", "W", 1.0, 0.0, 50_000.0),
    Number("P", "battery_watts", "W", -1.0, -50_000.0, 50_000.0),  # the field is positive while charging
    Number("SOC", "charge", "%", 10.0, 0.0, 100.0),  # in per mille
    Number("TTG", "runtime", "s", 1 / 60, 0.0, 1e8),  # in minutes; -1 means infinite
)


class VeDirectConfig(BatteryConfig, frozen=True, tag="vedirect"):
    """A Victron charger or battery monitor (BMV, SmartShunt) on its VE.Direct port."""

    probe_rank: ClassVar[int] = 40

    device: Annotated[Path, about("serial port of the VE.Direct cable")] = Path("/dev/ttyUSB0")

    def owns(self) -> tuple[tuple[str, str, str], ...]:
        """Return the serial port. If two sources read the same port, each would get only a part of the frames."""
        return (("device", "serial port", str(self.device)),)

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Return the quantities of chargers (phase, solar watts) and of monitors (charge, alarm), with the volts."""
        return (
            self.volts_quantity(), AMPS, solar_watts(power), PHASE, charge(power), RUNTIME, LOW_BATTERY, CONDITION,
            BATTERY_WATTS, DISCHARGING,
        )  # fmt: skip

    def open(self, layout: Layout, notify: Callable[[], None]) -> VeDirect:
        """Open the source."""
        return VeDirect(self)

    @classmethod
    def probe(cls, root: Path) -> Iterator[FoundSource]:
        """Yield a source for each USB cable that Victron makes."""
        cables = [path for path in sysfs.folders(root / "dev/serial/by-id") if "VE_Direct" in path.name]
        for number, path in enumerate(cables, 1):
            name = None if number == 1 else f"vedirect{number}"
            yield FoundSource(cls(name=name, device=path), note="set cells or volts to let volts decide")


class Frames:
    """Cuts a byte stream into frames. The sum of all bytes of a good frame is 0 modulo 256."""

    def __init__(self) -> None:
        self._buffer = b""
        self.bad = 0

    def feed(self, data: bytes) -> Iterator[dict[str, str]]:
        """Add `data`, and yield the fields of each good frame that is now complete. Count and drop bad frames."""
        self._buffer = (self._buffer + data)[-_LONGEST:]
        while (at := self._buffer.find(_END)) >= 0 and len(self._buffer) > at + len(_END):
            cut = at + len(_END) + 1
            raw, self._buffer = self._buffer[:cut], self._buffer[cut:]
            if (fields := _frame(raw)) is not None:
                yield fields
            else:
                self.bad += 1  # normal for the first frame after the port is opened, whose beginning is missing


def _frame(raw: bytes) -> dict[str, str] | None:
    """Return the fields of the frame at the end of `raw`, or None if no possible beginning gives a good checksum.

    Bytes before the first line are a HEX message or noise, and belong to no frame. If the end of a frame was lost,
    `raw` has that frame and then a complete one, which begins at its own first line.
    """
    body, checksum = raw[:-1], raw[-1:]
    for text in dict.fromkeys((body, _HEX_MESSAGE.sub(b"", body))):
        starts = dict.fromkeys((text.find(b"\r\n"), *(match.start() for match in _STARTS.finditer(text))))
        for start in starts:
            lines = text[start:]
            if sum(lines + checksum) % 256 == 0 and _LINES.fullmatch(lines):
                pairs = (line.split("\t", 1) for line in lines.decode("ascii").split("\r\n") if line)
                return {key: value for key, value in pairs if key != "Checksum"}
    return None


class VeDirect:
    """Reads `volts` and `amps` of the battery.

    A charger also has `solar_watts`, `condition` and `phase` (absorption and float mean surplus). A battery monitor
    also has `charge`, `runtime`, `low_battery`, `condition`, `battery_watts` and `discharging`.

    Bytes are taken from the port at each read only, so a frame each second costs no wake-ups. The age of a reading is
    therefore an upper bound: the time since the read before.
    """

    #: The kernel buffers 4096 bytes of a port, and a charger sends about 200 bytes a second.
    max_period_s = 15.0

    def __init__(self, record: VeDirectConfig, *, stale_s: float = 30.0) -> None:
        self.name, self._record, self._stale_s = record.label, record, stale_s
        self._fd: int | None = None
        self._frames = Frames()
        self._fields: dict[str, tuple[str, float]] = {}  # field -> its text, and the earliest time at which it came
        self._drained: float | None = None  # time of the last read
        self._jump = JumpCheck()
        self._reported: dict[str, str] = {}  # quantities that were reported, with their units

    def read(self, now: float) -> tuple[Reading, ...]:
        """Return the newest values, each with its age."""
        bad, device = self._frames.bad, self._record.device
        try:
            arrived = self._drain()
        except Unreadable as err:
            self.close()
            return self._nothing(err)
        # These bytes came at some time since the last read. At the first read, the driver has only what came since the
        # port was opened.
        came = self._drained if self._drained is not None else now
        for frame in self._frames.feed(arrived):
            self._fields |= {key: (text, came) for key, text in frame.items()}
        self._drained = now
        if not self._fields:
            garbled = self._frames.bad > bad or (arrived and not self._frames.bad)
            return self._nothing(f"{device}: {'no good frame yet, bytes are garbled' if garbled else 'silent'}")
        age_s = now - max(came for _, came in self._fields.values())
        if age_s > self._stale_s:
            return self._nothing(f"{device}: no good frame for {age_s:.0f} s", age_s)
        readings = tuple(self._readings(now))
        self._reported |= {each.what: each.unit for each in readings}
        return readings

    def close(self) -> None:
        """Close the port. The next read opens it again."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):
                os.close(fd)
        self._frames = Frames()
        self._fields, self._drained = {}, None

    def _nothing(self, reason: object, age_s: float = 0.0) -> tuple[Reading, ...]:
        """Return unknown readings: of `volts`, and of the charge and the phase if they were reported before.

        If neither charge nor phase was reported before, the source itself is unknown, too.
        """
        known_of = {what: unit for what, unit in self._reported.items() if what in {"charge", "phase"}}
        return tuple(
            unknown(self.name, what, reason, unit, age_s=age_s)
            for what, unit in ({"volts": "V"} | (known_of or {"source": ""})).items()
        )

    def _drain(self) -> bytes:
        """Return the bytes that have arrived. Opens the port if it is not open. Raises Unreadable."""
        device = self._record.device
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
                    # A tty with VMIN 0 returns no bytes when it is empty, but also when its device was removed.
                    if not device.exists():
                        raise Unreadable(f"{device}: unplugged")
                    return data
                data += chunk
            return data
        except (OSError, termios.error) as err:
            raise Unreadable(f"{device}: {getattr(err, 'strerror', None) or err.args[-1]}") from err

    def _open(self) -> int:
        fd = os.open(self._record.device, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
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

    def _field(self, key: str, now: float) -> tuple[str, float] | None:
        """Return (text, age) of a field, or None if no recent frame had it.

        A device may send its fields in several frames, so a single frame without the field proves nothing.
        """
        if key not in self._fields or now - self._fields[key][1] > self._stale_s:
            return None
        text, came = self._fields[key]
        return text, now - came

    def _readings(self, now: float) -> Iterator[Reading]:
        device = self._record.device
        numbers = {number.what: self._number(number, now) for number in _NUMBERS}
        volts, amps, percent = numbers["volts"], numbers["amps"], numbers["charge"]
        if volts is None:
            numbers["volts"] = volts = unknown(self.name, "volts", f"{device}: no V in the frames", "V")
        if percent is not None and percent.value is not None:
            contradiction, doubt = self._doubts(now, percent.value, volts.value, amps)
            if reason := contradiction or doubt:
                numbers["charge"] = unknown(self.name, "charge", f"{device}: {reason}", "%", age_s=percent.age_s)
            if contradiction and self._record.volts_limits():  # neither of the two may decide
                numbers["volts"] = unknown(self.name, "volts", f"{device}: {contradiction}", "V", age_s=volts.age_s)
        yield from (reading for reading in numbers.values() if reading is not None)
        if percent is not None and amps is not None and amps.value is not None:
            yield known(self.name, "discharging", float(amps.value < 0), age_s=amps.age_s)
        yield from self._alarm(now)
        if "phase" in self._reported or "CS" in self._fields or "PPV" in self._fields:  # battery monitors have no phase
            yield self._phase(now)

    def _number(self, number: Number, now: float) -> Reading | None:
        """Return the reading of one number, or None if the frames do not have it or report it as infinite."""
        field, device = self._field(number.key, now), self._record.device
        if field is None:
            if number.what == "charge" and "charge" in self._reported:
                return unknown(self.name, "charge", f"{device}: no SOC in the frames any more", "%")
            return None
        text, age_s = field
        if number.key == "TTG" and text == "-1":
            return None
        what, unit = number.what, number.unit
        if number.key == "SOC" and not text.strip("-"):
            return unknown(self.name, what, f"{device}: the monitor does not know it yet (SOC ---)", unit, age_s=age_s)
        if not re.fullmatch(r"-?[0-9]{1,9}", text):
            return unknown(self.name, what, f"{device}: {number.key} garbled ({text[:20]!r})", unit, age_s=age_s)
        value = int(text) / number.scale
        if not number.low <= value <= number.high:
            return unknown(self.name, what, f"{device}: {number.key} absurd ({text})", unit, age_s=age_s)
        return known(self.name, what, value, unit, age_s=age_s)

    def _doubts(self, now: float, percent: float, volts: float | None, amps: Reading | None) -> tuple[str, str]:
        """Return two reasons not to believe the charge: a contradiction with the volts, and a doubt from its past.

        Each is an empty string if there is no such reason.
        """
        meant, contradiction = None, ""
        if volts is not None and (self._record.cells or self._record.volts):
            charging = None if amps is None or amps.value is None else amps.value > 0
            meant = self._record.charge_by_volts(volts, charging=charging)
            contradiction = self._record.contradiction(percent, volts, charging=charging)
        return contradiction, self._jump.check(now, percent, supported=meant is not None and not contradiction)

    def _alarm(self, now: float) -> Iterator[Reading]:
        """Yield the readings of a monitor's alarm and a charger's error.

        An alarm about an empty battery makes power low. Any other alarm or error forbids surplus.
        """
        alarm, error = self._field("Alarm", now), self._field("ERR", now)
        notes = []
        if alarm is not None:
            reasons, _ = self._field("AR", now) or ("0", 0.0)
            bits = int(reasons) if re.fullmatch(r"[0-9]{1,5}", reasons) else 0
            on = alarm[0].strip().upper() == "ON"
            if on:
                notes.append(f"alarm: {', '.join(name for bit, name in _ALARMS.items() if bits & bit) or 'alarm'}")
            if on and bits & _EMPTY_ALARMS:
                yield known(self.name, "low_battery", 1.0, verdict=Verdict.LOW, reason=notes[0], age_s=alarm[1])
            else:
                yield known(self.name, "low_battery", 0.0, age_s=alarm[1])
        if error is not None and not re.fullmatch(r"0{1,3}", error[0]):
            # Some errors do not change the phase: a charger that is too hot may still report float.
            notes.append(f"charger error (ERR {error[0][:20]})")
        ages = [field[1] for field in (alarm, error) if field is not None]
        if notes:
            yield known(self.name, "condition", 0.0, reason="; ".join(notes), age_s=max(ages))
        elif ages:
            reason = "no error" if alarm is None else "no alarm"
            yield known(self.name, "condition", 1.0, verdict=Verdict.SURPLUS, reason=reason, age_s=max(ages))

    def _phase(self, now: float) -> Reading:
        """Return the phase of a charger."""
        device = self._record.device
        text, age_s = self._field("CS", now) or ("", 0.0)
        phase = int(text) if re.fullmatch(r"[0-9]{1,3}", text) else None
        if phase not in _PHASES:
            reason = f"charger state {text[:20]!r} is not known" if text else "no charger state in the frames"
            return unknown(self.name, "phase", f"{device}: {reason}", age_s=age_s)
        if phase == 2:
            error, _ = self._field("ERR", now) or ("?", 0.0)
            reason = f"charger fault, ERR {error}"
            return known(self.name, "phase", 2.0, verdict=Verdict.LOW, reason=reason, age_s=age_s)
        verdict = Verdict.SURPLUS if phase in _FULL else Verdict.OK
        return known(self.name, "phase", float(phase), verdict=verdict, reason=_PHASES[phase], age_s=age_s)
