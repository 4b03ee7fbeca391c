"""Checks of the wake alarm: it is set, or the board does not sleep."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config.power import CriticalConfig, PowerConfig
from edge.config.sleep import SleepConfig
from edge.power.sleep import means


@pytest.fixture
def alarm(tmp_path: Path) -> Path:
    (tmp_path / "since_epoch").write_text("1795880000\n")
    path = tmp_path / "wakealarm"
    path.touch()
    return path


def test_an_alarm_that_stands_in_time(alarm: Path) -> None:
    alarm.write_text("1795883599\n")
    means.check_alarm(alarm, 3600.0)


@pytest.mark.parametrize("found", ["", "1795880000", "1795900000"])
def test_a_missing_or_wrong_alarm_is_an_error(alarm: Path, found: str) -> None:
    """With such an alarm the board would not wake, or not in time."""
    alarm.write_text(found)
    with pytest.raises(OSError, match="the clock"):
        means.check_alarm(alarm, 3600.0)


def test_obstacles_to_a_sleep_are_named(alarm: Path) -> None:
    def power(path: Path, *, ups_returns: bool = False) -> PowerConfig:
        return PowerConfig(critical=CriticalConfig(wakealarm=path), sleep=SleepConfig(ups_returns=ups_returns))

    assert means.obstacle(power(alarm)) == ""
    assert "no clock of this board can wake it" in means.obstacle(power(alarm.with_name("none")))
    assert means.obstacle(power(alarm.with_name("none"), ups_returns=True)) == ""
    assert "cannot wake by itself" in means.found(alarm.with_name("none"))
    assert "can wake this board" in means.found(alarm)
