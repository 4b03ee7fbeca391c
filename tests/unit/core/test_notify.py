"""The messages to the supervisor."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.core import notify


@pytest.fixture(params=["path", "abstract"])
def supervisor(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """A socket such as that of systemd, by path and by abstract name."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        if request.param == "path":
            address = str(tmp_path / "notify")
            sock.bind(address)
        else:
            sock.bind(f"\0edge-test-{os.getpid()}")
            address = f"@edge-test-{os.getpid()}"
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield sock


def test_fields_arrive_in_one_datagram(supervisor: socket.socket) -> None:
    """One datagram has a line for each field."""
    notify.ready("up")
    assert supervisor.recv(1024) == b"READY=1\nSTATUS=up"


@pytest.mark.parametrize("address", [None, "", "nonsense", "/no/such/socket", "@nobody-listens-here"])
def test_nobody_listens(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a listener nothing happens and nothing is raised."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify.stopping()


@pytest.mark.parametrize(
    ("env", "every_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_ping_period(env: dict[str, str], every_s: float | None) -> None:
    """It is half the period that the supervisor sets for this process, and None for another process."""
    assert notify.ping_every_s(env) == every_s


def test_pinger_pings_only_while_all_is_well(supervisor: socket.socket) -> None:
    """The watchdog acts if pings are missing, so the pinger must be able to stop."""
    asked: list[bool] = []

    def well() -> bool:
        asked.append(True)
        return len(asked) != 1

    pinger = notify.Pinger(well, every_s=0.01)
    pinger.start()
    try:
        assert supervisor.recv(64) == b"WATCHDOG=1"
        assert len(asked) >= 2
    finally:
        pinger.stop()
