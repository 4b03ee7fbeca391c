"""What was learned of a panel: small, and kept in one file."""

from __future__ import annotations

import msgspec

#: Bins of the solar day, an hour each: tilt, shade and dirt show in them.
BINS = 24
#: How far ahead, in hours, forecasts are compared with what came true.
AHEAD = (1, 3, 6, 12, 24, 36)
#: Forecast horizons that are learned separately: one hour, three hours, the rest of the day, the next day, later.
LEADS = 5
#: Below this share of a full panel an hour counts as dark: its errors are noise.
DARK = 0.03


class Place(msgspec.Struct, frozen=True):
    """Where the panel is, in degrees, north and east positive."""

    latitude: float
    longitude: float
    given: bool = False  # by the owner; otherwise learned from the panel's first and last light


class Light(msgspec.Struct, frozen=True, array_like=True):
    """First and last light of one day on the panel, in epoch seconds."""

    first: float
    last: float


class Bin(msgspec.Struct, frozen=True, array_like=True):
    """One hour of the solar day: what the panel gave of what a clear sky gives, with older days counting less."""

    given: float = 0.0
    clear: float = 0.0
    envelope: float = 0.0  # the ratio that nine of ten hours stay below


class Lead(msgspec.Struct, frozen=True, array_like=True):
    """What was learned of the forecasts of one horizon."""

    xy: float = 0.3  # regression sums of outcome on anomaly: xy / xx is the persistence
    xx: float = 1.0
    #: 10 % and 90 % quantiles of actual / forecast, for darker, usual and brighter weather when it was made.
    low: tuple[float, float, float] = (0.3, 0.35, 0.4)
    high: tuple[float, float, float] = (1.8, 1.6, 1.5)


class Issued(msgspec.Struct, frozen=True, array_like=True):
    """A forecast that waits for its hour."""

    hour: int  # since the epoch
    lead: int  # index into `leads`
    usual: float  # without persistence
    anomaly: float  # recent / usual - 1 when the forecast was made
    mid: float
    low: float
    high: float
    bright: int


class Score(msgspec.Struct, frozen=True, array_like=True):
    """How well a forecast did; sums with an exponential decay, which the caller chooses."""

    error: float = 0.0
    count: float = 0.0

    def plus(self, error: float, decay: float) -> Score:
        """One more error."""
        return Score(self.error * decay + abs(error), self.count * decay + 1)

    @property
    def mean(self) -> float | None:
        """The mean error; None while there is none."""
        return self.error / self.count if self.count else None


class Day(msgspec.Struct, frozen=True, array_like=True):
    """The day that is being learned, and the forecast that was made at its beginning."""

    number: int = -1  # since the epoch, by solar time
    given: float = 0.0  # watt-hours that were measured
    expected: float = 0.0  # of the same hours, as usual
    clear: float = 0.0
    hours: int = 0
    forecast: float = -1.0  # for the whole day, made at its begin; -1: none
    outside: float = -1.0  # the same of a forecast from outside


class PanelMemory(msgspec.Struct, frozen=True):
    """Everything that is remembered of the panel."""

    place: Place | None = None
    lights: tuple[Light, ...] = ()  # the last days whose first and last light were seen
    peak: float = 0.0  # most watts that an hour gave
    bins: tuple[Bin, ...] = (Bin(),) * BINS
    leads: tuple[Lead, ...] = (Lead(),) * LEADS
    issued: tuple[Issued, ...] = ()
    recent: tuple[float, float] = (0.0, 0.0)  # given and usual of the last bright hours
    daily: tuple[float, float] = (0.0, 0.0)  # the same, over about a day
    day: Day = Day()
    yesterday_wh: float = -1.0  # -1: not a whole day
    days: int = 0  # that were learned from
    last_hour: int = 0
    below_low: Score = Score()  # share of the hours below their P10
    ours: Score = Score()  # errors of a day's energy, in watt-hours
    as_yesterday: Score = Score()
    outside: Score = Score()
    version: int = 1

    @property
    def whole(self) -> bool:
        """False where a file of another version, or a torn one, gave something else."""
        return self.version == 1 and len(self.bins) == BINS and len(self.leads) == LEADS
