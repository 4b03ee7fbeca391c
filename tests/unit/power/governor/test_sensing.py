"""Tests of sources that break their contract: such a source is unknown with the reason, and the others go on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from edge.config.power import PowerConfig
from edge.core.errors import ConfigError
from edge.core.layout import Layout
from edge.model import Reading, Verdict
from edge.power.governor.sensing import Sensing
from edge.power.inputs.quantity import Quantity
from edge.power.inputs.reading import known, unknown
from edge.power.inputs.source import PowerSourceConfig, Source
from edge.power.policy.rules import from_config
from edge.power.sources.plain import PlainConfig


class Foreign:
    """A source of another package, whose readings a test chooses."""

    max_period_s: Any = math.inf
    quiet: Any = False

    def __init__(self, reads: Callable[[], Any], closes: Callable[[], None] = lambda: None) -> None:
        self.reads, self.closes = reads, closes

    def read(self, now: float) -> Any:
        return self.reads()

    def close(self) -> None:
        self.closes()


class ForeignConfig(PowerSourceConfig, frozen=True, tag="foreign"):
    """The configuration record of `Foreign`."""

    opens: Any = None
    declares: Any = ()
    checks: Any = None

    def open(self, layout: Layout, notify: Callable[[], None]) -> Source:
        return cast("Source", self.opens())

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        return cast("tuple[Quantity, ...]", self.declares() if callable(self.declares) else self.declares)

    def check(self, key: str) -> None:
        if self.checks:
            self.checks()


def fails(*_: object) -> Any:
    raise RuntimeError("a bus\nis gone")


def sensing(tmp_path: Path, source: Foreign | Callable[[], Any]) -> Sensing:
    """Return the sensing of two sources: the given one and a plain supply."""
    opens = source if callable(source) else lambda: source
    records = (ForeignConfig(opens=opens), PlainConfig())
    return Sensing(records, Layout(root=tmp_path, run=tmp_path), lambda _: None)


def lazily() -> Iterator[Reading]:
    yield known("foreign", "volts", 4.0, "V")
    fails()


JUNK: list[tuple[Any, str]] = [
    (None, "NoneType"),
    ((), "returned no reading"),
    ("volts", "'v' instead of a Reading"),
    (5, "not iterable"),
    ((5.0,), "5.0 instead of a Reading"),
    ((known("foreign", "volts", math.nan),), "volts is nan, which is not a finite number"),
    ((known("foreign", "volts", -math.inf),), "volts is -inf, which is not a finite number"),
    ((known("foreign", "volts", 10**400),), "not a finite number"),
    ((known("foreign", "volts", cast("float", "4.0")),), "volts is '4.0', which is not a finite number"),
    ((known("foreign", "volts", 4.0, age_s=math.nan),), "volts has an age of nan"),
    ((known("foreign", "volts", 4.0, age_s=-1.0),), "volts has an age of -1.0"),
    ((known("plain", "supply", 0.0),), "a reading is of 'plain' instead of 'foreign'"),
    ((known(cast("str", None), "supply", 0.0),), "a reading is of None"),
    ((known("foreign", cast("str", 5), 0.0),), "a field of a wrong type"),
    ((known("foreign", "volts", 4.0, verdict=cast("Verdict", "fine")),), "a field of a wrong type"),
    ((known("foreign", "volts", cast("float", None)),), "volts is None and ok: only what is unknown has no value"),
    ((known("foreign", "volts", 4.0, verdict=Verdict.UNKNOWN),), "volts is 4.0 and unknown"),
]


@pytest.mark.parametrize(("answer", "why"), JUNK)
def test_junk_from_a_source_is_unknown_with_the_reason(tmp_path: Path, answer: Any, why: str) -> None:
    """A NaN, for example, is below no limit, so it would count as good power."""
    first, *others = sensing(tmp_path, Foreign(lambda: answer)).read(0.0)
    assert (first.source, first.what, first.value, first.verdict) == ("foreign", "source", None, Verdict.UNKNOWN)
    assert why in first.reason
    assert "\n" not in first.reason
    assert [reading.source for reading in others] == ["plain"]


@pytest.mark.parametrize(
    "answer",
    [[known("foreign", "volts", 4)], iter([known("foreign:BAT0", "volts", 4.0), unknown("foreign", "x", "y")])],
)
def test_any_series_of_readings_will_do(tmp_path: Path, answer: Any) -> None:
    """Allowed are lists, generators, integer values, and batteries with their own names."""
    assert sensing(tmp_path, Foreign(lambda: answer)).read(0.0)[0].value == 4


@pytest.mark.parametrize("reads", [fails, lazily])
def test_a_source_that_raises_is_unknown_in_one_line(tmp_path: Path, reads: Callable[[], Any]) -> None:
    """This also holds for a generator, which raises only while its readings are taken."""
    first, *_ = sensing(tmp_path, Foreign(reads)).read(0.0)
    assert first.reason == "fault in the source: RuntimeError: a bus is gone"


def test_a_source_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    """The governor starts without the source."""
    tries = iter([fails, fails, lambda: Foreign(lambda: (known("foreign", "volts", 4.0, "V"),))])

    def opens() -> Any:
        return next(tries)()

    source = sensing(tmp_path, opens)
    assert "a bus is gone" in source.read(0.0)[0].reason
    assert source.read(10.0)[0].value == 4.0
    source.close()


def test_all_sources_are_closed_though_one_raises(tmp_path: Path) -> None:
    """A pin that is not released cannot be opened again."""
    closed: list[int] = []
    records = [
        ForeignConfig(name="first", opens=lambda: Foreign(lambda: (), fails)),
        ForeignConfig(name="second", opens=lambda: Foreign(lambda: (), lambda: closed.append(2))),
    ]
    Sensing(records, Layout(root=tmp_path, run=tmp_path), lambda _: None).close()
    assert closed == [2]


@pytest.mark.parametrize("period", [math.nan, 0, -5.0, "10", None])
def test_a_period_that_is_not_valid_is_ignored(tmp_path: Path, period: Any) -> None:
    """A period of zero would make the governor read without a break."""
    source = Foreign(lambda: ())
    source.max_period_s, source.quiet = period, "no"
    found = sensing(tmp_path, source)
    assert (found.max_period_s, found.quiet) == (math.inf, False)


@pytest.mark.parametrize("declares", [fails, None, ("charge",), [5]])
def test_quantities_that_cannot_be_used_name_the_source(declares: Any) -> None:
    """The error is one line with key and kind, not a traceback of the governor."""
    config = PowerConfig(sources=(PlainConfig(), ForeignConfig(declares=declares)))
    with pytest.raises(ConfigError, match=r"power.sources\[1\].kind = 'foreign': its quantities\(\)") as err:
        from_config(config)
    assert "\n" not in str(err.value)


def test_a_check_that_raises_names_the_source() -> None:
    """`edge config check` shows this error."""
    config = PowerConfig(sources=(ForeignConfig(checks=fails),))
    with pytest.raises(ConfigError, match=r"power.sources\[0\].kind = 'foreign': its check cannot be used: RuntimeErr"):
        config.check()
