"""Reads any UPS that Network UPS Tools (NUT) supports, by running its program `upsc`."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from edge.config.about import about
from edge.config.power import PowerConfig
from edge.core.layout import Layout
from edge.power.inputs.battery import BatteryConfig, Chemistry
from edge.power.inputs.command import Command
from edge.power.inputs.doubt import JumpCheck, SupplyCheck
from edge.power.inputs.quantity import CONDITION, DISCHARGING, LOW_BATTERY, RUNTIME, Quantity, charge, supply
from edge.power.inputs.reading import Reading, Unreadable, Verdict, known, unknown
from edge.power.inputs.source import FoundSource

#: Words of `ups.status` that `condition` does not report: some count for supply or battery, the rest is harmless.
_HARMLESS = frozenset({"OL", "OB", "LB", "HB", "RB", "CHRG", "DISCHRG", "TRIM", "BOOST", "FSD", "ECO"})
#: Words that forbid surplus, and their meaning. An unknown word forbids surplus, too.
_MEANINGS = {
    "BYPASS": "the bypass is active, so no battery backs the supply",
    "CAL": "the UPS calibrates its battery by draining it",
    "TEST": "the UPS tests its battery",
    "OVER": "the UPS is overloaded",
    "ALARM": "the UPS has an alarm",
    "OFF": "the output of the UPS is off",
}
#: With one of these words the driver has lost the UPS, or has not reached it yet. All other values are old then.
_NO_CONTACT = frozenset({"COMMBAD", "NOCOMM", "WAIT"})
#: The `battery.runtime.low` of a UPS that does not report it: the default of most drivers.
_RUNTIME_LOW_S = 120.0
#: From this charge and this runtime on, both together contradict the word LB.
_FAR_PERCENT, _FAR_S = 70.0, 600.0


class NutConfig(BatteryConfig, frozen=True, tag="nut"):
    """Any UPS that Network UPS Tools supports, read with `upsc`."""

    ups: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9_.-]+@[A-Za-z0-9_.:\[\]-]+$"),
        about("name of the UPS, and the host of its NUT server"),
    ] = "ups@localhost"
    upsc: Annotated[str, about("the program upsc: a name or a path")] = "upsc"
    timeout_s: Annotated[float, Meta(gt=0, le=60), about("longest wait for an answer")] = 5.0

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Return supply, battery and status of the UPS."""
        return supply(power), LOW_BATTERY, CONDITION, charge(power), self.volts_quantity(), RUNTIME, DISCHARGING

    def open(self, layout: Layout, notify: Callable[[], None]) -> Nut:
        """Open the source."""
        return Nut(self)

    @classmethod
    def probe(cls, root: Path) -> Iterator[FoundSource]:
        """Yield each UPS that the upsd of this board lists."""
        if not shutil.which("upsc"):
            return
        try:
            listed = subprocess.run(["upsc", "-l"], capture_output=True, text=True, timeout=5, check=False)
        except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
            return
        for name in listed.stdout.split() if listed.returncode == 0 else []:
            if re.fullmatch(r"[A-Za-z0-9_.-]+", name):
                label = re.sub(r"[^a-z0-9_-]", "-", name.lower()).lstrip("-_")[:32] or "ups"
                yield FoundSource(cls(name=label, ups=f"{name}@localhost"))


class Nut:
    """Reads `supply`, `low_battery`, `condition`, `charge` (%), `volts`, `runtime` (s), `watts` and `discharging`.

    All are of one UPS. As in upsmon, a low battery while on battery (OB and LB) is critical, and so is a UPS whose
    primary host orders its shutdown (FSD). On battery, a runtime of `battery.runtime.low` or less counts as LB. While
    both charge and runtime are far from low, LB is low and not critical. A calibration is never critical. If upsd
    reports "Data stale", the readings are unknown; the policy counts that as low if the UPS was on battery before.
    """

    def __init__(self, record: NutConfig) -> None:
        self.name, self._record = record.label, record
        self._command = Command([record.upsc, record.ups], timeout_s=record.timeout_s)
        self._jump, self._supply = JumpCheck(), SupplyCheck()

    def read(self, now: float) -> tuple[Reading, ...]:
        """Return the readings from the values that upsd reports now."""
        ups = self._record.ups
        try:
            answer = self._command.ask(now)
        except Unreadable as err:
            return (unknown(self.name, "supply", f"{ups}: {err}"),)
        values = dict(line.split(": ", 1) for line in answer.splitlines() if ": " in line)
        if "ups.status" not in values:
            return (unknown(self.name, "supply", f"{ups}: no ups.status in the answer"),)
        status = frozenset(values["ups.status"].split())
        if lost := sorted(_NO_CONTACT & status):
            reason = f"{ups}: {' '.join(lost)}: the driver has no contact with the UPS ({' '.join(sorted(status))})"
            return (unknown(self.name, "supply", reason),)
        percent = self._number(values, "battery.charge", "charge", "%", 120.0)
        volts = self._number(values, "battery.voltage", "volts", "V", 1000.0)
        runtime = self._number(values, "battery.runtime", "runtime", "s", 1e7)
        watts = self._number(values, "ups.realpower", "watts", "W", 1e5)
        supplied = self._supplied(now, status, None if percent is None else percent.value)
        short = self._short_runtime(values, runtime) if supplied.value == 0 else ""
        full = "" if "FSD" in status else self._far_from_low(values, percent, runtime)
        low = self._low_battery(status, short, full, on_battery=supplied.value == 0)
        if percent is not None and percent.value is not None:
            confirmed = bool(short) or ("LB" in status and not full)
            percent = self._charge(now, values, status, percent.value, volts, confirmed=confirmed)
        readings = [supplied, low, self._condition(status, values), percent, volts, runtime, watts]
        if supplied.value is not None:
            discharging = "DISCHRG" in status or not supplied.value
            readings.append(known(self.name, "discharging", float(discharging)))
        return tuple(reading for reading in readings if reading is not None)

    def close(self) -> None:
        """Kill an upsc that still runs."""
        self._command.close()

    def _supplied(self, now: float, status: frozenset[str], charge: float | None) -> Reading:
        """Return the supply: by OL (on line) and OB (on battery), unless another word or the charge contradicts."""
        words, ups = " ".join(sorted(status)), self._record.ups
        if ("OL" in status) is ("OB" in status):
            return unknown(self.name, "supply", f"{ups}: ups.status is {words!r}, neither OL nor OB")
        if "OB" in status:
            self._supply.lost()
            return known(self.name, "supply", 0.0, reason=words)
        if "OFF" in status:
            reason = f"{ups}: OL and OFF contradict each other: the output is off, but this board has power ({words})"
            return unknown(self.name, "supply", reason)
        if "CAL" in status:
            self._supply.lost()
            return known(self.name, "supply", 1.0, reason=words)
        discharging = "DISCHRG" in status and "CHRG" not in status
        report = "OL and DISCHRG" if discharging else words
        # If the driver hangs, or the UPS notices the loss late, the status stays OL CHRG after the plug was pulled.
        charging = "CHRG" in status
        present, reason = self._supply.present(now, charge, discharging=discharging, status=report, charging=charging)
        if present is None:
            return unknown(self.name, "supply", f"{ups}: {reason}")
        return known(self.name, "supply", float(present), reason=reason or words)

    def _low_battery(self, status: frozenset[str], short: str, full: str, *, on_battery: bool) -> Reading:
        """Return `low_battery`. `short` is the text of `_short_runtime`, and `full` that of `_far_from_low`."""
        words = " ".join(sorted(status))
        if "FSD" in status:
            reason = f"forced shutdown ({words})"
            return known(self.name, "low_battery", 1.0, verdict=Verdict.CRITICAL, reason=reason)
        if "LB" not in status and not short:
            return known(self.name, "low_battery", 0.0)
        if "LB" in status and full:
            # Some models report LB as soon as the mains is lost. Two numbers of the UPS count for more than one word.
            return known(self.name, "low_battery", 1.0, verdict=Verdict.LOW, reason=f"LB contradicts {full} ({words})")
        critical = on_battery and "CAL" not in status
        reason = f"battery low ({words})" if "LB" in status else f"{short} ({words})"
        verdict = Verdict.CRITICAL if critical else Verdict.LOW
        return known(self.name, "low_battery", 1.0, verdict=verdict, reason=reason)

    def _condition(self, status: frozenset[str], values: Mapping[str, str]) -> Reading:
        """Return the condition of the UPS: what its status reports in addition to supply and battery."""
        words = " ".join(sorted(status))
        notes = [f"{word}: {_MEANINGS.get(word, 'not known')}" for word in sorted(status - _HARMLESS)]
        if not notes and not ("OL" in status and "DISCHRG" in status):
            return known(self.name, "condition", 1.0, verdict=Verdict.SURPLUS, reason=words)
        if "ALARM" in status and (alarm := values.get("ups.alarm")):
            notes.append(alarm[:100])
        verdict = Verdict.LOW if status & {"OVER", "OFF"} else Verdict.OK
        return known(self.name, "condition", 0.0, verdict=verdict, reason="; ".join(notes) or words)

    def _short_runtime(self, values: Mapping[str, str], runtime: Reading | None) -> str:
        """Return the reason why the runtime that is left is too short, or an empty string if it is not."""
        if runtime is None or runtime.value is None:
            return ""
        low = self._number(values, "battery.runtime.low", "runtime", "s", 1e7)
        limit_s = _RUNTIME_LOW_S if low is None or low.value is None else low.value
        if runtime.value > limit_s:
            return ""
        return f"on battery for {runtime.value:.0f} s more, low is {limit_s:.0f} s"

    def _far_from_low(self, values: Mapping[str, str], percent: Reading | None, runtime: Reading | None) -> str:
        """Return charge and runtime in words if both are far from low, else an empty string."""
        if percent is None or percent.value is None or runtime is None or runtime.value is None:
            return ""
        low = self._number(values, "battery.charge.low", "charge", "%", 100.0)
        low_percent = 0.0 if low is None or low.value is None else low.value
        low = self._number(values, "battery.runtime.low", "runtime", "s", 1e7)
        low_s = 0.0 if low is None or low.value is None else low.value
        if percent.value < max(_FAR_PERCENT, low_percent) or runtime.value < max(_FAR_S, 2 * low_s):
            return ""
        return f"a charge of {percent.value:g} % and a runtime of {runtime.value:.0f} s"

    def _number(self, values: Mapping[str, str], key: str, what: str, unit: str, high: float) -> Reading | None:
        """Return the reading of the number `key`, or None if the UPS does not report it."""
        if key not in values:
            return None
        text, ups = values[key], self._record.ups
        try:
            value = float(text)
        except ValueError:
            return unknown(self.name, what, f"{ups}: {key} garbled ({text[:20]!r})", unit)
        if not math.isfinite(value) or not 0 <= value <= high:
            return unknown(self.name, what, f"{ups}: {key} absurd ({text[:20]})", unit)
        return known(self.name, what, value, unit)

    def _charge(
        self,
        now: float,
        values: Mapping[str, str],
        status: frozenset[str],
        value: float,
        volts: Reading | None,
        *,
        confirmed: bool,
    ) -> Reading:
        """Return the charge, or an unknown reading with the reason not to believe it.

        `confirmed` is True if another value of the UPS also shows that the battery is low.
        """
        ups, percent = self._record.ups, min(value, 100.0)
        if percent == 0 and not confirmed:
            reason = f"{ups}: exactly 0 % is more often a bad bus than an empty battery"
            return unknown(self.name, "charge", reason, "%")
        if "CAL" in status:
            return unknown(self.name, "charge", f"{ups}: {percent:g} % while {_MEANINGS['CAL']} (CAL)", "%")
        reported = _chemistry(values.get("battery.type", ""))
        contradiction, meant = "", None
        if volts is not None and volts.value is not None and (self._record.chemistry or reported or self._record.cells):
            charging = True if "CHRG" in status else False if "OB" in status else None
            meant = self._record.charge_by_volts(volts.value, charging=charging, reported=reported)
            contradiction = self._record.contradiction(percent, volts.value, charging=charging, reported=reported)
        supported = confirmed or (meant is not None and not contradiction)
        doubt = self._jump.check(now, percent, supported=supported)
        if reason := contradiction or doubt:
            return unknown(self.name, "charge", f"{ups}: {reason}", "%")
        return known(self.name, "charge", percent, "%")


def _chemistry(text: str) -> Chemistry | None:
    """Return the chemistry that `battery.type` names, or None if it names none that is known."""
    plain = re.sub(r"[^a-z]", "", text.lower())
    if plain.startswith(("lifepo", "lfp")):
        return "lifepo4"
    if plain.startswith("li"):
        return "li-ion"
    return "lead-acid" if plain in {"pbac", "pb", "pbacid", "leadacid", "vrla", "agm"} else None
