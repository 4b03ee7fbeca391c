"""Fixtures of the integration tests: gateways on real ports, workers as real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config import Config
from tests.running_gateway import RunningGateway, StartGateway, gateways
from tests.running_worker import StartWorker, workers


@pytest.fixture
def start_gateway() -> Iterator[StartGateway]:
    """`start_gateway(config)`: a gateway that runs until the test ends."""
    with gateways() as start:
        yield start


@pytest.fixture
def gateway(config: Config, start_gateway: StartGateway) -> RunningGateway:
    """A gateway whose broker is down and which trusts loopback."""
    return start_gateway(config)


@pytest.fixture
def start_worker(tmp_path: Path, edge_env: dict[str, str]) -> Iterator[StartWorker]:
    """`start_worker(config)`: a worker process that runs until the test ends."""
    with workers(tmp_path, edge_env) as start:
        yield start
