"""Records of all that was learned about a panel. They are small and kept in one file."""

from __future__ import annotations

import msgspec

#: Number of bins of the solar day, one for each hour. They show the effects of tilt, shade and dirt.
BINS = 24
#: Horizons, in hours, of the forecasts that are compared with the measured power.
AHEAD = (1, 3, 6, 12, 24, 36)
#: Forecast horizons that are learned separately: one hour, three hours, the rest of the day, the next day, later.
LEADS = 5
#: An hour below this share of the peak counts as dark. Its forecast errors are noise.
DARK = 0.03


class Place(msgspec.Struct, frozen=True):
    """Location of the panel in degrees, north and east positive."""

    latitude: float
    longitude: float
    given: bool = False  # configured by the owner; otherwise learned from the panel's first and last light, or guessed


class Light(msgspec.Struct, frozen=True, array_like=True):
    """First and last light of one day on the panel, in epoch seconds."""

    first: float
    last: float


class Bin(msgspec.Struct, frozen=True, array_like=True):
    """Decaying sums for one hour of the solar day: the power of the panel, and the irradiance of a clear sky."""

    given: float = 0.0  # measured watts
    clear: float = 0.0  # W/m2 on a horizontal surface under a clear sky
    envelope: float = 0.0  # measured / clear; nine of ten hours stay below it


class Lead(msgspec.Struct, frozen=True, array_like=True):
    """Persistence and bounds that were learned for the forecasts of one horizon."""

    xy: float = 0.3  # sums of a regression of outcome on anomaly; xy / xx is the persistence
    xx: float = 1.0
    #: 10 % and 90 % quantiles of measured / forecast, by the weather of that time: darker, usual, brighter.
    low: tuple[float, float, float] = (0.3, 0.35, 0.4)
    high: tuple[float, float, float] = (1.8, 1.6, 1.5)


class Issued(msgspec.Struct, frozen=True, array_like=True):
    """A forecast whose hour has not been measured yet. Power is in watts."""

    hour: int  # since the epoch
    lead: int  # index into `leads`
    usual: float  # the forecast without persistence
    anomaly: float  # recent / usual - 1 when the forecast was made
    mid: float
    low: float
    high: float
    bright: int  # index into `low` and `high` of the lead, from `predict.brightness`


class Score(msgspec.Struct, frozen=True, array_like=True):
    """Mean error of a forecast, as two sums with an exponential decay that the caller chooses."""

    error: float = 0.0
    count: float = 0.0

    def plus(self, error: float, decay: float) -> Score:
        """Return the score with one more error. `decay` (0 to 1) is applied to the earlier errors."""
        return Score(self.error * decay + abs(error), self.count * decay + 1)

    @property
    def mean(self) -> float | None:
        """The mean error, or None before the first one."""
        return self.error / self.count if self.count else None


class Day(msgspec.Struct, frozen=True, array_like=True):
    """The present solar day, and the forecasts that were made at its beginning. Energy is in watt-hours."""

    number: int = -1  # days since the epoch, by solar time
    given: float = 0.0  # measured so far
    expected: float = 0.0  # usual energy of the same hours
    clear: float = 0.0  # Wh/m2 of a clear sky in the same hours
    hours: int = 0  # bright hours that were measured
    forecast: float = -1.0  # own forecast for the whole day; -1 if there is none
    outside: float = -1.0  # forecast from outside for the whole day; -1 if there is none


class PanelMemory(msgspec.Struct, frozen=True):
    """All that was learned about the panel."""

    place: Place | None = None
    lights: tuple[Light, ...] = ()  # first and last light of the last days
    peak: float = 0.0  # largest mean power of an hour, in watts; it decays slowly
    bins: tuple[Bin, ...] = (Bin(),) * BINS
    leads: tuple[Lead, ...] = (Lead(),) * LEADS
    issued: tuple[Issued, ...] = ()
    recent: tuple[float, float] = (0.0, 0.0)  # decaying sums of measured and usual watts over the last bright hours
    daily: tuple[float, float] = (0.0, 0.0)  # the same two sums over about a day
    day: Day = Day()
    yesterday_wh: float = -1.0  # measured energy; -1 if the day was not measured as a whole
    days: int = 0  # number of days that were learned
    last_hour: int = 0  # newest hour that was learned, since the epoch
    below_low: Score = Score()  # share of the hours below the P10 of their forecast
    ours: Score = Score()  # error of the own forecast of a day's energy, in watt-hours
    as_yesterday: Score = Score()  # error of the forecast "as yesterday", in watt-hours
    outside: Score = Score()  # error of the forecast from outside, in watt-hours
    version: int = 1

    @property
    def whole(self) -> bool:
        """False if the memory comes from a damaged file or a file of another version."""
        return self.version == 1 and len(self.bins) == BINS and len(self.leads) == LEADS
