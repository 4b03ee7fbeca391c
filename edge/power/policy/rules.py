"""Makes the rules of the policy from `edge.yaml` and from the criteria that each source declares."""

from __future__ import annotations

import msgspec

from edge.config.power import PolicyConfig, PowerConfig
from edge.core.errors import ConfigError
from edge.model import PowerState
from edge.power.inputs.limits import Band, Level
from edge.power.inputs.quantity import SOURCE, Criterion, Quantity, standard
from edge.power.inputs.source import PowerSourceConfig
from edge.power.sources import configured

__all__ = ["STATES", "Band", "Level", "Rule", "Rules", "Window", "from_config"]

STATES = {
    Level.CRITICAL: PowerState.CRITICAL,
    Level.STOPPED: PowerState.UNKNOWN,
    Level.LOW: PowerState.LOW,
    Level.NORMAL: PowerState.NORMAL,
    Level.SURPLUS: PowerState.SURPLUS,
}
_UNKNOWN_AS = {"low": Level.LOW, "stop": Level.STOPPED, "normal": Level.NORMAL}


class Rule(msgspec.Struct, frozen=True):
    """How the policy judges one quantity of one source. Numbers of samples are samples in a row."""

    band: Band | None = None
    low_samples: int = 3
    critical_samples: int = 2
    unknown_samples: int = 3
    good_samples: int = 3
    resume_after_s: float = 300.0
    unknown: Level = Level.LOW  # the level that unknown counts as
    only_claims: bool = False  # it can report surplus, and never makes power worse than normal
    claims_surplus: bool = True  # a surplus reading means that there is spare power, not only that the state is good
    vetoes_surplus: bool = False  # a normal reading forbids surplus, whichever quantity reports surplus
    holds_s: float | None = None  # age up to which a value counts as new


class Window(msgspec.Struct, frozen=True):
    """A span of the local day in minutes; it passes midnight if `first` > `end`.

    It limits the level to `at_most`, or sets the level `unknown_as` that unknown counts as.
    """

    first: int
    end: int
    at_most: Level | None = None
    unknown_as: Level | None = None

    def holds(self, minute: int) -> bool:
        """Return True if `minute` is inside the window."""
        if self.first < self.end:
            return self.first <= minute < self.end
        return minute >= self.first or minute < self.end


class Rules(msgspec.Struct, frozen=True):
    """Everything that the policy needs besides readings and time.

    The quantities that a source declares come before the standard ones (`standard`). Several batteries of one source
    have names such as `source:BAT0`, and the rules of `source` apply to all of them.
    """

    by_what: dict[str, Rule]
    by_source: dict[str, Rule]  # by "source/what"; comes before `by_what`
    window: Rule  # how the time of day is judged
    windows: tuple[Window, ...] = ()
    stale_after_s: float = 30.0  # an older reading counts as unknown
    max_rises_per_hour: int = 6
    quantities: dict[str, Quantity] = {}  # by "source/what", and by "what"

    def rule(self, source: str, what: str) -> Rule | None:
        """Return the rule of a quantity, or None if the quantity is shown but decides nothing."""
        named = self.by_source.get(f"{source.partition(':')[0]}/{what}")
        return named or self.by_what.get(what)

    def quantity(self, source: str, what: str) -> Quantity:
        """Return the description of a quantity, with its text for people."""
        named = self.quantities.get(f"{source.partition(':')[0]}/{what}")
        return named or self.quantities.get(what) or Quantity(what=what)


def from_config(config: PowerConfig) -> Rules:
    """Return the rules that follow from a `power` section. Raises ConfigError."""
    base = _base(config.policy)
    usual = {quantity.what: quantity for quantity in standard(config)}
    by_what = {what: _rule(base, q.criterion) for what, q in usual.items() if q.criterion is not None}
    by_source: dict[str, Rule] = {}
    quantities = dict(usual)
    for number, source in enumerate(configured(config)):
        declared = _declared(source, config, f"power.sources[{number}].kind")
        quantities |= {f"{source.label}/{what}": quantity for what, quantity in declared.items()}
        for what, quantity in ({SOURCE.what: SOURCE} | usual | declared).items():
            if quantity.criterion is None:
                continue
            rule = _rule(base, quantity.criterion)
            if source.unknown is not None:
                rule = msgspec.structs.replace(rule, unknown=_UNKNOWN_AS[source.unknown])
            if rule != by_what.get(what):
                by_source[f"{source.label}/{what}"] = rule
    sudden = msgspec.structs.replace(base, low_samples=1, unknown_samples=1)
    return Rules(
        by_what,
        by_source,
        window=msgspec.structs.replace(sudden, good_samples=1, claims_surplus=False, vetoes_surplus=True),
        windows=tuple(_window(w.minutes, w.at_most, w.unknown_as) for w in config.policy.windows),
        stale_after_s=max(3 * config.sampling.sample_s, 1.5 * config.sampling.slow_s),
        max_rises_per_hour=config.policy.max_rises_per_hour,
        quantities=quantities,
    )


def _declared(source: PowerSourceConfig, config: PowerConfig, key: str) -> dict[str, Quantity]:
    """Return the quantities that a source declares, by name.

    Raises:
        ConfigError: `quantities` of the kind fails, or does not return quantities. The error names `key`.
    """
    try:
        quantities = tuple(source.quantities(config))
    except Exception as err:  # the code of a package that is not ours may raise anything
        why = " ".join(f"{type(err).__name__}: {err}".split())
        raise ConfigError(key, source.kind, f"its quantities() cannot be used: {why}") from err
    for quantity in quantities:
        if not isinstance(quantity, Quantity):
            raise ConfigError(key, source.kind, f"its quantities() must return Quantity records, not {quantity!r:.60}")
    return {quantity.what: quantity for quantity in quantities}


def _rule(base: Rule, criterion: Criterion) -> Rule:
    """Return the rule for a criterion. A number of samples or a dwell that is None is taken from `base`."""

    def chosen(value: int | None, usual: int) -> int:
        return usual if value is None else value

    return msgspec.structs.replace(
        base,
        band=criterion.band,
        low_samples=chosen(criterion.low_samples, base.low_samples),
        critical_samples=chosen(criterion.critical_samples, base.critical_samples),
        unknown_samples=chosen(criterion.unknown_samples, base.unknown_samples),
        good_samples=chosen(criterion.good_samples, base.good_samples),
        resume_after_s=base.resume_after_s if criterion.resume_after_s is None else criterion.resume_after_s,
        only_claims=criterion.only_claims,
        claims_surplus=criterion.claims_surplus,
        vetoes_surplus=criterion.vetoes_surplus,
        holds_s=criterion.holds_s,
    )


def _base(policy: PolicyConfig) -> Rule:
    return Rule(
        low_samples=policy.low_samples,
        critical_samples=policy.critical_samples,
        # Unknown must not allow work for longer than low does, so it never needs more samples than low.
        unknown_samples=min(policy.unknown_samples, policy.low_samples),
        good_samples=policy.good_samples,
        resume_after_s=policy.resume_after_s,
        unknown=_UNKNOWN_AS[policy.unknown],
    )


def _window(minutes: tuple[int, int], at_most: str | None, unknown_as: str | None) -> Window:
    return Window(
        *minutes,
        at_most=Level[at_most.upper()] if at_most else None,
        unknown_as=Level[unknown_as.upper()] if unknown_as else None,
    )
