"""Computes the position of the sun and the irradiance under a clear sky.

The position uses the low-precision formulae of the Astronomical Almanac, which are exact to 0.01 degrees from 1950 to
2050. Refraction is left out (0.5 degrees at the horizon). The clear sky is the model of Haurwitz (1945), which needs
only the elevation of the sun.
"""

from __future__ import annotations

import math

_J2000 = 946_728_000.0  # 2000-01-01 12:00 UTC
_DAY_S = 86_400.0


def declination_and_noon(at: float) -> tuple[float, float]:
    """Return (declination in radians, seconds by which the true sun is ahead of the mean sun). `at`: epoch seconds."""
    days = (at - _J2000) / _DAY_S
    mean = math.radians((280.460 + 0.9856474 * days) % 360)
    anomaly = math.radians((357.528 + 0.9856003 * days) % 360)
    longitude = mean + math.radians(1.915) * math.sin(anomaly) + math.radians(0.020) * math.sin(2 * anomaly)
    tilt = math.radians(23.439 - 4e-7 * days)
    declination = math.asin(math.sin(tilt) * math.sin(longitude))
    ascension = math.atan2(math.cos(tilt) * math.sin(longitude), math.cos(longitude))
    ahead = (mean - ascension + math.pi) % (2 * math.pi) - math.pi
    return declination, ahead / (2 * math.pi) * _DAY_S


def hour_angle(at: float, longitude: float, ahead_s: float) -> float:
    """Return the hour angle of the sun in radians, -pi to pi; it is 0 at solar noon.

    Args:
        at: seconds since the epoch.
        longitude: in degrees, east positive.
        ahead_s: seconds by which the true sun is ahead of the mean sun.
    """
    solar_s = at + longitude * 240 + ahead_s
    return (solar_s % _DAY_S) / _DAY_S * 2 * math.pi - math.pi


def elevation_sine(at: float, latitude: float, longitude: float) -> float:
    """Return the sine of the sun's elevation, which is negative at night.

    Args:
        at: seconds since the epoch.
        latitude: in degrees, north positive.
        longitude: in degrees, east positive.
    """
    declination, ahead_s = declination_and_noon(at)
    up = math.radians(latitude)
    angle = hour_angle(at, longitude, ahead_s)
    return math.sin(up) * math.sin(declination) + math.cos(up) * math.cos(declination) * math.cos(angle)


def clear_sky(elevation_sine: float) -> float:
    """Return the W/m2 on a horizontal surface under a clear sky (Haurwitz); 0 at night."""
    if elevation_sine <= 0.0:
        return 0.0
    return 1098.0 * elevation_sine * math.exp(-0.057 / elevation_sine)
