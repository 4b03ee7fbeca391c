"""Fixtures of one board for the whole run; each test finds it as the test before left it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.client import Client
from tests.deploy.controller import Controller
from tests.deploy.lan import Lan
from tests.deploy.machine import Machine

_NEEDED = ("systemd-nspawn", "debootstrap", "ip", "nsenter", "ssh", "ssh-keygen")


@pytest.fixture(scope="session")
def lan() -> Iterator[Lan]:
    """The network of the boards; if this machine cannot make it, tests are skipped on a laptop and fail in CI."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    why = f"not installed: {', '.join(missing)}" if missing else "needs root" if os.geteuid() else ""
    if why and os.environ.get("CI"):
        pytest.fail(f"no machine can be booted here: {why}")
    if why:
        pytest.skip(f"no machine can be booted here: {why} (apt install systemd-container debootstrap openssh-client)")
    with Lan() as made:
        yield made


@pytest.fixture(scope="session")
def board(lan: Lan) -> Iterator[Machine]:
    """A booted bare Debian, as it comes from Raspberry Pi Imager."""
    with Machine(lan.head) as machine:
        yield machine


@pytest.fixture(scope="session")
def second(lan: Lan) -> Iterator[Machine]:
    """A second board like the first."""
    with Machine(lan.node) as machine:
        yield machine


@pytest.fixture(scope="session")
def controller(board: Machine, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """The controller that runs playbooks against the first board."""
    return Controller({"head": [board]}, tmp_path_factory.mktemp("controller"))


@pytest.fixture(scope="session")
def fleet(board: Machine, second: Machine, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """The controller with the second board as a node of the first."""
    return Controller({"head": [board], "nodes": [second]}, tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="session")
def client(lan: Lan, controller: Controller, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """A laptop on the LAN, with the certificate and the token that the playbook has fetched."""
    home = Path(tmp_path_factory.mktemp("laptop"))
    return Client(lan.head.lan, controller.clients, home, netns=lan.client)
