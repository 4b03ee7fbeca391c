"""Fixtures of one board for the whole run; each test finds it as the test before left it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.deploy.client import Client
from tests.deploy.controller import Controller
from tests.deploy.lan import Lan
from tests.deploy.machine import Machine

_NEEDED = ("systemd-nspawn", "debootstrap", "ip", "nsenter", "ssh", "ssh-keygen")

Tell = Callable[[str], None]


def demand(machine: str, why: str, *, hint: str) -> None:
    """Skip the test on a laptop, and fail it in CI, if there is a reason `why` no `machine` can be had here."""
    if why and os.environ.get("CI"):
        pytest.fail(f"no {machine} can be had here: {why}")
    if why:
        pytest.skip(f"no {machine} can be had here: {why} ({hint})")


@pytest.fixture(scope="module")
def tell(request: pytest.FixtureRequest) -> Iterator[Tell]:
    """Collects figures, and shows them at the end, each after the name of the test file."""
    lines: list[str] = []
    yield lines.append
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert reporter is not None
    name = request.path.stem.removeprefix("test_")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        reporter.write_line("")
        for line in lines:
            reporter.write_line(f"{name}: {line}")


@pytest.fixture(scope="session")
def lan() -> Iterator[Lan]:
    """The network of the boards; if this machine cannot make it, tests are skipped on a laptop and fail in CI."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    why = f"not installed: {', '.join(missing)}" if missing else "needs root" if os.geteuid() else ""
    demand("booted container", why, hint="apt install systemd-container debootstrap openssh-client")
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
