"""What the board draws by its readings, and from what it draws it. Pure functions.

A shunt in the board's supply measures all that the board draws. A shunt between battery and board measures the board
only while the battery discharges. The two are never added.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.model import Mix, Reading

_BATTERY = frozenset({"charge", "volts", "low_battery", "battery_watts", "discharging"})


def meters(readings: Sequence[Reading]) -> list[Reading]:
    """The readings of watts that measure the board; a negative value means that a battery is charging.

    The draw of the board is unknown then.
    """
    return _beside(readings, "watts", "amps") or _beside(readings, "battery_watts", "battery_amps")


def board_watts(readings: Sequence[Reading]) -> float | None:
    """Watts that the board draws; None where nothing measures them now."""
    values = [reading.value for reading in meters(readings) if reading.value is not None]
    return sum(values) if values and min(values) >= 0 else None


def mix(readings: Sequence[Reading]) -> Mix | None:
    """The shares of sun, battery and mains in what the board draws now; None where nobody can tell.

    The sun is used first. The rest comes from the mains where a supply is there, else from the battery. A panel whose
    watts are not compared with a measured draw gives all of it while it gives anything and the battery is not drained.
    """
    known = [(reading.what, reading.value) for reading in readings if reading.value is not None]
    solar = [value for what, value in known if what == "solar_watts"]
    supplies = [value for what, value in known if what == "supply"]
    drained = any(value for what, value in known if what == "discharging")
    sun, watts = 0.0, board_watts(readings)
    if solar:
        given = max(0.0, sum(solar))
        if watts:
            sun = min(1.0, given / watts)
        elif given > 0 and not drained:
            sun = 1.0
    rest = round(1.0 - sun, 4)
    if any(supplies):
        return Mix(sun=round(sun, 4), mains=rest)
    if solar or any(what in _BATTERY for what, _ in known):
        return Mix(sun=round(sun, 4), battery=rest)
    return None


def _beside(readings: Sequence[Reading], what: str, other: str) -> list[Reading]:
    """Return known readings of `what` by a shunt. A shunt reports `other` too; a charger or UPS reports only watts."""
    shunts = {reading.source for reading in readings if reading.what == other}
    return [each for each in readings if each.what == what and each.value is not None and each.source in shunts]
