"""Doubts values because of their own past: a value that jumped, is frozen, or falls while it should not."""

from __future__ import annotations

from collections.abc import Hashable

#: Percent points that a battery may gain or lose in a minute without a sample: a small UPS is empty in 17 minutes.
_POINTS_A_MINUTE = 6.0


class JumpCheck:
    """Doubts a charge that changes by tens of percent points between two samples.

    A real battery does not lose 20 points in seconds. A gauge on a bad bus answers with wrong values inside the allowed
    range, and it may repeat the same wrong value. So a value that stays proves nothing. Only volts or current of the
    same battery prove it: `supported` means that they agree with the new value. After `confirm` supported samples in a
    row the new value is believed. Without them the charge stays doubted until it is near the last believed value again,
    or until the governor is restarted.
    """

    def __init__(self, max_step: float = 20.0, *, confirm: int = 3) -> None:
        self.max_step, self.confirm = max_step, confirm
        self._believed: float | None = None
        self._seen = 0.0
        self._doubted = 0.0
        self._supported = 0

    def check(self, now: float, value: float, *, supported: bool = False) -> str:
        """Return the reason to doubt `value`, or an empty string.

        Args:
            now: monotonic seconds.
            value: the charge in percent.
            supported: True if volts or current of the same battery agree with `value`.
        """
        silent_s, self._seen = now - self._seen, now
        last = self._believed
        # A time without samples explains a difference, as far as a battery can change in that time.
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
    """Doubts a sensor whose raw values, with their noise, do not change at all for `after_s` (0: never doubts)."""

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s
        self._last: Hashable = None
        self._since = 0.0

    def check(self, now: float, raw: Hashable) -> str:
        """Return the reason to doubt `raw`, or an empty string. `now` is in monotonic seconds."""
        if raw != self._last:
            self._last, self._since = raw, now
        still_s = now - self._since
        if self.after_s and still_s >= self.after_s:
            return f"frozen: not one digit changed for {still_s / 60:.0f} min"
        return ""


class FallCheck:
    """Measures by how many percent points a charge has fallen without a rise in between."""

    #: A charge that has not changed for longer than this has stopped falling.
    settled_after_s = 1800.0

    def __init__(self) -> None:
        self._peak: float | None = None
        self._last = 0.0
        self._moved = 0.0

    def points(self, now: float, value: float) -> float:
        """Return the points that the charge has lost since its last rise or standstill.

        Args:
            now: monotonic seconds.
            value: the charge in percent.
        """
        if self._peak is None or value > self._last or self.still_s(now) > self.settled_after_s:
            self._moved = now if self._peak is None else self._moved
            self._peak = value
        if value != self._last:
            self._moved = now
        self._last = value
        return self._peak - value

    def still_s(self, now: float) -> float:
        """Return the seconds since the charge last changed."""
        return now - self._moved

    def reset(self) -> None:
        """Forget the past: the next fall is counted from the next value."""
        self._peak = None


#: Points of fall that contradict a supply that is reported as present with a battery that is not discharging.
SILENT_FALL = 10.0
#: Points of fall that are enough if the device itself reports that the battery is discharging, or charging.
ANNOUNCED_FALL = 2.0


class SupplyCheck:
    """Checks a supply that a device reports as present against the charge of the device's battery."""

    def __init__(self) -> None:
        self._fall = FallCheck()

    def lost(self) -> None:
        """Note that the device reports the supply as lost, so that the charge may fall."""
        self._fall.reset()

    def present(
        self, now: float, charge: float | None, *, discharging: bool, status: str, charging: bool = False
    ) -> tuple[bool | None, str]:
        """Judge a supply that the device reports as present.

        Args:
            now: monotonic seconds.
            charge: the charge in percent, or None if it is not known.
            discharging: True if the device reports at the same time that its battery is discharging.
            status: the report of the device in words, for the reason.
            charging: True if the device reports that its battery is being charged. Then no fall is expected at all.

        Returns:
            (present, reason): True if the supply is present, False if it is lost, None if that is not known. The reason
            is empty if nothing contradicts the supply.
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
