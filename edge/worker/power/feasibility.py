"""Checks if the board is cool enough for a job, and if the battery lasts to the job's end.

The model is simple on purpose. The need of a kind of job is the mean of its earlier runs on this worker, once there are
three runs. The supply is the `runtime` that a UPS reports. Or it is the charge above the pause threshold (or above the
floor of the governor's plan) of a battery whose size is set in `power.battery_wh`. If need or supply is unknown, or
power comes from outside, no job is parked for lack of energy. A job of class `always` never is: it may use all energy
down to critical, and the board stays awake for it.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from edge.config.power import PowerConfig
from edge.core import durable, stored
from edge.model import Energy, Power, PowerState, PowerStatus, WaitReason
from edge.power import status

#: The mean of a kind of job is used after this number of runs.
_ENOUGH = 3
#: Weight of a new run in the mean, once there are many runs.
_WEIGHT = 0.2
#: A board that was too hot must cool down to this much below the limit.
COOLER_C = 3.0
_SAVE_EVERY_S = 600.0
#: A kind of job is short if it takes at most this time on average. Short jobs are committed in groups, because none of
#: them waits long for another.
SHORT_S = 0.02


class KindAverage(msgspec.Struct, frozen=True):
    """The mean time and energy of a kind of job. Newer runs count more."""

    runs: int
    seconds: float
    joules: float


class KindAverages:
    """Keeps the averages by task, and saves them to a small file every ten minutes. Belongs to the main thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved_at = time.monotonic()
        try:
            self._averages = stored.read(path, dict[str, KindAverage])
        except (OSError, stored.BadContent):
            self._averages = {}

    def note(self, task: str, energy: Energy) -> None:
        """Add a run of this kind of job. Raises OSError."""
        old = self._averages.get(task, KindAverage(0, 0.0, 0.0))
        weight = max(_WEIGHT, 1 / (old.runs + 1))
        self._averages[task] = KindAverage(
            old.runs + 1,
            old.seconds + weight * (energy.seconds - old.seconds),
            old.joules + weight * (energy.joules - old.joules),
        )
        if time.monotonic() - self._saved_at > _SAVE_EVERY_S:
            self.save()

    def expected(self, task: str) -> KindAverage | None:
        """Return the averages of this kind of job, or None until enough jobs of the kind have run."""
        kind = self._averages.get(task)
        return kind if kind is not None and kind.runs >= _ENOUGH else None

    def is_short(self, task: str) -> bool:
        """Return True if jobs of this kind are known to be short, see `SHORT_S`."""
        kind = self._averages.get(task)
        return kind is not None and kind.runs >= _ENOUGH and kind.seconds <= SHORT_S

    def mean_s(self, task: str) -> float:
        """Return the mean time of this kind of job in seconds, or 0 if it is not known."""
        kind = self._averages.get(task)
        return kind.seconds if kind is not None else 0.0

    def save(self) -> None:
        """Write the averages. Raises OSError."""
        self._saved_at = time.monotonic()
        if self._averages:
            durable.make_folder(self._path.parent)
            durable.replace_volatile(self._path, msgspec.json.encode(self._averages))


def too_hot(max_temp_c: float | None, report: PowerStatus, *, held: bool = False) -> WaitReason | None:
    """Return why a job may not run at the current temperature, or None if it may.

    Args:
        max_temp_c: the limit of the job.
        report: the governor's report.
        held: the job waits already because of its limit; then the board must be clearly cooler, see `COOLER_C`.
    """
    if max_temp_c is None:
        return None
    limit_c = max_temp_c - COOLER_C if held else max_temp_c
    sensors = [reading for reading in report.readings if reading.what == "temperature"]
    hottest = max((reading.value for reading in sensors if reading.value is not None), default=None)
    until = f"it is at most {max_temp_c - COOLER_C:g} °C"
    # An unknown temperature counts as too hot. On a board without a sensor the job runs, as it would wait forever.
    if sensors and hottest is None:
        return WaitReason(0.0, f"nobody knows how hot the board is, the job allows {max_temp_c:g} °C", until=until)
    if hottest is None or hottest <= limit_c:
        return None
    return WaitReason(0.0, f"the board is at {hottest:.0f} °C, the job allows {max_temp_c:g} °C", until=until)


def too_much(kind: KindAverage | None, report: PowerStatus, config: PowerConfig, *, power: Power) -> WaitReason | None:
    """Return why the battery would not last to the end of a job, or None if it lasts or is not needed.

    Args:
        kind: the mean time and energy of jobs of this kind, or None if they are not known.
        report: the governor's report.
        config: the section `power` of the configuration.
        power: the power class of the job.
    """
    if power is Power.ALWAYS:
        # At low power the charge is below the pause threshold, so each known kind would wait. The gateway keeps the
        # board awake for such a job, so a parked one would let the board idle down to critical.
        return None
    values = {reading.what: reading.value for reading in report.readings if reading.value is not None}
    if kind is None or values.get("supply") or report.state is PowerState.SURPLUS:
        return None
    runtime_s = values.get("runtime")
    if runtime_s is not None and "supply" in values:
        if kind.seconds <= runtime_s:
            return None
        reason = f"jobs of its kind take {kind.seconds:.0f} s, the battery lasts {runtime_s:.0f} s"
        return WaitReason(0.0, reason, until="the battery lasts longer, or power comes from outside")
    charge, battery_wh = values.get("charge"), config.battery_wh
    if charge is None or battery_wh is None:
        return None
    left_wh = max(charge - status.pause_percent(report, config.thresholds), 0.0) / 100 * battery_wh
    needed_wh = kind.joules / 3600
    if needed_wh <= left_wh:
        return None
    reason = f"jobs of its kind take {needed_wh:.2g} Wh, {left_wh:.2g} Wh are left above the pause threshold"
    return WaitReason(0.0, reason, until="the charge is enough, or there is surplus power")
