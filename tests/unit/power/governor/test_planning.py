"""Tests of the governor's planning: it learns from readings, and only a trusted plan moves the thresholds."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest

from edge.config import Config
from edge.config.forecast import ExternalConfig, ForecastConfig
from edge.config.power import PowerConfig
from edge.core import clock
from edge.core.host import boot_id
from edge.core.layout import Layout
from edge.model import Action, Backlog, OpenJobs, Power, PowerStatus, Reading, Verdict
from edge.power import status
from edge.power.forecast.learn import HourSample, learn
from edge.power.forecast.memory import PanelMemory, Place
from edge.power.forecast.predict import clear_hour
from edge.power.governor.governor import Governor
from edge.power.governor.planning import Planning
from edge.power.planner import outlook_file
from edge.power.sources.simulated import SimulatedConfig

PLACE = Place(48.1, 11.6, given=True)
NOON = 1_796_036_400.0  # 2026-11-30 11:00 UTC
CONFIG = PowerConfig(
    sources=(SimulatedConfig(),), battery_wh=37.0, forecast=ForecastConfig(latitude=48.1, longitude=11.6)
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    for folder in (layout.backlog.parent, layout.outlook.parent):
        folder.mkdir(parents=True)
    return layout


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """The trusted time, or None if the board does not know the time."""
    now: list[float | None] = [NOON]
    monkeypatch.setattr(clock, "trusted_now", lambda: now[0])
    return now


def learned(days: int = 12) -> PanelMemory:
    memory, first = PanelMemory(place=PLACE), int(NOON // 3600) - days * 24
    for hour in range(first, first + days * 24):
        memory = learn(memory, HourSample(hour, clear_hour(hour, PLACE) * 0.02))
    return memory


def made(layout: Layout, memory: PanelMemory | None = None) -> Planning:
    if memory is not None:
        layout.panel.parent.mkdir(parents=True, exist_ok=True)
        layout.panel.write_bytes(msgspec.json.encode(memory))
    return Planning(Config(root=layout.root, run=layout.run, power=CONFIG), lambda _: None)


def readings(percent: float = 20.0, watts: float = 3.0, **more: float) -> list[Reading]:
    values = {"charge": percent, "solar_watts": watts} | more
    return [Reading("charger", what, value, verdict=Verdict.OK) for what, value in values.items()]


def backlog(layout: Layout, *rows: OpenJobs) -> None:
    layout.backlog.write_bytes(msgspec.json.encode(Backlog(boot_id(), os.getpid(), time.monotonic(), rows)))


def test_a_trusted_plan_lets_work_go_below_the_fixed_threshold(layout: Layout, at: list[float | None]) -> None:
    backlog(layout, OpenJobs("solve", Power.NORMAL, 3))
    plan = made(layout, learned()).turn(readings(20.0), working=False)
    assert plan is not None
    assert plan.action is Action.WORK
    assert plan.floor_percent is not None
    assert 11.0 <= plan.floor_percent < 20.0
    assert plan.budget_wh is not None
    assert 0 < plan.budget_wh < 0.2 * 37


def test_without_enough_history_the_fixed_thresholds_decide(layout: Layout, at: list[float | None]) -> None:
    plan = made(layout, learned(days=3)).turn(readings(), working=False)
    assert plan is not None
    assert plan.floor_percent is None
    assert "of 7 days are learned" in plan.reason


def test_without_a_trusted_clock_the_fixed_thresholds_decide(layout: Layout, at: list[float | None]) -> None:
    at[0] = None
    plan = made(layout, learned()).turn(readings(), working=False)
    assert plan is not None
    assert plan.floor_percent is None


def test_on_the_mains_and_without_a_panel_there_is_no_plan(layout: Layout, at: list[float | None]) -> None:
    some = made(layout, learned())
    assert some.turn(readings(supply=1.0), working=True) is None
    assert some.turn([Reading("gauge", "charge", 50.0, verdict=Verdict.OK)], working=True) is None


def test_what_was_learned_survives_a_restart(layout: Layout, at: list[float | None]) -> None:
    some = made(layout, learned())
    for minute in range(0, 130, 5):
        at[0] = NOON + minute * 60
        some.turn(readings(50.0), working=False)
    some.flush()
    again = made(layout)
    assert again.memory == some.memory
    assert again.memory.last_hour == int(NOON // 3600) + 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 9}', b'{"bins": []}'])
def test_a_file_that_is_no_memory_is_learned_anew(layout: Layout, content: bytes) -> None:
    layout.panel.parent.mkdir(parents=True)
    layout.panel.write_bytes(content)
    assert made(layout).memory == PanelMemory(place=PLACE)


def test_jobs_that_come_and_go_make_another_plan_due(layout: Layout, at: list[float | None]) -> None:
    some = made(layout, learned())
    backlog(layout)
    plan = some.turn(readings(60.0), working=True)
    assert plan is not None
    assert plan.action is Action.IDLE
    backlog(layout, OpenJobs("solve", Power.NORMAL, 1))
    assert some.backlog_changed()
    assert not some.backlog_changed()
    plan = some.turn(readings(60.0), working=True)
    assert plan is not None
    assert plan.action is Action.WORK


def test_forecast_and_board_model_are_written_for_the_gateway(layout: Layout, at: list[float | None]) -> None:
    made(layout, learned()).turn(readings(), working=False)
    found = outlook_file.read(layout.outlook)
    assert found is not None
    assert found.battery_wh == 37.0
    assert found.outlook is not None
    assert found.scores.days >= 10


def test_a_forecast_from_outside_without_an_hour_ahead_is_logged(
    layout: Layout, at: list[float | None], tmp_path: Path
) -> None:
    """Its writer may have died days ago."""
    file, lines = tmp_path / "forecast.json", list[str]()
    file.write_text(f'{{"start": {NOON - 7200}, "watts": [1, 5]}}')
    config = msgspec.structs.replace(CONFIG, forecast=ForecastConfig(file=file))
    some = Planning(Config(root=layout.root, run=layout.run, power=config), lines.append)
    some.turn(readings(), working=False)
    (line,) = lines
    assert line.startswith("the forecast from outside ends at 2026-11-30")
    assert line.endswith("no hour of it is ahead")


def test_a_bad_forecast_from_outside_is_logged_once(layout: Layout, at: list[float | None], tmp_path: Path) -> None:
    file, lines = tmp_path / "forecast.json", list[str]()
    file.write_text('{"start": 1796036400, "watts": [1, -5]}')
    config = msgspec.structs.replace(CONFIG, forecast=ForecastConfig(file=file))
    some = Planning(Config(root=layout.root, run=layout.run, power=config), lines.append)
    for _ in range(3):
        some.turn(readings(), working=False)
    assert lines == [f"{file}: watts[1] is -5: expected 0 to 1e+06"]


def test_a_program_without_a_forecast_leaves_ours_in_force(layout: Layout, at: list[float | None]) -> None:
    lines = list[str]()
    forecast = ForecastConfig(latitude=48.1, longitude=11.6, outside=ExternalConfig(kind="command", command=("false",)))
    config = msgspec.structs.replace(CONFIG, forecast=forecast)
    layout.panel.parent.mkdir(parents=True)
    layout.panel.write_bytes(msgspec.json.encode(learned()))
    some = Planning(Config(root=layout.root, run=layout.run, power=config), lines.append)
    deadline = time.monotonic() + 20
    while not lines:
        assert time.monotonic() < deadline
        some.turn(readings(), working=False)
    plan = some.turn(readings(), working=False)
    some.close()
    assert lines == ["false: exit code 1"]
    assert plan is not None
    assert plan.floor_percent is not None


def test_the_governor_decides_and_reports_by_the_plan(layout: Layout, at: list[float | None]) -> None:
    """The plan's floor replaces the fixed 30 %. Without a trusted clock the fixed threshold is in force again."""
    layout.policy.parent.mkdir(parents=True, exist_ok=True)
    power = msgspec.structs.replace(CONFIG, sources=(SimulatedConfig(day_s=86_400.0),))
    layout.panel.parent.mkdir(parents=True, exist_ok=True)
    layout.panel.write_bytes(msgspec.json.encode(learned()))
    config = Config(root=layout.root, run=layout.run, power=power)
    governor = Governor(power, layout, wake=lambda: None, planning=Planning(config, lambda _: None))
    now = time.monotonic()

    def turn() -> PowerStatus:
        nonlocal now
        for _ in range(4):
            now += 10.0
            governor.look_again()
            governor.turn(now)
        return status.read(layout.power)

    report = turn()
    assert report.plan is not None
    assert report.plan.floor_percent == pytest.approx(13.0, abs=1.0)
    assert "falls to 13" in report.until
    at[0] = None
    assert "falls to 30 %" in turn().until
    governor.close()
    assert layout.panel.exists()
