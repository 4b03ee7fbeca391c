"""Any UPS that Network UPS Tools know, asked through `upsc`."""

from __future__ import annotations

import math

from edge.power.sources.command import Command
from edge.power.sources.reading import JumpCheck, Reading, Unreadable, Verdict, known, unknown


class Nut:
    """Reads `supply`, `charge` (%), `runtime` (s), `watts` and `low_battery` of one UPS.

    On battery with a low battery (OB and LB), or ordered down by the primary (FSD), is critical, as
    upsmon has it. upsd's own "Data stale" is unknown; the policy takes that for low after "on battery".
    """

    def __init__(
        self, name: str = "nut", *, ups: str = "ups@localhost", upsc: str = "upsc", timeout_s: float = 5.0
    ) -> None:
        self.name, self.ups = name, ups
        self._command = Command([upsc, ups], timeout_s=timeout_s)
        self._jump = JumpCheck(20.0)

    def read(self, now: float) -> tuple[Reading, ...]:
        """What upsd says now."""
        try:
            answer = self._command.ask(now)
        except Unreadable as err:
            return (unknown(self.name, "supply", f"{self.ups}: {err}"),)
        values = dict(line.split(": ", 1) for line in answer.splitlines() if ": " in line)
        if "ups.status" not in values:
            return (unknown(self.name, "supply", f"{self.ups}: no ups.status in the answer"),)
        status = frozenset(values["ups.status"].split())
        readings = [*self._status(status)]
        if "battery.charge" in values:
            readings.append(self._charge(now, values["battery.charge"]))
        for key, what, unit, high in (("battery.runtime", "runtime", "s", 1e7), ("ups.realpower", "watts", "W", 1e5)):
            if key in values:
                readings.append(self._number(key, what, unit, values[key], high))
        return tuple(readings)

    def close(self) -> None:
        """Stop an upsc that hangs."""
        self._command.close()

    def _status(self, status: frozenset[str]) -> tuple[Reading, ...]:
        words = " ".join(sorted(status))
        if "FSD" in status:
            low = known(self.name, "low_battery", 1.0, verdict=Verdict.CRITICAL, reason=f"forced shutdown ({words})")
        elif "LB" in status:
            on_battery = "OB" in status
            verdict = Verdict.CRITICAL if on_battery else Verdict.LOW
            low = known(self.name, "low_battery", 1.0, verdict=verdict, reason=f"battery low ({words})")
        else:
            low = known(self.name, "low_battery", 0.0)
        if "OL" in status and "OB" not in status:
            return known(self.name, "supply", 1.0, reason=words), low
        if "OB" in status and "OL" not in status:
            return known(self.name, "supply", 0.0, reason=words), low
        return unknown(self.name, "supply", f"{self.ups}: ups.status is {words!r}, neither OL nor OB"), low

    def _number(self, key: str, what: str, unit: str, text: str, high: float) -> Reading:
        try:
            value = float(text)
        except ValueError:
            return unknown(self.name, what, f"{self.ups}: {key} garbled ({text[:20]!r})", unit)
        if not math.isfinite(value) or not 0 <= value <= high:
            return unknown(self.name, what, f"{self.ups}: {key} absurd ({text[:20]})", unit)
        return known(self.name, what, value, unit)

    def _charge(self, now: float, text: str) -> Reading:
        charge = self._number("battery.charge", "charge", "%", text, 120.0)
        if charge.value is None:
            return charge
        if charge.value == 0:
            return unknown(
                self.name, "charge", f"{self.ups}: exactly 0 % is more often a bad bus than an empty one", "%"
            )
        if doubt := self._jump.check(now, min(charge.value, 100.0)):
            return unknown(self.name, "charge", f"{self.ups}: {doubt}", "%")
        return known(self.name, "charge", min(charge.value, 100.0), "%")
