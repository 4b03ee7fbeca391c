"""Fixtures of the integration tests: gateways on real ports, workers as real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.config import BrokerConfig, Config
from edge.model import PowerState, WorkerState
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway, gateways
from tests.running_worker import RunningWorker, StartWorker, report_power, workers


@pytest.fixture
def start_gateway() -> Iterator[StartGateway]:
    """`start_gateway(config)` starts a gateway that runs until the test ends."""
    with gateways() as start:
        yield start


@pytest.fixture
def gateway(config: Config, start_gateway: StartGateway) -> RunningGateway:
    """A gateway whose broker is down, and which trusts loopback."""
    return start_gateway(config)


@pytest.fixture
def start_worker(tmp_path: Path, edge_env: dict[str, str]) -> Iterator[StartWorker]:
    """`start_worker(config)` starts a worker process that runs until the test ends."""
    with workers(tmp_path, edge_env) as start:
        yield start


@pytest.fixture
def odd_settings() -> dict[str, Any]:
    """Sections of `odd` that differ from the defaults; a test file overrides this fixture."""
    return {}


@pytest.fixture
def odd(broker: BrokerConfig, make_config: MakeConfig, odd_settings: dict[str, Any]) -> Config:
    """A configuration with the odd tasks, a real broker and good power."""
    config = make_config(broker=broker, **{"tasks": ["odd"], **odd_settings})
    report_power(config, PowerState.NORMAL)
    return config


@pytest.fixture
def worker(odd: Config, start_worker: StartWorker) -> RunningWorker:
    """A ready worker on `odd`."""
    worker = start_worker(odd)
    worker.until_state(WorkerState.IDLE)
    return worker
