"""Computes from readings how many watts the board draws, and from which sources. Pure functions.

A shunt in the supply of the board measures all that the board draws. A shunt between battery and board measures the
board only while the battery discharges. The two values are never added.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.model import Mix, Reading

_BATTERY = frozenset({"charge", "volts", "low_battery", "battery_watts", "discharging"})


def meters(readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings of watts that measure the board.

    A negative value means that a battery is charging; then the draw of the board is unknown.
    """
    return _of_shunts(readings, "watts", "amps") or _of_shunts(readings, "battery_watts", "battery_amps")


def board_watts(readings: Sequence[Reading]) -> float | None:
    """Return the watts that the board draws, or None if nothing measures them now."""
    values = [reading.value for reading in meters(readings) if reading.value is not None]
    return sum(values) if values and min(values) >= 0 else None


def mix(readings: Sequence[Reading]) -> Mix | None:
    """Return the shares of sun, battery and mains in the present draw of the board, or None if no source is measured.

    The sun counts first. The rest comes from the mains if a supply is connected, else from the battery. If the draw of
    the board is not measured, the panel counts as the only source while it gives power and the battery is not
    discharging.
    """
    known = [(reading.what, reading.value) for reading in readings if reading.value is not None]
    solar = [value for what, value in known if what == "solar_watts"]
    supplies = [value for what, value in known if what == "supply"]
    drained = any(value for what, value in known if what == "discharging")
    sun, watts = 0.0, board_watts(readings)
    if solar:
        panel_w = max(0.0, sum(solar))
        if watts:
            sun = min(1.0, panel_w / watts)
        elif panel_w > 0 and not drained:
            sun = 1.0
    rest = round(1.0 - sun, 4)
    if any(supplies):
        return Mix(sun=round(sun, 4), mains=rest)
    if solar or any(what in _BATTERY for what, _ in known):
        return Mix(sun=round(sun, 4), battery=rest)
    return None


def _of_shunts(readings: Sequence[Reading], what: str, other: str) -> list[Reading]:
    """Return known readings of `what` by a shunt. A shunt reports `other` too; a charger or UPS reports only watts."""
    shunts = {reading.source for reading in readings if reading.what == other}
    return [each for each in readings if each.what == what and each.value is not None and each.source in shunts]
