"""Tests of the meaning of volts, and of charge and volts that contradict each other."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.power.inputs.battery import CELLS, BatteryConfig, Chemistry, VoltsConfig


class GaugeConfig(BatteryConfig, frozen=True, tag="gauge"):
    """A source of charge and volts."""


chemistries = st.sampled_from(get_args(Chemistry))


def at_rest(chemistry: Chemistry, percent: float) -> float:
    """Return the volts that the curve gives for a cell at `percent`."""
    for (low_v, low), (high_v, high) in pairwise(CELLS[chemistry].curve):
        if percent <= high:
            return low_v + (percent - low) / (high - low) * (high_v - low_v)
    raise AssertionError(percent)


@given(
    chemistry=chemistries,
    percent=st.floats(0, 100),
    cells=st.integers(1, 16),
    part=st.floats(-1, 1),
    off=st.floats(-10, 10),
    charging=st.sampled_from([True, False, None]),
)
def test_volts_that_sag_or_rise_and_a_gauge_that_is_a_little_off_are_no_contradiction(
    chemistry: Chemistry, percent: float, cells: int, part: float, off: float, charging: bool | None
) -> None:
    """It holds for any charge, chemistry and number of cells. Volts fall under load and rise while charging."""
    cell = CELLS[chemistry]
    moved = part * cell.rise_v if part > 0 else part * cell.sag_v
    if charging is not None and (part > 0) is not charging:
        moved /= 4.001
    volts = (at_rest(chemistry, percent) + moved) * cells
    record = GaugeConfig(chemistry=chemistry, cells=cells, charge_tolerance_percent=10.5)
    charge = min(100.0, max(0.0, percent + off))
    assert record.contradiction(charge, volts, charging=charging) == ""


@given(chemistry=chemistries, cells=st.integers(1, 16), charging=st.sampled_from([True, False, None]))
def test_an_empty_gauge_at_full_volts_is_a_contradiction(
    chemistry: Chemistry, cells: int, charging: bool | None
) -> None:
    """So is a full gauge at empty volts, whatever the current is. The reason has both numbers."""
    cell, record = CELLS[chemistry], GaugeConfig(chemistry=chemistry, cells=cells)
    full, empty = (cell.curve[-1][0] + cell.rise_v) * cells, (cell.curve[0][0] - cell.sag_v) * cells
    for charge, volts in ((3.0, full), (97.0, empty)):
        reason = record.contradiction(charge, volts, charging=charging)
        assert f"charge {charge:g} %" in reason
        assert f"{volts:g} V contradict" in reason


def test_the_number_of_cells_follows_from_limits_of_the_whole_battery() -> None:
    """If `volts` is set in place of `cells`, a resume limit of 7.4 V means two cells."""
    record = GaugeConfig(volts=VoltsConfig(critical=6.6, pause=7.0, resume=7.4))
    assert record.contradiction(3.0, 8.2)
    assert not record.contradiction(95.0, 8.2)


@pytest.mark.parametrize("chemistry", get_args(Chemistry))
def test_curves_and_limits_rise(chemistry: Chemistry) -> None:
    """A curve goes from 0 to 100 %, and the limits are in order."""
    cell = CELLS[chemistry]
    assert (cell.curve[0][1], cell.curve[-1][1]) == (0, 100)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(cell.curve))
    assert list(cell.limits) == sorted(cell.limits)
