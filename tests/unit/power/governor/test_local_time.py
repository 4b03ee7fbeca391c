"""Tests of the local time: it follows a change of the time zone within one sample."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config.power import PolicyConfig, PowerConfig, WindowConfig
from edge.core.layout import Layout
from edge.power import status
from edge.power.governor import governor as module
from edge.power.governor.governor import Governor
from edge.power.governor.local_time import LocalTime


class Zone:
    """The time zone of this process, set by a file, as the C library does with `/etc/localtime`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def set(self, name: str) -> None:
        fresh = self.path.with_name("new")
        fresh.write_text(name)
        fresh.replace(self.path)

    def tzset(self) -> None:
        os.environ["TZ"] = self.path.read_text()
        time.tzset()


@pytest.fixture
def zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    monkeypatch.setenv("TZ", "UTC0")
    made = Zone(tmp_path / "localtime")
    made.set("UTC0")
    time.tzset()
    yield made
    monkeypatch.undo()
    time.tzset()


def test_a_changed_zone_is_followed(zone: Zone) -> None:
    """The minute of the day is that of the new zone, without a restart."""
    local, noon = LocalTime(zone.path, tzset=zone.tzset), 1_800_014_400.0
    assert local.minute(noon) == 12 * 60
    zone.set("XXX-5:30")
    assert local.minute(noon) == 12 * 60
    local.follow()
    assert local.minute(noon) == 17 * 60 + 30


def test_the_same_zone_costs_nothing(zone: Zone) -> None:
    """`tzset` is called after a change, not for each sample. The removal of the file is a change, too."""
    calls: list[int] = []
    local = LocalTime(zone.path, tzset=lambda: calls.append(1))
    for _ in range(5):
        local.follow()
    assert calls == []
    zone.path.unlink()
    local.follow()
    local.follow()
    assert calls == [1]


def test_windows_and_days_of_the_governor_follow_within_a_sample(
    zone: Zone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 23:00 UTC a board that is moved to UTC+2 is in the next day, and outside its window."""
    wall = 1_800_054_000.0  # 2027-01-15 23:00 UTC
    monkeypatch.setattr(module, "LocalTime", lambda: LocalTime(zone.path, tzset=zone.tzset))
    monkeypatch.setattr(time, "time", lambda: wall)
    (tmp_path / "temp").write_text("48000\n")
    from edge.power.sources.temperature import TemperatureConfig

    layout = Layout(tmp_path / "root", tmp_path / "run")
    for folder in (layout.policy.parent, layout.pause.parent):
        folder.mkdir(parents=True)
    window = WindowConfig(from_="22:00", to="00:30", at_most="low")
    config = PowerConfig(
        sources=(TemperatureConfig(path=tmp_path / "temp"),), policy=PolicyConfig(windows=(window,), resume_after_s=0)
    )
    governor = Governor(config, layout, wake=lambda: None)
    now = time.monotonic()
    for step in range(4):
        governor.turn(now + 10.0 * step)
    assert status.read(layout.power).code == "window"
    zone.set("XXX-2")
    for step in range(4, 6):
        governor.turn(now + 10.0 * step)
    assert status.read(layout.power).state == "normal"
    governor.close()
    assert sorted(path.name for path in layout.days.iterdir()) == ["2027-01-15.json", "2027-01-16.json"]


def test_the_c_library_takes_over_a_new_etc_localtime(tmp_path: Path) -> None:
    """Uses the real `tzset` and the real path, in a separate mount namespace where the file can be replaced."""
    zones = [Path("/usr/share/zoneinfo", name) for name in ("Etc/UTC", "Asia/Kolkata")]
    if os.geteuid() or not shutil.which("unshare") or not all(map(Path.exists, (*zones, Path("/etc/localtime")))):
        pytest.skip("needs root, unshare, tzdata and an /etc/localtime")
    code = (
        "import subprocess, time; from edge.power.governor.local_time import LocalTime; local = LocalTime();"
        "print(local.minute(0.0));"
        f"subprocess.run(['mount', '--bind', {str(zones[1])!r}, '/etc/localtime'], check=True);"
        "local.follow(); print(local.minute(0.0))"
    )
    script = f'mount --bind {zones[0]} /etc/localtime && exec {sys.executable} -c "{code}"'
    env = {key: value for key, value in os.environ.items() if key != "TZ"}
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, env=env, check=False
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("this machine allows no mount namespace")
    assert done.stdout.split() == ["0.0", "330.0"], done.stderr
