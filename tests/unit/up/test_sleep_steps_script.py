"""Tests of the script `systemd/edge-sleep-steps`, on a folder tree in place of `/sys`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "systemd" / "edge-sleep-steps"
RECORD = """<service-group>
  <service>
    <txt-record>path=/v1</txt-record>
  </service>
</service-group>
"""


class Kernel:
    """Simulates a board with four cores and Wi-Fi."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cpu = folder / "sys/devices/system/cpu"
        policy = self.cpu / "cpufreq/policy0"
        policy.mkdir(parents=True)
        (policy / "scaling_available_governors").write_text("conservative powersave ondemand\n")
        (policy / "scaling_governor").write_text("ondemand\n")
        for core in range(4):
            (self.cpu / f"cpu{core}").mkdir()
            if core:  # core 0 cannot be switched off
                (self.cpu / f"cpu{core}/online").write_text("1\n")
        (folder / "sys/class/net/wlan0/wireless").mkdir(parents=True)
        (folder / "run/sleep").mkdir(parents=True)
        (folder / "record").write_text(RECORD)
        (folder / "bin").mkdir()
        (folder / "wifi").write_text("off\n")
        iw = f'[ "$3" = get ] && echo "Power save: $(cat {folder}/wifi)" || echo "$5" >{folder}/wifi\n'
        (folder / "bin/iw").write_text(f"#!/bin/sh\n{iw}")
        (folder / "bin/iw").chmod(0o755)

    def ask(self, light: str | None = None, awake: str | None = None) -> None:
        for name, text in (("light", light), ("awake", awake)):
            path = self.folder / "run/sleep" / name
            path.unlink(missing_ok=True) if text is None else path.write_text(f"{text}\n")
        env = {
            "PATH": f"{self.folder}/bin:/usr/bin:/bin",
            **{name: str(self.folder / name.lower()) for name in ("RUN", "SYS", "KEPT", "RECORD")},
        }
        done = subprocess.run(["sh", SCRIPT], env=env, capture_output=True, text=True, check=False, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")

    @property
    def state(self) -> tuple[str, list[str], str]:
        """CPU frequency governor, states of cores 1 to 3, and power save of the Wi-Fi."""
        cores = [(self.cpu / f"cpu{core}/online").read_text().strip() for core in (1, 2, 3)]
        return (
            (self.cpu / "cpufreq/policy0/scaling_governor").read_text().strip(),
            cores,
            (self.folder / "wifi").read_text().strip(),
        )


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def test_light_sleep_and_back(kernel: Kernel) -> None:
    """After two requests for light sleep, the original state is still known and restored."""
    kernel.ask("on")
    kernel.ask("on")
    assert kernel.state == ("powersave", ["0", "0", "0"], "on")
    kernel.ask("off")
    assert kernel.state == ("ondemand", ["1", "1", "1"], "off")
    assert not (kernel.folder / "kept").exists()


def test_settings_from_before_the_sleep_are_restored(kernel: Kernel) -> None:
    """A core that was off stays off, and Wi-Fi that saved power already stays in power save."""
    (kernel.cpu / "cpu2/online").write_text("0\n")
    (kernel.folder / "wifi").write_text("on\n")
    kernel.ask("on")
    kernel.ask("off")
    assert kernel.state == ("ondemand", ["1", "0", "1"], "on")


def test_a_kernel_that_offers_nothing(tmp_path: Path) -> None:
    """In a container, or on a board with one core, the script does nothing and does not fail."""
    kernel = Kernel(tmp_path)
    for path in [*kernel.cpu.glob("cpu*/online"), kernel.cpu / "cpufreq/policy0/scaling_available_governors"]:
        path.unlink()
    (tmp_path / "bin/iw").unlink()
    kernel.ask("on")
    kernel.ask("off")


def test_the_record_says_when_it_is_awake(kernel: Kernel) -> None:
    """The record has the time while the board is asleep, and not after it woke. Text that is not a time is left out."""
    kernel.ask(awake="1795880137")
    assert "    <txt-record>awake=1795880137</txt-record>\n" in (kernel.folder / "record").read_text()
    kernel.ask(awake="1795880200")
    assert (kernel.folder / "record").read_text().count("awake=") == 1
    kernel.ask(awake="<b>1</b>")
    assert (kernel.folder / "record").read_text() == RECORD
    kernel.ask()
    assert (kernel.folder / "record").read_text() == RECORD
