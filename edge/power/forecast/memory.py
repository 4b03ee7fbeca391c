"""Records of all that was learned about a panel. They are small and kept in one file.

The types have limits, so a file whose numbers cannot be true is refused when it is read. Wrong numbers would spoil each
forecast, and some of them would end the governor.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

#: Number of bins of the solar day, one for each hour. They show the effects of tilt, shade and dirt.
BINS = 24
#: Horizons, in hours, of the forecasts that are compared with the measured power.
AHEAD = (1, 3, 6, 12, 24, 36)
#: Forecast horizons that are learned separately: one hour, three hours, the rest of the day, the next day, later.
LEADS = 5
#: An hour below this share of the peak counts as dark. Its forecast errors are noise.
DARK = 0.03
#: Largest mean power of an hour, in watts, that is learned.
MOST_W = 1e6

_Sum = Annotated[float, Meta(ge=0, le=1e12)]  # of many hours
_AnySum = Annotated[float, Meta(ge=-1e12, le=1e12)]
_Time = Annotated[float, Meta(ge=0, le=1e11)]  # seconds since the epoch
_Hour = Annotated[int, Meta(ge=0, le=100_000_000)]  # since the epoch
_Quantile = Annotated[float, Meta(ge=0, le=10)]
_Count = Annotated[int, Meta(ge=0, le=1_000_000)]
_OrNone = Annotated[float, Meta(ge=-1, le=1e12)]  # -1 if there is no value


class Place(msgspec.Struct, frozen=True):
    """Location of the panel in degrees, north and east positive."""

    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    given: bool = False  # configured by the owner; otherwise learned from the panel's first and last light, or guessed


class Light(msgspec.Struct, frozen=True, array_like=True):
    """First and last light of one day on the panel, in epoch seconds."""

    first: _Time
    last: _Time


class Bin(msgspec.Struct, frozen=True, array_like=True):
    """Decaying sums for one hour of the solar day: the power of the panel, and the irradiance of a clear sky."""

    given: _Sum = 0.0  # measured watts
    clear: _Sum = 0.0  # W/m2 on a horizontal surface under a clear sky
    envelope: _Sum = 0.0  # measured / clear; nine of ten hours stay below it


class Lead(msgspec.Struct, frozen=True, array_like=True):
    """Persistence and bounds that were learned for the forecasts of one horizon."""

    xy: _AnySum = 0.3  # sums of a regression of outcome on anomaly; xy / xx is the persistence
    xx: _Sum = 1.0
    #: 10 % and 90 % quantiles of measured / forecast, by the weather of that time: darker, usual, brighter.
    low: tuple[_Quantile, _Quantile, _Quantile] = (0.3, 0.35, 0.4)
    high: tuple[_Quantile, _Quantile, _Quantile] = (1.8, 1.6, 1.5)


class Issued(msgspec.Struct, frozen=True, array_like=True):
    """A forecast whose hour has not been measured yet. Power is in watts."""

    hour: _Hour
    lead: Annotated[int, Meta(ge=0, lt=LEADS)]  # index into `leads`
    usual: _Sum  # the forecast without persistence
    anomaly: Annotated[float, Meta(ge=-10, le=10)]  # recent / usual - 1 when the forecast was made
    mid: _Sum
    low: _Sum
    high: _Sum
    bright: Annotated[int, Meta(ge=0, le=2)]  # index into `low` and `high` of the lead, from `predict.brightness`


class Score(msgspec.Struct, frozen=True, array_like=True):
    """Mean error of a forecast, as two sums with an exponential decay that the caller chooses."""

    error: _Sum = 0.0
    count: _Sum = 0.0

    def plus(self, error: float, decay: float) -> Score:
        """Return the score with one more error. `decay` (0 to 1) is applied to the earlier errors."""
        return Score(self.error * decay + abs(error), self.count * decay + 1)

    @property
    def mean(self) -> float | None:
        """The mean error, or None before the first one."""
        return self.error / self.count if self.count else None


class Day(msgspec.Struct, frozen=True, array_like=True):
    """The present solar day, and the forecasts that were made at its beginning. Energy is in watt-hours."""

    number: Annotated[int, Meta(ge=-1, le=10_000_000)] = -1  # days since the epoch, by solar time
    given: _Sum = 0.0  # measured so far
    expected: _Sum = 0.0  # usual energy of the same hours
    clear: _Sum = 0.0  # Wh/m2 of a clear sky in the same hours
    hours: _Count = 0  # bright hours that were measured
    forecast: _OrNone = -1.0  # own forecast for the whole day; -1 if there is none
    outside: _OrNone = -1.0  # forecast from outside for the whole day; -1 if there is none


class PanelMemory(msgspec.Struct, frozen=True):
    """All that was learned about the panel."""

    place: Place | None = None
    lights: Annotated[tuple[Light, ...], Meta(max_length=1000)] = ()  # first and last light of the last days
    peak: _Sum = 0.0  # largest mean power of an hour, in watts; it decays slowly
    bins: tuple[Bin, ...] = (Bin(),) * BINS
    leads: tuple[Lead, ...] = (Lead(),) * LEADS
    issued: Annotated[tuple[Issued, ...], Meta(max_length=1000)] = ()
    recent: tuple[_Sum, _Sum] = (0.0, 0.0)  # decaying sums of measured and usual watts over the last bright hours
    daily: tuple[_Sum, _Sum] = (0.0, 0.0)  # the same two sums over about a day
    day: Day = Day()
    yesterday_wh: _OrNone = -1.0  # measured energy; -1 if the day was not measured as a whole
    days: _Count = 0  # number of days that were learned
    last_hour: _Hour = 0  # newest hour that was learned
    below_low: Score = Score()  # share of the hours below the P10 of their forecast
    ours: Score = Score()  # error of the own forecast of a day's energy, in watt-hours
    as_yesterday: Score = Score()  # error of the forecast "as yesterday", in watt-hours
    outside: Score = Score()  # error of the forecast from outside, in watt-hours
    version: int = 1

    @property
    def whole(self) -> bool:
        """False if the memory comes from a damaged file or a file of another version."""
        return self.version == 1 and len(self.bins) == BINS and len(self.leads) == LEADS
