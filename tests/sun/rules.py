"""The compared rules: the real policy, and three simple ones that people use."""

from __future__ import annotations

from edge.config.power import PowerConfig
from edge.model import ALLOWED, Power
from edge.power.inputs.limits import Level
from edge.power.inputs.reading import known
from edge.power.policy import policy, sampling
from edge.power.policy.rules import STATES, Rules, from_config
from tests.sun.arrivals import Arrival
from tests.sun.simulation import Verdict, View

ALL = Verdict(frozenset(Power))
NOTHING = Verdict()
_MAY = {level: Verdict(frozenset(ALLOWED[state])) for level, state in STATES.items()}


class Silent:
    """A rule that announces no start times."""

    def booted(self, view: View) -> None:
        pass

    def handed(self, job: Arrival, view: View) -> None:
        pass

    def began(self, job: Arrival, view: View) -> None:
        pass


class FixedThresholds(Silent):
    """The real policy with fixed thresholds, as on a board without a planner."""

    def __init__(self, config: PowerConfig | None = None) -> None:
        config = config or PowerConfig()
        limits = config.thresholds
        self.name = (
            f"fixed thresholds ({limits.pause_percent:g}/{limits.resume_percent:g}/{limits.critical_percent:g} %)"
        )
        self._wake_min = (config.critical.wake_after_s or 3600.0) / 60
        self._rules = from_config(config)
        self._state = policy.PolicyState()
        self._percent = -1.0
        self._stepped: Rules | None = None  # the rules of the last step

    def booted(self, view: View) -> None:
        self._state, self._percent = policy.PolicyState(), -1.0

    def decide(self, view: View) -> Verdict:
        return self.stepped(self._rules, view)

    def stepped(self, rules: Rules, view: View) -> Verdict:
        """Let the policy decide by these rules, and return its verdict."""
        percent = float(round(view.percent))  # rounded to whole percent, as a fuel gauge reports it
        if percent != self._percent or rules is not self._stepped or sampling.waits(self._state):
            self._percent, self._stepped = percent, rules
            reading = known("battery", "charge", percent, "%")
            self._state = policy.step(rules, self._state, (reading,), view.minute * 60.0, None)
        if self._state.level is Level.CRITICAL:
            return Verdict(off_until=view.minute + self._wake_min, critical=True)
        return _MAY[self._state.level]


class UntilItDies(Silent):
    """Runs all waiting jobs until the battery is empty."""

    name = "run until it dies"

    def decide(self, view: View) -> Verdict:
        return ALL


class Above(Silent):
    """Runs jobs at 90 % charge and more."""

    name = "run at 90 % and more"

    def decide(self, view: View) -> Verdict:
        return ALL if view.percent >= 90 else NOTHING


class OnceADay(Silent):
    """Starts at 80 % charge, stops at 60 %, and starts again only on another day."""

    name = "start 80 %, stop 60 % once a day"

    def __init__(self) -> None:
        self._on, self._stopped = False, -1

    def booted(self, view: View) -> None:
        self._on = False

    def decide(self, view: View) -> Verdict:
        day = view.minute // 1440
        if self._on and view.percent <= 60:
            self._on, self._stopped = False, day
        elif not self._on and view.percent >= 80 and day != self._stopped:
            self._on = True
        return ALL if self._on else NOTHING
