"""When a changed value goes out: at once after a rest, and no more often than its kind allows.

Everything that changed goes out together. A number counts as changed once it differs by more than a sensor's noise.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge.core.values import JsonValue

#: Shortest time between a publication and the next one for such a value.
_LIMIT_S = 10.0
_LIMITS_S = {
    "power_state": 1.0,
    "paused": 1.0,
    "supply": 1.0,
    "throttled": 1.0,
    "broker": 1.0,
    # Sentences with numbers in them, and what changes all the time.
    "power_reason": 60.0,
    "power_until": 60.0,
    "resumes_at": 60.0,
    "runtime": 60.0,
    "free_space": 60.0,
}
#: Differences that count as noise: an absolute one, and a share of the value. The larger of the two counts.
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
    """Remembers what was published last, and when. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._last: dict[str, JsonValue] | None = None
        self._at = 0.0

    def due(self, state: State) -> float | None:
        """When `state` is to be published; None: it tells nothing new."""
        if self._last is None:
            return 0.0
        limits = [
            _LIMITS_S.get(key, _LIMIT_S)
            for key, value in state.items()
            if key not in self._last or _differs(key, self._last[key], value)
        ]
        return self._at + min(limits) if limits else None

    def published(self, state: State, now: float) -> None:
        """`state` goes out now."""
        self._last, self._at = dict(state), now

    def forget(self) -> None:
        """Nobody has anything of it any more: the next state goes out at once."""
        self._last = None


def _differs(key: str, before: JsonValue, now: JsonValue) -> bool:
    if isinstance(before, int | float) and isinstance(now, int | float) and key in _NOISE:
        least, share = _NOISE[key]
        return bool(abs(now - before) > max(least, share * abs(before)))
    return bool(before != now)
