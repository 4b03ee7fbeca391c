"""An installed package adds a kind of power source, which pauses a worker."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.broker import topology
from edge.config import BrokerConfig, Config
from edge.model import Power, PowerState
from edge.power import status
from tests.running_governor import PATIENCE_S
from tests.running_worker import StartWorker, until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]
MakeConfig = Callable[..., Config]

METER = '''
"""A flow meter in a brook: watts of a water wheel, in a file."""

from pathlib import Path
from typing import Annotated

from edge.config.about import about
from edge.power.inputs.limits import Band
from edge.power.inputs.quantity import Criterion, Quantity
from edge.power.inputs.reading import known, unknown
from edge.power.inputs.source import PowerSourceConfig


class WheelConfig(PowerSourceConfig, frozen=True, tag="water_wheel"):
    """A water wheel, by the file that its meter writes."""

    path: Annotated[Path, about("the file of the meter")]
    pause_w: float = 5.0
    resume_w: float = 10.0

    def quantities(self, power):
        criterion = Criterion(band=Band(self.pause_w, self.resume_w), low_samples=1, resume_after_s=0.0)
        words = lambda reading: f"the wheel gives {reading.value:g} W"
        return (Quantity(what="wheel", unit="W", criterion=criterion, words=words, summary=True),)

    def open(self, layout, notify):
        return Wheel(self)


class Wheel:
    def __init__(self, record):
        self.name, self._path = record.label, record.path

    def read(self, now):
        try:
            return (known(self.name, "wheel", float(self._path.read_text()), "W"),)
        except (OSError, ValueError) as err:
            return (unknown(self.name, "wheel", err, "W"),)

    def close(self):
        pass
'''


def wheel(folder: Path) -> Path:
    """Build the package, as a registry would deliver it."""
    path = folder / "edge_water_wheel-1.0-py3-none-any.whl"
    info = "edge_water_wheel-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("edge_water_wheel.py", METER)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: edge-water-wheel\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/entry_points.txt", "[edge.sources]\nwater_wheel = edge_water_wheel:WheelConfig\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_an_installed_kind_pauses_and_resumes_a_worker(
    broker: BrokerConfig,
    make_config: MakeConfig,
    start_worker: StartWorker,
    edge_env: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kind is installed by pip and named in edge.yaml; it closes and opens the worker's gate."""
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site)]
    subprocess.run([*install, str(wheel(tmp_path))], check=True)
    monkeypatch.syspath_prepend(str(site))
    edge_env["PYTHONPATH"] = os.pathsep.join([str(site), *filter(None, [edge_env.get("PYTHONPATH")])])
    meter = tmp_path / "watts"
    meter.write_text("20")
    power = {
        "sources": [{"kind": "water_wheel", "path": str(meter)}],
        "sampling": {"sample_s": 0.2, "fast_s": 0.1, "slow_s": 0.2},
    }
    config = make_config(broker=broker, power=power)
    (tmp_path / "run").mkdir(exist_ok=True)
    governor = subprocess.Popen([sys.executable, "-m", "edge.power", str(tmp_path / "edge.yaml")], env=edge_env)

    def state() -> tuple[PowerState, str]:
        current = status.read(config.layout.power)
        return current.state, current.reason

    try:
        worker = start_worker(config)

        def takes_normal_jobs() -> bool:
            return worker.status is not None and topology.queue_name(Power.NORMAL) in worker.status.queues

        until(takes_normal_jobs, worker.log_tail)
        assert state() == (PowerState.NORMAL, "the wheel gives 20 W")
        meter.write_text("3")
        until(lambda: not takes_normal_jobs(), worker.log_tail)
        assert state() == (PowerState.LOW, "the wheel gives 3 W, pause is at 5 W")
        meter.write_text("30")
        until(takes_normal_jobs, worker.log_tail)
    finally:
        governor.terminate()
        governor.wait(PATIENCE_S)
