"""Shares of sun, battery and mains in the draw of the board."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model import Mix, Reading, Verdict
from edge.power.energy import draw


def readings(*pairs: tuple[str, float]) -> tuple[Reading, ...]:
    return tuple(Reading("s", what, value, verdict=Verdict.OK) for what, value in pairs)


BOARD = (("amps", 0.5), ("watts", 2.0))


@pytest.mark.parametrize(
    ("pairs", "mix"),
    [
        ([("supply", 1.0)], Mix(mains=1.0)),
        ([("supply", 0.0), ("charge", 70.0)], Mix(battery=1.0)),
        ([("solar_watts", 5.0), ("charge", 70.0), *BOARD], Mix(sun=1.0)),
        ([("solar_watts", 0.5), ("charge", 70.0), *BOARD], Mix(sun=0.25, battery=0.75)),
        ([("solar_watts", 0.5), ("supply", 1.0), *BOARD], Mix(sun=0.25, mains=0.75)),
        ([("solar_watts", 4.0), ("charge", 70.0)], Mix(sun=1.0)),
        ([("solar_watts", 4.0), ("discharging", 1.0)], Mix(battery=1.0)),
        ([("solar_watts", 0.0), ("charge", 70.0)], Mix(battery=1.0)),
        ([("temperature", 50.0)], None),
    ],
)
def test_the_sun_goes_first(pairs: list[tuple[str, float]], mix: Mix | None) -> None:
    """The rest comes from the mains if they are connected, else from the battery. Unknown sources are not guessed."""
    assert draw.mix(readings(*pairs)) == mix


_WHAT = st.sampled_from(
    ["supply", "charge", "volts", "solar_watts", "amps", "watts", "battery_amps", "battery_watts", "discharging"]
)


@given(st.lists(st.tuples(_WHAT, st.floats(-1e6, 1e6)), max_size=8))
def test_shares_make_one(pairs: list[tuple[str, float]]) -> None:
    """For any readings, no share is negative, and the shares add up to 1."""
    mix = draw.mix(readings(*pairs))
    if mix is not None:
        assert min(mix.sun, mix.battery, mix.mains) >= 0
        assert mix.sun + mix.battery + mix.mains == pytest.approx(1.0, abs=0.001)
