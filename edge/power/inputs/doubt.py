"""Reasons to doubt a number by its own past: it jumped, it is frozen, or it falls while it should not."""

from __future__ import annotations

from collections.abc import Hashable

#: Points that a battery may gain or lose in a minute that nobody looked at: a small UPS is empty in 17 minutes.
_POINTS_A_MINUTE = 6.0


class JumpCheck:
    """Doubts a charge that moves by tens of points between two samples.

    A gauge on a bad bus answers with garbage that is within bounds, or stays at it; a real battery does not lose 20
    points in seconds. That it stays there proves nothing. Only volts or current beside it do: `supported` says that
    they agree with the new value. After `confirm` supported samples in a row it is believed. Without them the reading
    stays unknown until the charge is near the last one that was believed, or until the governor starts anew.
    """

    def __init__(self, max_step: float = 20.0, *, confirm: int = 3) -> None:
        self.max_step, self.confirm = max_step, confirm
        self._believed: float | None = None
        self._seen = 0.0
        self._doubted = 0.0
        self._supported = 0

    def check(self, now: float, value: float, *, supported: bool = False) -> str:
        """The reason to doubt `value`, or an empty string."""
        silent_s, self._seen = now - self._seen, now
        last = self._believed
        # Time without a sample explains a difference, as far as a battery can change in it.
        allowed = max(self.max_step, silent_s / 60 * _POINTS_A_MINUTE)
        if last is None or abs(value - last) <= allowed:
            return self._believe(value)
        near = self._supported > 0 and abs(value - self._doubted) <= self.max_step
        self._supported = (self._supported + 1 if near else 1) if supported else 0
        self._doubted = value
        if self._supported >= self.confirm:
            return self._believe(value)
        jump = f"jumped from {last:g} to {value:g} between two samples"
        if supported:
            return f"{jump} (believed after {self.confirm} in a row)"
        return f"{jump}, with no volts or current that agree (if the battery was changed, restart the governor)"

    def _believe(self, value: float) -> str:
        self._believed, self._supported = value, 0
        return ""


class FrozenCheck:
    """Doubts a sensor whose raw numbers, noise included, do not move at all for `after_s` (0: never)."""

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s
        self._last: Hashable = None
        self._since = 0.0

    def check(self, now: float, raw: Hashable) -> str:
        """The reason to doubt `raw`, or an empty string."""
        if raw != self._last:
            self._last, self._since = raw, now
        still_s = now - self._since
        if self.after_s and still_s >= self.after_s:
            return f"frozen: not one digit changed for {still_s / 60:.0f} min"
        return ""


class FallCheck:
    """Tells by how much a charge has fallen without a rise in between."""

    #: A charge that stands still for so long falls no more.
    settled_after_s = 1800.0

    def __init__(self) -> None:
        self._peak: float | None = None
        self._last = 0.0
        self._moved = 0.0

    def points(self, now: float, value: float) -> float:
        """Points lost since the last rise, or since it last stood still."""
        if self._peak is None or value > self._last or self.still_s(now) > self.settled_after_s:
            self._moved = now if self._peak is None else self._moved
            self._peak = value
        if value != self._last:
            self._moved = now
        self._last = value
        return self._peak - value

    def still_s(self, now: float) -> float:
        """Seconds since the charge last changed."""
        return now - self._moved

    def reset(self) -> None:
        """Forget the past: what comes next belongs to another time."""
        self._peak = None


#: A fall of so many points contradicts a supply that is said to be there, with a battery that is not discharging.
SILENT_FALL = 10.0
#: A fall of so many points is enough where the device itself says that it is discharging, or that it is charging.
ANNOUNCED_FALL = 2.0


class SupplyCheck:
    """Judges a supply that a device says is there, by the charge of the battery beside it."""

    def __init__(self) -> None:
        self._fall = FallCheck()

    def lost(self) -> None:
        """The device itself says that the supply is lost: a charge may fall."""
        self._fall.reset()

    def present(
        self, now: float, charge: float | None, *, discharging: bool, status: str, charging: bool = False
    ) -> tuple[bool | None, str]:
        """(whether it is there, why not or why nobody knows).

        Args:
            now: monotonic seconds.
            charge: percent, or None where it is not known.
            discharging: whether the device says that its battery is discharging all the same.
            status: what the device reports, for the reason.
            charging: whether the device says that its battery is being charged. Then no fall is expected at all.
        """
        fallen = 0.0 if charge is None else self._fall.points(now, charge)
        if discharging:
            if fallen >= ANNOUNCED_FALL:
                return False, f"{status}, and the charge fell by {fallen:g} points to {charge:g} %"
            if charge is not None and self._fall.still_s(now) >= FallCheck.settled_after_s:
                return True, f"{status}, but the charge stays at {charge:g} %"
            return None, f"{status} contradict each other" + (f" (charge {charge:g} %)" if charge is not None else "")
        if fallen >= (ANNOUNCED_FALL if charging else SILENT_FALL):
            return None, f"{status}, but the charge fell by {fallen:g} points to {charge:g} %"
        return True, ""
