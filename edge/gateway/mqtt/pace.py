"""Decides when changed values are published: at once after a pause, but no more often than the limit of each value.

All values are published together. A number counts as changed if it differs by more than the noise of a sensor.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge.core.values import JsonValue

#: Shortest time after a publication until a change of a value is published.
_LIMIT_S = 10.0
_LIMITS_S = {
    "power_state": 1.0,
    "paused": 1.0,
    "supply": 1.0,
    "throttled": 1.0,
    "broker": 1.0,
    # Sentences that contain numbers, and values that change all the time.
    "power_reason": 60.0,
    "power_until": 60.0,
    "resumes_at": 60.0,
    "runtime": 60.0,
    "free_space": 60.0,
}
#: Largest difference that counts as noise: an absolute one, and a share of the value. The larger of the two is used.
_NOISE: dict[str, tuple[float, float]] = {
    "charge": (0.9, 0.0),
    "runtime": (30.0, 0.05),
    "watts": (0.15, 0.03),
    "solar_watts": (0.5, 0.03),
    "temperature": (0.9, 0.0),
    "free_space": (0.0, 0.01),
    "progress": (0.9, 0.0),
    "energy": (0.009, 0.0),
}

State = Mapping[str, JsonValue]


class Pace:
    """Remembers the last published values and their time. Times are monotonic seconds. Belongs to the event loop."""

    def __init__(self) -> None:
        self._last: dict[str, JsonValue] | None = None
        self._at = 0.0

    def due(self, state: State) -> float | None:
        """Return when `state` must be published, or None if nothing has changed."""
        if self._last is None:
            return 0.0
        limits = [
            _LIMITS_S.get(key, _LIMIT_S)
            for key, value in state.items()
            if key not in self._last or _differs(key, self._last[key], value)
        ]
        return self._at + min(limits) if limits else None

    def published(self, state: State, now: float) -> None:
        """Note that `state` is published now."""
        self._last, self._at = dict(state), now

    def forget(self) -> None:
        """Forget the last values, so that the next state is published at once. The broker may have lost them."""
        self._last = None


def _differs(key: str, before: JsonValue, now: JsonValue) -> bool:
    if isinstance(before, int | float) and isinstance(now, int | float) and key in _NOISE:
        least, share = _NOISE[key]
        return bool(abs(now - before) > max(least, share * abs(before)))
    return bool(before != now)
