"""The reasons for which a job waits although its class may start."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.config.power import PowerConfig
from edge.model import Action, Energy, Plan, Power, PowerState, PowerStatus, Reading
from edge.worker.power.feasibility import KindAverage, KindAverages, too_hot, too_much

LONG = KindAverage(5, 3600.0, 7200.0)  # an hour, two watt-hours


def report_of(state: PowerState = PowerState.NORMAL, **readings: float) -> PowerStatus:
    """Return normal power with these readings."""
    return PowerStatus(state, "x", "x", readings=tuple(Reading("s", what, value) for what, value in readings.items()))


@pytest.mark.parametrize(
    ("limit", "celsius", "held", "hot"),
    [
        (70, 75, False, True),
        (70, 70, False, False),
        (70, 68, True, True),
        (70, 67, True, False),
        (None, 99, True, False),
    ],
)
def test_heat_holds_until_it_is_clearly_cooler(limit: float | None, celsius: float, held: bool, hot: bool) -> None:
    """A job that was held for heat waits until the board is three degrees cooler.

    Otherwise it would heat the board again at once.
    """
    assert bool(too_hot(limit, report_of(temperature=celsius), held=held)) is hot


def test_without_a_sensor_nothing_is_too_hot() -> None:
    """A board without a sensor would hold the job forever."""
    assert too_hot(50.0, report_of(charge=50)) is None


def test_a_sensor_that_fell_silent_holds() -> None:
    """A job with a limit does not start because the sensor's wire came off."""
    silent = PowerStatus(PowerState.LOW, "x", "x", readings=(Reading("soc", "temperature", reason="gone"),))
    held = too_hot(50.0, silent)
    assert held is not None
    assert held.reason == "nobody knows how hot the board is, the job allows 50 °C"
    assert too_hot(None, silent) is None


@pytest.mark.parametrize(
    ("kind", "state", "readings", "battery_wh", "why"),
    [
        pytest.param(
            LONG, "normal", {"supply": 0, "runtime": 600}, None, "take 3600 s, the battery lasts 600 s", id="ups"
        ),
        pytest.param(LONG, "normal", {"supply": 0, "runtime": 4000}, None, "", id="ups that lasts"),
        pytest.param(LONG, "normal", {"supply": 1, "runtime": 600}, None, "", id="power from outside"),
        pytest.param(LONG, "normal", {"charge": 35}, 20.0, "take 2 Wh, 1 Wh are left", id="charge"),
        pytest.param(LONG, "normal", {"charge": 50}, 20.0, "", id="charge that is enough"),
        pytest.param(LONG, "surplus", {"charge": 35}, 20.0, "", id="surplus: it will not get better"),
        pytest.param(LONG, "normal", {"charge": 35}, None, "", id="a battery of unknown size"),
        pytest.param(None, "normal", {"supply": 0, "runtime": 6}, 1.0, "", id="a kind nobody knows yet"),
    ],
)
def test_what_does_not_fit_what_is_left(
    kind: KindAverage | None, state: str, readings: dict[str, Any], battery_wh: float | None, why: str
) -> None:
    """The reason has both numbers. An unknown number holds no job."""
    found = too_much(
        kind, report_of(PowerState(state), **readings), PowerConfig(battery_wh=battery_wh), power=Power.NORMAL
    )
    assert (found.reason if found else "").startswith("jobs of its kind" if why else "")
    assert why in (found.reason if found else "")
    assert found is None or found.until


def test_kinds_are_learned_and_kept(tmp_path: Path) -> None:
    """They are used after three runs, and newer runs count more. A torn file is ignored."""
    kinds = KindAverages(tmp_path / "tasks" / ".kinds-main.json")
    for seconds in (1.0, 2.0):
        kinds.note("solve", Energy(seconds=seconds, cpu_seconds=1.0, joules=seconds * 2))
    assert kinds.expected("solve") is None
    kinds.note("solve", Energy(seconds=3.0, cpu_seconds=1.0, joules=6.0))
    assert kinds.expected("solve") == KindAverage(3, 2.0, 4.0)
    for _ in range(20):
        kinds.note("solve", Energy(seconds=10.0, cpu_seconds=1.0, joules=20.0))
    assert kinds.expected("solve").seconds > 9  # type: ignore[union-attr]
    kinds.save()
    assert KindAverages(tmp_path / "tasks" / ".kinds-main.json").expected("solve") == kinds.expected("solve")
    (tmp_path / "tasks" / ".kinds-main.json").write_text("{")
    assert KindAverages(tmp_path / "tasks" / ".kinds-main.json").expected("solve") is None


@pytest.mark.parametrize(("ends_in_s", "parked"), [(600.0, False), (-1.0, True)])
def test_a_plan_that_counts_lets_a_job_use_more_of_the_battery(ends_in_s: float, parked: bool) -> None:
    """Two watt-hours of 20 Wh are 10 %.

    The plan allows them from 25 % down to a floor of 14 %; without a plan the threshold is 30 %.
    """
    plan = Plan(Action.WORK, "above the floor", time.time() + ends_in_s, 14.0)
    report = msgspec.structs.replace(report_of(charge=25), plan=plan)
    found = too_much(LONG, report, PowerConfig(battery_wh=20.0), power=Power.NORMAL)
    assert (found is not None) is parked


@pytest.mark.parametrize("readings", [{"charge": 13}, {"supply": 0, "runtime": 60}])
def test_class_always_is_not_held_for_energy(readings: dict[str, Any]) -> None:
    """At low power the charge is below the pause threshold. A known kind runs there like one that is not known yet."""
    report, config = report_of(PowerState.LOW, **readings), PowerConfig(battery_wh=20.0)
    assert too_much(LONG, report, config, power=Power.NORMAL) is not None
    assert too_much(LONG, report, config, power=Power.ALWAYS) is None
