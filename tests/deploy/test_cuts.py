"""Cuts the power at many places of a deployment, and deploys again each time: `make test-deploy-cuts`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.client import Client
from tests.deploy.controller import Controller
from tests.deploy.cuttable import Cuttable
from tests.deploy.lan import Lan
from tests.deploy.test_deploy import deploy, healthy

#: The task that runs at the cut, and the seconds for which it has run.
PLACES = (
    ("Write no access times", 0.5),
    ("Install nftables", 1.0),
    ("Load them, now and at every boot", 0.2),
    ("Install RabbitMQ without starting it", 3.0),
    ("Install RabbitMQ without starting it", 6.0),
    ("Write the broker's settings", 0.3),
    ("Start the broker", 2.0),
    ("Wait for late writes of the broker", 2.0),
    ("Install what a release needs", 2.0),
    ("Bring their archive", 2.0),
    ("Install them, each checked", 3.0),
    ("Install it, checked against its hash", 0.5),
    ("Make users, then folders", 0.3),
    ("Make a CA and sign", 0.5),
    ("Point to it, with its units", 0.8),
    ("Start its services", 1.5),
    ("Wait until it works", 1.0),
    ("Make tokens", 0.7),
)
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def board(lan: Lan) -> Iterator[Cuttable]:
    """A bare Debian on a card that can be cut."""
    with Cuttable(lan.head) as machine:
        yield machine


@pytest.fixture(scope="module")
def controller(board: Cuttable, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """The controller that runs playbooks."""
    return Controller({"head": [board]}, tmp_path_factory.mktemp("controller"))


@pytest.fixture(scope="module")
def client(lan: Lan, controller: Controller, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """A laptop on the LAN."""
    return Client(lan.head.lan, controller.clients, Path(tmp_path_factory.mktemp("laptop")), netns=lan.client)


def test_dpkg_that_was_interrupted_is_finished(controller: Controller, board: Cuttable) -> None:
    """After a cut with half unpacked packages, one of them incomplete, the play finishes them and the firewall."""
    argv = ["apt-get", "install", "--yes", "--no-install-recommends", "rabbitmq-server", "avahi-daemon"]
    with subprocess.Popen(["nsenter", f"--target={board.leader}", "--all", "--", *argv], stdout=subprocess.DEVNULL):
        board.until(lambda: "reinstreq" in board.sh("dpkg-query --show --showformat='${db:Status-Eflag}\\n'"), 60)
        board.sh("sync -f /")
        board.cut()
    board.boot()
    assert "dpkg was interrupted" in board.run("apt-get", "check").stderr
    recap = deploy(controller, "--tags", "base")
    assert recap["failed"] == 0
    assert board.sh("dpkg --audit; apt-get check >/dev/null") == ""
    assert deploy(controller, "--tags", "base")["changed"] == 0
    assert not board.active("rabbitmq-server")  # it is not configured yet


@pytest.mark.parametrize(("task", "delay_s"), PLACES)
def test_a_cut_in_the_middle(controller: Controller, board: Cuttable, task: str, delay_s: float) -> None:
    """After a cut in a task, the next play reaches at least the next place."""
    place = re.compile(rf"TASK \[(?:\w+ : )?{re.escape(task)}")
    with controller.begin("deploy.yml", edge_tokens=[{"name": "laptop", "scopes": ["submit", "read"]}]) as play:
        assert play.stdout is not None
        lines = []
        for line in play.stdout:
            lines.append(line)
            if place.match(line):
                break
        time.sleep(delay_s)  # so that the task is at work
        os.killpg(play.pid, signal.SIGKILL)
    assert place.match(lines[-1]), "".join(lines[-30:])
    board.cut()
    board.boot()


def test_then_all_is_well(controller: Controller, board: Cuttable, client: Client) -> None:
    """The last play finishes the work of the interrupted ones and leaves nothing behind; the next changes nothing."""
    assert deploy(controller)["failed"] == 0
    assert healthy(board)
    assert board.sh("systemctl --failed --plain --no-legend; dpkg --audit; ls /usr/sbin/policy-rc.d || true") == ""
    assert deploy(controller)["changed"] == 0
    assert client.edge("submit", "solve", "1", "What is 50 divided by 2?", "--wait").strip() == "50 divided by 2 = 25"
    board.cut()
    board.boot()
    board.until(lambda: healthy(board), 90)
    assert client.edge("submit", "solve", "1", "What is 6 times 7?", "--wait").strip() == "6 times 7 = 42"
