"""`systemd/edge-sleep-steps`, on a folder tree in place of the kernel's."""

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
    """A board with four cores and Wi-Fi."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cpu = folder / "sys/devices/system/cpu"
        policy = self.cpu / "cpufreq/policy0"
        policy.mkdir(parents=True)
        (policy / "scaling_available_governors").write_text("conservative powersave ondemand\n")
        (policy / "scaling_governor").write_text("ondemand\n")
        for core in range(4):
            (self.cpu / f"cpu{core}").mkdir()
            if core:  # the first one cannot be switched off
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
        """Governor of the clock, which cores are on, Wi-Fi's power save."""
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
    """Asked twice, nothing is forgotten of how it was."""
    kernel.ask("on")
    kernel.ask("on")
    assert kernel.state == ("powersave", ["0", "0", "0"], "on")
    kernel.ask("off")
    assert kernel.state == ("ondemand", ["1", "1", "1"], "off")
    assert not (kernel.folder / "kept").exists()


def test_what_was_so_before_stays_so(kernel: Kernel) -> None:
    """A core that its owner had switched off, and Wi-Fi that saved power already."""
    (kernel.cpu / "cpu2/online").write_text("0\n")
    (kernel.folder / "wifi").write_text("on\n")
    kernel.ask("on")
    kernel.ask("off")
    assert kernel.state == ("ondemand", ["1", "0", "1"], "on")


def test_a_kernel_that_offers_nothing(tmp_path: Path) -> None:
    """A container, or a board with one core: nothing is done, and nothing fails."""
    kernel = Kernel(tmp_path)
    for path in [*kernel.cpu.glob("cpu*/online"), kernel.cpu / "cpufreq/policy0/scaling_available_governors"]:
        path.unlink()
    (tmp_path / "bin/iw").unlink()
    kernel.ask("on")
    kernel.ask("off")


def test_the_record_says_when_it_is_awake(kernel: Kernel) -> None:
    """While it goes down, and not any more once it woke; what is no time is not told."""
    kernel.ask(awake="1795880137")
    assert "    <txt-record>awake=1795880137</txt-record>\n" in (kernel.folder / "record").read_text()
    kernel.ask(awake="1795880200")
    assert (kernel.folder / "record").read_text().count("awake=") == 1
    kernel.ask(awake="<b>1</b>")
    assert (kernel.folder / "record").read_text() == RECORD
    kernel.ask()
    assert (kernel.folder / "record").read_text() == RECORD
