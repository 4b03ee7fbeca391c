"""`edge watch` works as a program in a pipe, as JSON and in a terminal, until Ctrl-C."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.model import PowerState
from tests.running_gateway import RunningGateway
from tests.running_worker import report_power, until

pytestmark = pytest.mark.timeout(120)

EDGE = os.fspath(Path(sys.executable).with_name("edge"))


class Watching:
    """A running `edge watch`, with its output so far."""

    def __init__(self, process: subprocess.Popen[bytes], fd: int) -> None:
        self._process, self._fd = process, fd
        self._out = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def out(self) -> str:
        """The output as text."""
        return self._out.decode(errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until the output has `text`."""
        until(lambda: text in self.out, f"{text!r} is not shown: {self.out[-3000:]!r}")

    def leave(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(20)
        self._thread.join(20)
        return code

    def _read(self) -> None:
        try:
            while block := os.read(self._fd, 1 << 16):
                self._out += block
        except OSError:
            return  # the other end of the terminal is closed


@contextmanager
def watching(gateway: RunningGateway, *options: str, terminal: bool = False) -> Iterator[Watching]:
    """Run `edge watch` on `gateway`."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_")}
    env |= {"HOME": "/nonexistent", "TERM": "xterm", "EDGE_URL": f"http://127.0.0.1:{gateway.port}"}
    ours, theirs = pty.openpty() if terminal else os.pipe()
    if terminal:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen([EDGE, "watch", *options], env=env, stdout=theirs, stderr=subprocess.STDOUT)
    os.close(theirs)
    watched = Watching(process, ours)
    try:
        yield watched
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_in_a_pipe_each_change_is_a_line(gateway: RunningGateway) -> None:
    """In a pipe each change is a line, power first; Ctrl-C exits with 0."""
    report_power(gateway.config, PowerState.NORMAL)
    with watching(gateway) as watched:
        watched.wait_for("power normal")
        job_id = gateway.submit()
        watched.wait_for(f"job {job_id} echo accepted")
        report_power(gateway.config, PowerState.LOW)
        watched.wait_for("power low")
        gateway.finish(job_id)
        watched.wait_for(f"job {job_id} echo succeeded")
        assert watched.leave() == 0
    assert "Traceback" not in watched.out


def test_as_json_each_event_is_a_document(gateway: RunningGateway) -> None:
    """Each event is a JSON document with its id, from which a program can resume."""
    with watching(gateway, "--json") as watched:
        until(lambda: len(gateway.gateway.appliance.readers) == 1, "it reads no events")
        job_id = gateway.submit()
        watched.wait_for(job_id)
        assert watched.leave() == 0
    first = json.loads(watched.out.splitlines()[0])
    assert (first["about"], first["job"]["id"], first["id"]) == (
        "job",
        job_id,
        f"{gateway.gateway.appliance.journal.boot}-1",
    )


def test_in_a_terminal_it_draws(gateway: RunningGateway) -> None:
    """The screen shows power and waiting jobs with their reasons, and ended ones; the terminal is then restored."""
    report_power(gateway.config, PowerState.NORMAL)
    waits, ends = gateway.submit(), gateway.submit()
    with watching(gateway, terminal=True) as watched:
        watched.wait_for("normal")
        watched.wait_for(waits)
        watched.wait_for("broker is not reachable")  # the reason why it waits
        gateway.finish(ends)
        watched.wait_for("succeeded")
        assert watched.leave() == 0
    assert "\x1b[?1049l" in watched.out  # the alternate screen is left
    assert "Traceback" not in watched.out


def test_in_a_terminal_an_outage_is_shown(gateway: RunningGateway) -> None:
    """An outage is shown as soon as the connection is lost, although no event comes."""
    report_power(gateway.config, PowerState.NORMAL)
    with watching(gateway, terminal=True) as watched:
        watched.wait_for("normal")
        gateway.stop()
        watched.wait_for("still watching")
        assert watched.leave() == 0


def test_a_missing_gateway_is_reported_in_one_line(gateway: RunningGateway) -> None:
    """A missing gateway is reported in one line, with exit code 3."""
    gateway.stop()
    with watching(gateway) as watched:
        until(lambda: watched._process.poll() is not None, "it does not end")
        assert watched._process.returncode == 3
        watched.wait_for("cannot reach the gateway")
    assert len(watched.out.splitlines()) == 1
