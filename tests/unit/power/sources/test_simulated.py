"""Tests of the source of kind `simulated`."""

from __future__ import annotations

from pathlib import Path

from edge.model import Verdict
from edge.power.sources.simulated import Simulated, SimulatedConfig, SimulatedStep
from tests.source_inputs import read


def test_a_script_runs_by_time(tmp_path: Path) -> None:
    """Each step lasts its time. Then the script starts again, or stays at its last step."""
    script = (SimulatedStep(for_s=10, state="surplus"), SimulatedStep(for_s=5, state="low"))
    for loop, last in ((True, Verdict.SURPLUS), (False, Verdict.LOW)):
        source = Simulated(SimulatedConfig(script=script, loop=loop), live=tmp_path / "state")
        verdicts = [read(source, 100.0 + t)["simulated"].verdict for t in (0, 9, 10, 14, 15)]
        assert verdicts == [Verdict.SURPLUS, Verdict.SURPLUS, Verdict.LOW, Verdict.LOW, last]


def test_a_solar_day_is_dark_at_night_and_full_at_dusk(tmp_path: Path) -> None:
    """Watts follow the sun, the battery follows the watts, and all values stay plausible."""
    source = Simulated(SimulatedConfig(day_s=24.0), live=tmp_path / "state")
    hours = [read(source, float(hour)) for hour in range(24)]
    watts = [h["solar_watts"].value for h in hours]
    charge = [h["charge"].value or 0.0 for h in hours]
    assert watts[0] == watts[23] == 0.0
    assert watts[12] == 60.0
    assert min(charge) < 20
    assert max(charge) > 99
    assert charge.index(max(charge)) in {19, 20}
