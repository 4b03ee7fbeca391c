"""Client and command upload files: each byte once, even over bad connections."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import pytest

from edge.client import Client, InputFile, Settings
from edge.core.errors import GatewayError, Unreachable, UsageError
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway
from tests.running_worker import until

CONTENT = os.urandom(5 << 20)
HASH = sha256(CONTENT).hexdigest()


class Flaky:
    """Relays connections, and closes each after a number of bytes to the gateway."""

    def __init__(self, port: int, every_bytes: int) -> None:
        self._port, self._every = port, every_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.bytes = self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                inner, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._pass_on, args=(inner,), daemon=True).start()

    def _pass_on(self, inner: socket.socket) -> None:
        with inner, socket.create_connection(("127.0.0.1", self._port)) as outer, suppress(OSError):
            threading.Thread(target=_copy, args=(outer, inner), daemon=True).start()
            left = self._every
            while left > 0 and (block := inner.recv(min(left, 1 << 16))):
                outer.sendall(block)
                self.bytes += len(block)
                left -= len(block)

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(1 << 16):
            target.sendall(block)


@contextmanager
def flaky(gateway: RunningGateway, every_bytes: int) -> Iterator[Flaky]:
    """Run a bad network in front of the gateway."""
    proxy = Flaky(gateway.port, every_bytes)
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file of five megabytes."""
    path = tmp_path / "my clip.mov"
    path.write_bytes(CONTENT)
    return path


def client_of(port: int) -> Client:
    """Return a client of the gateway at this port."""
    return Client(settings=Settings(f"http://127.0.0.1:{port}", patience_s=10.0))


def test_a_file_is_sent_once(gateway: RunningGateway, clip: Path) -> None:
    """A second upload of a file sends nothing; progress ends at the whole size."""
    calls: list[tuple[int, int]] = []
    with client_of(gateway.port) as client:
        sent = client.upload(clip, progress=lambda done, size: calls.append((done, size)))
        assert sent == InputFile(HASH, "my clip.mov", len(CONTENT))
        assert (calls[0], calls[-1]) == ((0, len(CONTENT)), (len(CONTENT), len(CONTENT)))
        calls.clear()
        client.upload(clip, progress=lambda done, size: calls.append((done, size)))
        assert calls == [(len(CONTENT), len(CONTENT))]


def test_an_upload_over_a_bad_network_goes_on_where_it_broke_off(gateway: RunningGateway, clip: Path) -> None:
    """With connections that break after 700 kB, hardly more than the size of the file is sent."""
    with flaky(gateway, 700_000) as proxy, client_of(proxy.port) as client:
        client.upload(clip)
        assert proxy.connections >= len(CONTENT) // 700_000
        assert proxy.bytes < len(CONTENT) * 1.05
    assert (gateway.layout.files / HASH).read_bytes() == CONTENT


def test_another_call_goes_on_with_an_upload(gateway: RunningGateway, start_gateway: StartGateway, clip: Path) -> None:
    """Another call resumes the upload after the board was away for longer than the client waits."""
    with flaky(gateway, 2_000_000) as proxy:
        settings = Settings(f"http://127.0.0.1:{proxy.port}", patience_s=0.0)
        with Client(settings=settings) as client, pytest.raises(Unreachable):
            client.upload(clip)
    gateway.stop()
    again = start_gateway(gateway.config)
    calls: list[int] = []
    with client_of(again.port) as client:
        client.upload(clip, progress=lambda done, _size: calls.append(done))
    assert calls[0] > 0


def test_a_job_is_submitted_with_its_files(gateway: RunningGateway, clip: Path) -> None:
    """Paths are uploaded, and files that were uploaded before are named by hash."""
    with client_of(gateway.port) as client:
        known = client.upload(clip, name="b.mov")
        view = client.submit("echo", "x", files={"clip": clip, "other": known}).view
        assert view.files == {
            "clip": InputFile(HASH, "my clip.mov", len(CONTENT)),
            "other": InputFile(HASH, "b.mov", len(CONTENT)),
        }


def test_a_file_that_cannot_be_sent_is_one_line(gateway: RunningGateway, tmp_path: Path) -> None:
    """A missing file and a folder are one line each."""
    with client_of(gateway.port) as client:
        for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
            with pytest.raises(UsageError, match=f"file {path}: {why}"):
                client.upload(path)


def test_a_file_that_does_not_fit_is_refused_before_it_is_sent(
    make_config: MakeConfig, start_gateway: StartGateway, clip: Path
) -> None:
    """The first request asks, and the content is not sent."""
    limits = {"spare_bytes": 1 << 60}
    gateway = start_gateway(make_config(gateway={"files": limits, "loopback_without_token": True}))
    with flaky(gateway, 1 << 30) as proxy, client_of(proxy.port) as client:
        with pytest.raises(GatewayError, match=r"gateway\.files\.spare_bytes"):
            client.upload(clip)
        assert proxy.bytes < 5000


def test_the_command_sends_files(gateway: RunningGateway, clip: Path, tmp_path: Path) -> None:
    """`edge submit TASK --file NAME=PATH` prints the id of a job that has the file."""
    env = os.environ | {"EDGE_URL": f"http://127.0.0.1:{gateway.port}", "HOME": str(tmp_path)}
    argv: list[str | Path] = [Path(sys.executable).with_name("edge"), "submit", "echo", "x", "--file", f"clip={clip}"]
    done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    view = gateway.ask("GET", f"/jobs/{done.stdout.strip()}").json
    assert view["files"] == {"clip": {"sha256": HASH, "name": "my clip.mov", "bytes": len(CONTENT)}}


def test_a_large_upload_takes_no_memory(edge_env: dict[str, str], make_config: MakeConfig, tmp_path: Path) -> None:
    """An upload of 200 MB adds less than 20 MB to the gateway, as a gigabyte does (docs/how-to/files.md)."""
    config = make_config(gateway={"files": {"spare_bytes": 0}, "loopback_without_token": True})
    with (tmp_path / "log").open("wb") as log:
        gateway = subprocess.Popen([sys.executable, "-m", "edge.gateway"], env=edge_env, stdout=log, stderr=log)
    try:
        with client_of(config.gateway.port) as client:
            until(lambda: _answers(client), lambda: (tmp_path / "log").read_text()[-2000:])
            client.upload(_sparse(tmp_path / "small", 1 << 20))
            before = _kilobytes(gateway.pid, "VmRSS")
            Path(f"/proc/{gateway.pid}/clear_refs").write_text("5")  # reset the peak
            client.upload(_sparse(tmp_path / "large", 200 << 20))
            assert _kilobytes(gateway.pid, "VmHWM") - before < 20_000
    finally:
        gateway.terminate()
        gateway.wait(30)


def _answers(client: Client) -> bool:
    try:
        return bool(client.status().version)
    except Unreachable:
        return False


def _sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def _kilobytes(pid: int, what: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))


def test_a_schedule_gives_a_file_to_each_of_its_jobs(gateway: RunningGateway, clip: Path, tmp_path: Path) -> None:
    """`edge schedule add ... --file NAME=PATH` gives each job the file, which stays while the schedule exists."""
    env = os.environ | {"EDGE_URL": f"http://127.0.0.1:{gateway.port}", "HOME": str(tmp_path)}
    argv = ["schedule", "add", "nightly", "echo", "x", "--every", "1d", "--file", f"clip={clip}"]
    subprocess.run([Path(sys.executable).with_name("edge"), *argv], env=env, cwd=tmp_path, check=True)
    job = gateway.ask("POST", "/schedules/nightly/run").json
    assert job["files"] == {"clip": {"sha256": HASH, "name": "my clip.mov", "bytes": len(CONTENT)}}
    assert gateway.gateway.appliance.outbox.reader.wanted_files() == {HASH}
