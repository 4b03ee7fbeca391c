"""Models of panel, battery and board, with the sources of their figures."""

from __future__ import annotations

import math

import msgspec

from edge.power.forecast import sun
from edge.power.planner.records import BoardModel
from tests.sun.weather import DAYS, Weather

MINUTES = DAYS * 24 * 60


class Panel(msgspec.Struct, frozen=True):
    """A panel and its charger."""

    watts: float = 20.0  # at 1000 W/m2
    tilt: float = 0.0  # degrees from the horizontal, towards the equator
    efficiency: float = 0.75  # charger, cables, dust
    per_celsius: float = -0.004  # loss of a silicon cell for each degree above 25
    albedo: float = 0.2

    def series(self, weather: Weather) -> list[float]:
        """Return the watts that the panel could give in each minute of the year."""
        hourly = [self._watts(weather, hour) for hour in range(DAYS * 24)]
        found = list[float]()
        for hour, here in enumerate(hourly):
            before, after = hourly[hour - 1], hourly[(hour + 1) % len(hourly)]
            for minute in range(60):
                share = (minute + 0.5) / 60 - 0.5
                found.append(here + (share * (after - here) if share > 0 else -share * (before - here)))
        return found

    def _watts(self, weather: Weather, hour: int) -> float:
        each = weather.hours[hour]
        if each.ghi <= 0:
            return 0.0
        # The mean of an hour is valid at its middle; TMY3 names an hour by its end.
        plane = self._plane(weather, hour, each.ghi, each.dni, each.dhi)
        cell = each.celsius + 25.0 * plane / 1000
        return max(0.0, self.watts * self.efficiency * plane / 1000 * (1 + self.per_celsius * (cell - 25.0)))

    def _plane(self, weather: Weather, hour: int, ghi: float, dni: float, dhi: float) -> float:
        """Return the watts on a square metre of the tilted plane, under an isotropic sky."""
        if not self.tilt:
            return ghi
        at, tilt = weather.epoch(hour + 0.5), math.radians(self.tilt)
        # A plane that is tilted towards the equator is parallel to the horizontal at another latitude.
        towards = -self.tilt if weather.latitude >= 0 else self.tilt
        face = max(0.0, sun.elevation_sine(at, weather.latitude + towards, weather.longitude))
        sky = (1 + math.cos(tilt)) / 2
        return dni * face + dhi * sky + self.albedo * ghi * (1 - sky)


class BatteryModel(msgspec.Struct, frozen=True):
    """A Li-ion battery with its losses in charging and discharging, and its capacity in the cold."""

    capacity_wh: float = 37.0
    efficiency: float = 0.95  # efficiency of charging, and of discharging
    cold_per_celsius: float = 0.006  # share of the capacity lost for each degree below 20
    cold_most: float = 0.35  # largest share lost

    def usable(self, celsius: float) -> float:
        """Return the share of the capacity that can be drawn at this temperature."""
        return 1.0 - min(self.cold_most, max(0.0, 20.0 - celsius) * self.cold_per_celsius)


#: Boards by name. Their idle and busy watts are from published measurements: the documentation of Raspberry Pi (typical
#: bare-board current) and Jeff Geerling's tables at pidramble.com (power consumption). `pi-3b` is the default.
BOARDS = {
    "pi-3b": BoardModel(),
    "zero-2": BoardModel(idle_w=0.6, busy_w=1.3, boot_w=1.3),
    "pi-4b": BoardModel(idle_w=2.7, busy_w=4.0, off_w=0.1),
    "pi-5": BoardModel(idle_w=2.7, busy_w=5.0, off_w=0.01),
}
