"""What commands report about a board that is configured to sleep."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.cli.board.checks import parts
from edge.cli.board.checks.finding import Severity
from edge.cli.main import cli
from edge.config.power import CriticalConfig, PowerConfig
from edge.config.sleep import SleepConfig
from edge.core.errors import ConfigError


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """The configuration of a board whose alarm is a plain file, which does not exist yet."""
    path = tmp_path / "edge.yaml"
    path.write_text(
        f"root: {tmp_path}/root\nrun: {tmp_path}/run\ntasks: []\n"
        f"power: {{critical: {{wakealarm: {tmp_path}/alarm}}, sleep: {{when: low}}}}\n"
    )
    return path


def test_a_board_that_could_not_come_back_is_refused(board: Path) -> None:
    result = CliRunner().invoke(cli, ["config", "check", "--config", str(board)])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith("power.sleep.when = 'low': ")
    assert "no clock of this board can wake it" in str(result.exception)
    (board.parent / "alarm").touch()
    assert CliRunner().invoke(cli, ["config", "check", "--config", str(board)]).exit_code == 0


def test_probe_reports_whether_it_can(board: Path) -> None:
    result = CliRunner().invoke(cli, ["power", "probe", "--config", str(board)])
    assert result.output.splitlines()[-1].startswith(f"# no alarm ({board.parent}/alarm): this board cannot wake")


@pytest.mark.parametrize(
    ("sleep", "alarm", "level", "text"),
    [
        (SleepConfig(), False, None, ""),
        (SleepConfig(when="low"), True, Severity.OK, "wakes the board"),
        (SleepConfig(when="low"), False, Severity.WARN, "can wake it"),
        (SleepConfig(when="idle", wake="light"), False, Severity.OK, "sleeps when idle: light sleep"),
        (SleepConfig(when="low", ups_returns=True), False, Severity.OK, "a UPS switches"),
    ],
)
def test_doctor_reports_the_same(
    tmp_path: Path, sleep: SleepConfig, *, alarm: bool, level: Severity | None, text: str
) -> None:
    path = tmp_path / "alarm"
    if alarm:
        path.touch()
    found = list(parts.sleep(PowerConfig(critical=CriticalConfig(wakealarm=path), sleep=sleep)))
    assert [each.level for each in found] == ([] if level is None else [level])
    assert all(text in each.text for each in found)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("{when: low, accept: [{from: 8, to: '09:00'}]}", "power.sleep.accept[0].from"),
        ("{when: low, accept: [{from: '08:00', to: '08:00'}]}", "power.sleep.accept[0].to"),
        ("{when: low, wake_at: '25:00'}", "power.sleep.wake_at"),
        ("{when: never, off_watts: -1}", "power.sleep.off_watts"),
        ("{when: low, idle_watts: 0.04}", "power.sleep.off_watts"),
        ("{when: often}", "power.sleep.when"),
        ("{max_s: 100000}", "power.sleep.max_s"),
    ],
)
def test_a_bad_value_is_named(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "edge.yaml"
    path.write_text(f"power: {{sleep: {text}}}\n")
    result = CliRunner().invoke(cli, ["config", "check", "--config", str(path)])
    assert isinstance(result.exception, ConfigError)
    assert result.exception.key == key


def test_a_board_that_never_goes_down_does_not_sleep_so(tmp_path: Path) -> None:
    path = tmp_path / "edge.yaml"
    path.write_text("power: {critical: {action: none}, sleep: {when: low}}\n")
    result = CliRunner().invoke(cli, ["config", "check", "--config", str(path)])
    assert "power.critical.action is none" in str(result.exception)
