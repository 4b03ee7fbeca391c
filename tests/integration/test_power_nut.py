"""The NUT source works with a real upsd, its dummy driver, and the real upsc."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.model import Reading, Verdict
from edge.power.sources.nut import Nut, NutConfig
from tests.running_governor import governor, until

DRIVERS = (Path("/lib/nut"), Path("/usr/lib/nut"), Path("/usr/libexec/nut"))


class Ups:
    """A UPS with the values of a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._changed_at = time.time()
        driver = next((d / "dummy-ups" for d in DRIVERS if (d / "dummy-ups").exists()), None)
        # Debian's /usr/sbin/upsd is a wrapper that reads the system's nut.conf. The program itself is in this folder.
        inner = [str(d / "upsd") for d in DRIVERS if (d / "upsd").exists()]
        upsd = next(iter(inner), shutil.which("upsd", path="/usr/sbin:/sbin:/usr/bin"))
        if driver is None or upsd is None or shutil.which("upsc") is None:
            reason = "no upsd, dummy-ups and upsc: apt-get install nut-server nut-client"
            if os.environ.get("CI"):
                pytest.fail(f"CI is set and there is {reason}")
            pytest.skip(reason)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.name = f"test@127.0.0.1:{self.port}"
        self.says("OL", charge=100)
        (folder / "ups.conf").write_text(
            f"[test]\n  driver = dummy-ups\n  port = {folder}/test.dev\n  pollinterval = 1\n"
        )
        (folder / "upsd.conf").write_text(f"LISTEN 127.0.0.1 {self.port}\nMAXAGE 3\n")
        (folder / "upsd.users").write_text("")
        for file in folder.iterdir():
            file.chmod(0o640)
        self.env = {
            **os.environ,
            "NUT_CONFPATH": str(folder),
            "NUT_STATEPATH": str(folder),
            "NUT_ALTPIDPATH": str(folder),
        }
        user = getpass.getuser()
        self.driver_argv = [str(driver), "-a", "test", "-u", user, "-D"]
        self.upsd_argv = [upsd, "-u", user, "-D"]
        self.driver = self.start(self.driver_argv)
        until(lambda: list(folder.glob("dummy-ups-test")) or None, lambda: f"the driver: {self.log()}")
        self.upsd = self.start(self.upsd_argv)
        until(lambda: self.answers() or None, lambda: f"upsd: {self.log()}")

    def says(self, status: str, **battery: float) -> None:
        """Replace all values of the UPS."""
        lines = [f"ups.status: {status}", *(f"battery.{name}: {value:g}" for name, value in battery.items())]
        temp = self.folder / "new.dev"
        temp.write_text("\n".join(lines) + "\n")
        # The driver compares the time of change in whole seconds, so two changes in one second would look like one.
        self._changed_at += 2.0
        os.utime(temp, (self._changed_at, self._changed_at))
        temp.replace(self.folder / "test.dev")

    def answers(self) -> bool:
        """Return True once upsd has values of the driver; until then it answers WAIT."""
        asked = subprocess.run(["upsc", self.name, "ups.status"], capture_output=True, text=True, check=False)
        return asked.stdout.strip() == "OL"

    def start(self, argv: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(argv, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-2000:]


@pytest.fixture
def ups(tmp_path: Path) -> Iterator[Ups]:
    made = Ups(tmp_path)
    yield made
    made.stop(made.upsd)
    made.stop(made.driver)


def wait(ups: Ups, source: Nut, good: Callable[[dict[str, Reading]], bool]) -> dict[str, Reading]:
    """Read until the answer is as wanted; the reads are far apart in the source's time."""
    now = [0.0]

    def there() -> dict[str, Reading] | None:
        now[0] += 1000.0
        seen = {r.what: r for r in source.read(now[0])}
        time.sleep(0.05)
        return seen if good(seen) else None

    return until(there, lambda: f"{ {r.what: r for r in source.read(now[0])} }; log: {ups.log()}")


def test_line_battery_low_and_stale_as_upsd_says_them(ups: Ups) -> None:
    """upsc reads OL, OB, OB LB, stale data of a dead driver, and its return."""
    source = Nut(NutConfig(ups=ups.name))
    seen = wait(ups, source, lambda r: r["supply"].value == 1.0)
    assert seen["charge"].value == 100.0
    ups.says("OB DISCHRG", charge=64, runtime=1080)
    seen = wait(ups, source, lambda r: r["supply"].value == 0.0)
    assert (seen["charge"].value, seen["runtime"].value) == (64.0, 1080.0)
    assert seen["low_battery"].verdict is Verdict.OK
    ups.says("OB LB DISCHRG", charge=9)
    seen = wait(ups, source, lambda r: "low_battery" in r and r["low_battery"].value == 1.0)
    assert seen["low_battery"].verdict is Verdict.CRITICAL
    ups.stop(ups.driver)
    seen = wait(ups, source, lambda r: r["supply"].value is None)
    assert "stale" in seen["supply"].reason.lower() or "not connected" in seen["supply"].reason.lower()
    ups.says("OL CHRG", charge=20)
    ups.driver = ups.start(ups.driver_argv)
    assert wait(ups, source, lambda r: r["supply"].value == 1.0)["charge"].value == 20.0
    ups.stop(ups.upsd)
    assert "refused" in wait(ups, source, lambda r: r["supply"].value is None)["supply"].reason
    source.close()


def test_the_governor_pauses_on_battery_and_goes_critical(ups: Ups, tmp_path: Path) -> None:
    """Through upsd, upsc and the policy, power is good on line and on a full battery, and critical at OB LB."""
    folder = tmp_path / "board"
    folder.mkdir()
    power = {
        "sources": [{"kind": "nut", "ups": ups.name}],
        "sampling": {"sample_s": 0.3, "fast_s": 0.2, "slow_s": 0.3},
        "critical": {"dry_run": True},
    }
    with governor(folder, power) as running:
        running.until("surplus")
        ups.says("OB DISCHRG", charge=95)
        running.until("normal")
        ups.says("OB LB DISCHRG", charge=80)
        assert "battery low" in running.until("critical").reason
        until(lambda: "dry run: systemctl poweroff" in running.log.read_text() or None, running.log.read_text)
