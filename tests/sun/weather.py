"""Provides a year of hourly sun and temperature, from a TMY3 file of pvlib's package data or made up for a latitude."""

from __future__ import annotations

import csv
import importlib.util
import math
import random
from pathlib import Path

import msgspec

from edge.power.forecast import sun

DAYS = 365
YEAR_BEGINS = 1_767_225_600.0  # 2026-01-01 00:00 UTC
#: The two series that pvlib's package data has.
SERIES = {"greensboro": "723170TYA.CSV", "sand-point": "703165TY.csv"}
_COLUMNS = ("GHI (W/m^2)", "DNI (W/m^2)", "DHI (W/m^2)", "Dry-bulb (C)")
_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Hour(msgspec.Struct, frozen=True, array_like=True):
    """The means of one hour."""

    ghi: float  # W/m2 on a horizontal plane
    dni: float  # W/m2 towards the sun
    dhi: float  # W/m2 of the sky, on a horizontal plane
    celsius: float


class Weather(msgspec.Struct, frozen=True):
    """8760 hours of local standard time, from the first of January."""

    name: str
    latitude: float
    longitude: float
    zone_h: float
    hours: tuple[Hour, ...]

    def epoch(self, hour: float) -> float:
        """Return the seconds since the epoch of an hour of the series, in the year 2026."""
        return YEAR_BEGINS + (hour - self.zone_h) * 3600

    def shuffled(self, seed: int) -> Weather:
        """Return another year of this place: blocks of three days of each month in another order."""
        rng, order, first = random.Random(seed), list[int](), 0
        for length in _MONTHS:
            blocks = [list(range(at, min(at + 3, first + length))) for at in range(first, first + length, 3)]
            rng.shuffle(blocks)
            order += [day for block in blocks for day in block]
            first += length
        hours = tuple(hour for day in order for hour in self.hours[day * 24 : day * 24 + 24])
        return msgspec.structs.replace(self, name=f"{self.name}, shuffled {seed}", hours=hours)


def tmy3(name: str) -> Weather:
    """Read the series with this name in `SERIES`, or the file with this path.

    Raises:
        FileNotFoundError: pvlib or the file is missing.
        ValueError: The file is not a TMY3 file of a whole year.
    """
    path = Path(name)
    if name in SERIES:
        found = importlib.util.find_spec("pvlib")
        if found is None or found.origin is None:
            raise FileNotFoundError(f"{name}: pvlib is not installed; `make simulate` installs it")
        path = Path(found.origin).parent / "data" / SERIES[name]
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    if len(rows) < 2 or len(rows[0]) != 7:
        raise ValueError(f"{path}: its first line does not have 7 fields; expected a TMY3 file")
    (_, place, _, zone, latitude, longitude, _), heads = rows[0], rows[1]
    if missing := [each for each in _COLUMNS if each not in heads]:
        raise ValueError(f"{path}: no column {missing[0]!r}; expected a TMY3 file")
    columns = [heads.index(each) for each in _COLUMNS]
    hours = tuple(Hour(*(float(row[column]) for column in columns)) for row in rows[2:])
    if len(hours) != DAYS * 24:
        raise ValueError(f"{path}: {len(hours)} hours, expected {DAYS * 24}")
    return Weather(place.title(), float(latitude), float(longitude), float(zone), hours)


def made_up(latitude: float, *, seed: int = 1, clearness: float = 0.6, celsius: float = 12.0) -> Weather:
    """Make up a year at a latitude: the clear sky of Haurwitz with clouds that last for some days.

    Args:
        latitude: Degrees, north is positive.
        seed: The seed of the clouds.
        clearness: Share of the clear sky's sun that comes through on a median day, 0.2 to 0.95.
        celsius: Mean temperature of the year.
    """
    rng, hours, state = random.Random(f"{latitude} {seed}"), list[Hour](), 0.0
    swing = min(14.0, abs(latitude) / 4)
    for day in range(DAYS):
        state = 0.45 * state + rng.gauss(0.0, 0.9)
        daily = 1 / (1 + math.exp(-(math.log(clearness / (1 - clearness)) + 1.6 * state)))
        season = math.cos(2 * math.pi * (day - 200) / DAYS) * (1 if latitude >= 0 else -1)
        for hour in range(24):
            at = YEAR_BEGINS + (day * 24 + hour + 0.5) * 3600
            up = sun.elevation_sine(at, latitude, 0.0)
            share = min(1.0, max(0.05, daily + rng.gauss(0.0, 0.12)))
            ghi = sun.clear_sky(up) * share
            diffuse = ghi * (1.0 - 0.8 * share**2)
            direct = (ghi - diffuse) / up if up > 0.05 else 0.0
            daytime = 4 * math.sin(2 * math.pi * (hour - 9) / 24)
            hours.append(Hour(ghi, direct, ghi - direct * max(0.0, up), celsius + swing * season + daytime))
    return Weather(f"latitude {latitude:g}", latitude, 0.0, 0.0, tuple(hours))
