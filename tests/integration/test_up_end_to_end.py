"""`edge up` as a person runs it: a job from HTTP to a result file, crashes, Ctrl-C, a second start."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.client import Client, Settings
from edge.core.layout import Layout
from edge.model import JobState, Result
from edge.results.store import Results
from edge.up.background import Background
from edge.up.broker.node import PrivateNode
from edge.up.broker.ports import accepts, free_ports

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]
EDGE = os.fspath(Path(sys.executable).with_name("edge"))
QUESTION = "What is 50 divided by 2?"


def three_in_a_row() -> int:
    """Find a free port for the broker, with the two ports after it free as well."""
    while True:
        (port,) = free_ports(1)
        if port < 65_000 and not any(accepts(port + n) for n in (0, 1, 2)):
            return port


class Up:
    """An `edge up` with separate ports and folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.log = root, root.with_name("up.log")
        self.port, self.broker_port = free_ports(1)[0], three_in_a_row()
        self.layout = Layout(root, root / "run")
        self.start()

    def start(self) -> None:
        ports = ("--port", str(self.port), "--broker-port", str(self.broker_port))
        self.background = Background(self.root, self.log, ports)

    def client(self) -> Client:
        return Client(settings=Settings(url=self.background.news["X_EDGE_URL"], patience_s=60))

    def solve(self) -> Result:
        with self.client() as client:
            return client.submit("solve", 1, QUESTION).wait(120)

    def part(self, words: str) -> int:
        """Return the process id of the part with `words` in its command line, or 0 if it does not run."""
        return next((pid for pid in family(self.background.pid) if words in command(pid)), 0)


def family(pid: int) -> list[int]:
    """Return the children of a process, and their descendants."""
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return children + [each for child in children for each in family(child)]


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def until(condition: Callable[[], bool], what: str, timeout_s: float = 90.0) -> None:
    """Return once `condition()`; fail with `what` at the deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)  # the interval of the polls


def all_end(pids: list[int], timeout_s: float = 30.0) -> bool:
    """Return True once none of these processes runs."""
    deadline = time.monotonic() + timeout_s
    for pid in pids:
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        ended = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        os.close(watch)
        if not ended:
            return False
    return True


@pytest.fixture(scope="module")
def up(broker_node: PrivateNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One running stack for the tests that leave it running."""
    del broker_node  # the fixture skips or fails if there is no broker
    stack = Up(tmp_path_factory.mktemp("up") / "state")
    yield stack
    stack.background.stop()


def run_up(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run an `edge up` that must end by itself."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_")}
    argv = [EDGE, "up", *arguments]
    return subprocess.run(argv, cwd=cwd, env=clean | env, capture_output=True, text=True, check=False, timeout=120)


def test_a_job_becomes_a_result_file_and_its_text(up: Up) -> None:
    """The sum of the demo has its value, a result file, and `1-response.txt` next to it."""
    result = up.solve()
    assert (result.state, result.value) == (JobState.SUCCEEDED, "50 divided by 2 = 25")
    results = Results(up.layout)
    assert results.read(result.id) == result
    assert results.artifact(result, "1-response.txt").read_text().strip() == "50 divided by 2 = 25"


@pytest.mark.parametrize(("name", "words"), [("worker", "edge.worker"), ("gateway", "edge.gateway")])
def test_a_killed_part_comes_back_and_serves(up: Up, name: str, words: str) -> None:
    """After SIGKILL the part is restarted, and the next job succeeds."""
    before = up.part(words)
    os.kill(before, signal.SIGKILL)
    until(lambda: up.part(words) not in (0, before), f"no new {name}")
    assert up.solve().state is JobState.SUCCEEDED


def test_a_killed_broker_comes_back_and_the_others_find_it(up: Up) -> None:
    """After SIGKILL of RabbitMQ neither gateway nor worker needs a restart."""
    others = up.part("edge.worker"), up.part("edge.gateway")
    broker = up.part("beam.smp")
    os.kill(broker, signal.SIGKILL)
    until(lambda: up.part("beam.smp") not in (0, broker), "no new broker")
    assert up.solve().state is JobState.SUCCEEDED
    assert (up.part("edge.worker"), up.part("edge.gateway")) == others


def test_a_second_up_on_the_same_root_is_one_line(up: Up, tmp_path: Path) -> None:
    """The line names the root and the pid of the first `edge up`, which continues."""
    done = run_up("--root", os.fspath(up.root), cwd=tmp_path)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert f"already runs on {up.root} (pid {up.background.pid})" in line
    assert up.solve().state is JobState.SUCCEEDED


def test_the_password_is_in_no_command_line_and_no_log(up: Up) -> None:
    """A process list or the log does not show the broker's password."""
    password = (up.root / "broker" / "password").read_text().strip()
    assert not any(password in command(pid) for pid in family(up.background.pid))
    logs = [up.log, *(up.root / "broker" / "log").iterdir()]
    assert not any(password in path.read_text(errors="replace") for path in logs)


def test_ctrl_c_stops_all_in_order_and_a_second_start_goes_on(broker_node: PrivateNode, tmp_path: Path) -> None:
    """After SIGINT no process is left; accepted jobs end with one result each after the next start."""
    del broker_node
    up = Up(tmp_path / "state")
    try:
        first = up.solve()
        with up.client() as client:
            jobs = [client.submit("solve", n, f"What is {n} plus {n}?").id for n in range(20)]
        pids = family(up.background.pid)
        os.kill(up.background.pid, signal.SIGINT)
        assert up.background.wait(60) == 0
        assert all_end(pids)
        assert not accepts(up.port)
        assert not accepts(up.broker_port)
        stops = [line.rsplit(" ", 1)[1] for line in up.log.read_text().splitlines() if "| stopping " in line]
        assert stops == ["worker", "gateway", "governor", "broker", "epmd"]

        up.start()
        with up.client() as client:
            assert client.result(first.id) == first
            for number, job_id in enumerate(jobs):
                assert client.wait(job_id, timeout=60).value == f"{number} plus {number} = {number * 2}"
    finally:
        up.background.stop()


def test_nothing_outlives_a_killed_supervisor_and_the_next_start_recovers(
    broker_node: PrivateNode, tmp_path: Path
) -> None:
    """SIGKILL of `edge up` ends every part, and the same state starts again."""
    del broker_node
    up = Up(tmp_path / "state")
    try:
        first = up.solve()
        pids = family(up.background.pid)
        assert len(pids) >= 5
        os.kill(up.background.pid, signal.SIGKILL)
        assert all_end(pids)
        up.background.wait(10)
        up.start()
        with up.client() as client:
            assert client.result(first.id) == first
        assert up.solve().state is JobState.SUCCEEDED
    finally:
        up.background.stop()


def test_a_first_start_that_was_cut_short_begins_anew(broker_node: PrivateNode, tmp_path: Path) -> None:
    """A store that did not settle has no job; it is set aside and kept, and the stack starts."""
    del broker_node
    unsettled = tmp_path / "state" / "broker" / "store" / "edge@localhost"
    unsettled.mkdir(parents=True)
    (unsettled / "schema.DAT").write_bytes(b"half a")
    up = Up(tmp_path / "state")
    try:
        assert up.solve().state is JobState.SUCCEEDED
        kept = up.root / "broker" / "store.set-aside-1" / "edge@localhost" / "schema.DAT"
        assert kept.read_bytes() == b"half a"
    finally:
        up.background.stop()


def test_a_gateway_port_in_use_is_one_line(tmp_path: Path) -> None:
    """The line names port and key, the exit code is 3, and no broker was started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_up("--port", str(port), "--broker-port", str(three_in_a_row()), cwd=tmp_path)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert f"port {port} (gateway.port)" in line
    assert "in use" in line
    assert not done.stdout
    assert not (tmp_path / ".edge" / "broker").exists()


def test_a_missing_rabbitmq_is_one_line(tmp_path: Path) -> None:
    """The line names the configured path; the exit code is 3."""
    arguments = ("--port", str(free_ports(1)[0]), "--broker-port", str(three_in_a_row()))
    done = run_up(*arguments, "--rabbitmq-server", "/nowhere/rabbitmq-server", cwd=tmp_path)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert "/nowhere/rabbitmq-server" in line


def test_a_bad_value_in_edge_yaml_is_one_line_and_exit_2(tmp_path: Path) -> None:
    """The line names file, key, value and what is allowed; nothing is started and the file is unchanged."""
    text = "root: .\nrun: run\ngateway:\n  port: none-of-these\n"
    (tmp_path / ".edge").mkdir()
    (tmp_path / ".edge" / "edge.yaml").write_text(text)
    done = run_up(cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "gateway.port" in line
    assert "none-of-these" in line
    assert (tmp_path / ".edge" / "edge.yaml").read_text() == text
