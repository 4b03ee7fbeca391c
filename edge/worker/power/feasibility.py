"""Whether a job fits what there is now: the board's heat, and what is left in the battery.

The model is small on purpose. What a kind of job takes is the mean of its own earlier runs here, once there are three;
what is left is a UPS's own `runtime`, or the charge above the pause threshold of a battery whose size
(`power.battery_wh`) is known. Where one of the two is not known, or power comes from outside, nothing is held back.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from edge.config.power import PowerConfig
from edge.core import durable
from edge.model import Energy, PowerState, PowerStatus, WaitReason

#: So many runs tell what a kind of job takes.
_ENOUGH = 3
#: A new run counts for so much of the mean, once there are many.
_WEIGHT = 0.2
#: A board that was too hot must be so much cooler.
COOLER_C = 3.0
_SAVE_EVERY_S = 600.0
#: Jobs of a kind that takes no longer on average are worked off in groups: none waits long for another one.
SHORT_S = 0.02


class KindAverage(msgspec.Struct, frozen=True):
    """What a kind of job took, on average: newer runs count more."""

    runs: int
    seconds: float
    joules: float


class KindAverages:
    """The averages by task, kept in a small file; a cut loses the last ten minutes of them, which is no harm."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved_at = time.monotonic()
        try:
            self._averages = msgspec.json.decode(path.read_bytes(), type=dict[str, KindAverage])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            self._averages = {}

    def note(self, task: str, energy: Energy) -> None:
        """A job of this kind has run."""
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
        """What a job of this kind takes, where enough of them have run."""
        kind = self._averages.get(task)
        return kind if kind is not None and kind.runs >= _ENOUGH else None

    def is_short(self, task: str) -> bool:
        """True when jobs of this kind are known to end at once."""
        kind = self._averages.get(task)
        return kind is not None and kind.runs >= _ENOUGH and kind.seconds <= SHORT_S

    def mean_s(self, task: str) -> float:
        """Seconds that jobs of this kind take on average, as far as that is known."""
        kind = self._averages.get(task)
        return kind.seconds if kind is not None else 0.0

    def save(self) -> None:
        """Write the averages. Raises OSError."""
        self._saved_at = time.monotonic()
        if self._averages:
            durable.make_folder(self._path.parent)
            durable.replace_volatile(self._path, msgspec.json.encode(self._averages))


def too_hot(max_temp_c: float | None, said: PowerStatus, *, held: bool = False) -> WaitReason | None:
    """Why a job with this limit may not run, if so; one that is `held` for it waits until it is clearly cooler."""
    if max_temp_c is None:
        return None
    limit_c = max_temp_c - COOLER_C if held else max_temp_c
    sensors = [reading for reading in said.readings if reading.what == "temperature"]
    hottest = max((reading.value for reading in sensors if reading.value is not None), default=None)
    until = f"it is at most {max_temp_c - COOLER_C:g} °C"
    if sensors and hottest is None:  # it may be burning; without any sensor the job would wait for ever
        return WaitReason(0.0, f"nobody knows how hot the board is, the job allows {max_temp_c:g} °C", until=until)
    if hottest is None or hottest <= limit_c:
        return None
    return WaitReason(0.0, f"the board is at {hottest:.0f} °C, the job allows {max_temp_c:g} °C", until=until)


def too_much(kind: KindAverage | None, said: PowerStatus, config: PowerConfig) -> WaitReason | None:
    """Why a job of this kind could not end on what is left, if so."""
    values = {reading.what: reading.value for reading in said.readings if reading.value is not None}
    if kind is None or values.get("supply") or said.state is PowerState.SURPLUS:
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
    left_wh = max(charge - config.thresholds.pause_percent, 0.0) / 100 * battery_wh
    needed_wh = kind.joules / 3600
    if needed_wh <= left_wh:
        return None
    reason = f"jobs of its kind take {needed_wh:.2g} Wh, {left_wh:.2g} Wh are left above the pause threshold"
    return WaitReason(0.0, reason, until="the charge is enough, or there is surplus power")
