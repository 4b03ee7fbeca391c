"""A job that the disk refuses is not accepted, and a worker blocks on it: real file systems and kernel errors."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.config import BrokerConfig, Config
from edge.model import PowerState
from tests.powercut.volume import Volume, missing
from tests.running_gateway import RunningGateway, StartGateway, gateways
from tests.running_worker import StartWorker, depth, publish, report_power, until, workers

MakeConfig = Callable[..., Config]


@pytest.fixture
def start_gateway() -> Iterator[StartGateway]:
    with gateways() as start:
        yield start


@pytest.fixture
def start_worker(tmp_path: Path, edge_env: dict[str, str]) -> Iterator[StartWorker]:
    with workers(tmp_path, edge_env) as start:
        yield start


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


@contextmanager
def _full(folder: Path) -> Iterator[None]:
    """Fill the disk to the last byte."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        size, step = 0, 1 << 28
        while step >= 1:
            try:
                os.posix_fallocate(file.fileno(), size, step)
                size += step
            except OSError:
                step //= 2
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def _no_inodes(folder: Path) -> Iterator[None]:
    """Use up all inodes, so that no file can be created."""
    made: list[Path] = []
    while os.statvfs(folder).f_ffree:
        made.append(folder / f"inode-{len(made)}")
        made[-1].touch()
    try:
        yield
    finally:
        for path in made:
            path.unlink()


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    _mount("-o", "remount,ro", str(folder))
    try:
        yield
    finally:
        _mount("-o", "remount,rw", str(folder))


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Path]:
    """A small file system with few inodes."""
    if reason := missing():
        if os.environ.get("CI"):
            pytest.fail(f"CI is set and nothing can be mounted: {reason}")
        pytest.skip(reason)
    folder = tmp_path / "card"
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", "size=8m,nr_inodes=300", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _post(gateway: RunningGateway) -> tuple[int, Any]:
    answer = gateway.ask("POST", "/jobs", {"task": "echo", "args": ["x" * 2000]})
    return answer.status, answer.json


def _refused(gateway: RunningGateway, accepted: list[str], *, words: str) -> None:
    """Submit until a job is refused; the ledger first uses the space that its file already has."""
    for _ in range(5000):
        status, answer = _post(gateway)
        if status != 202:
            break
        accepted.append(answer["id"])
    assert (status, answer["code"]) == (507, "storage")
    assert words in answer["detail"]
    assert gateway.ask("GET", "/healthz").status == 503
    assert gateway.ask("GET", f"/jobs/{accepted[-1]}").status == 200


def test_a_full_disk_is_507_until_there_is_room(
    volume: Volume, make_config: MakeConfig, start_gateway: StartGateway
) -> None:
    """The gateway then accepts again by itself; after a restart it has exactly the jobs that had a 202."""
    config = make_config(root=str(volume.mount / "state"))
    gateway = start_gateway(config)
    accepted = [gateway.submit()]
    with _full(volume.mount):
        _refused(gateway, accepted, words="full")
    until(lambda: _post(gateway)[0] == 202, "to be accepted again")
    gateway.stop()
    again = start_gateway(config)
    assert again.ask("GET", "/status").json["jobs"] == {"accepted": len(accepted) + 1}
    assert all(again.ask("GET", f"/jobs/{job_id}").status == 200 for job_id in accepted)
    again.stop()


def test_no_inode_left_is_no_false_accept(card: Path, make_config: MakeConfig, start_gateway: StartGateway) -> None:
    """An open ledger needs no inode to continue; one opened without inodes answers 507 until there are some."""
    config = make_config(root=str(card / "state"))
    gateway = start_gateway(config)
    with _no_inodes(card):
        accepted = [gateway.submit() for _ in range(5)]
    gateway.stop()
    with _no_inodes(card):
        gateway = start_gateway(config)
        answers = [_post(gateway) for _ in range(5)]
        assert {status for status, _ in answers} <= {202, 507}
        accepted += [answer["id"] for status, answer in answers if status == 202]
    until(lambda: _post(gateway)[0] == 202, "to be accepted again")
    gateway.stop()
    again = start_gateway(config)
    assert again.ask("GET", "/status").json["jobs"] == {"accepted": len(accepted) + 1}
    assert all(again.ask("GET", f"/jobs/{job_id}").status == 200 for job_id in accepted)
    again.stop()


def _failing_flush(volume: Volume) -> None:
    volume.disk.fail("flush", errno.EIO)


def _failing_write(volume: Volume) -> None:
    volume.disk.fail("write", errno.EIO)


def _gone_read_only(volume: Volume) -> None:
    """Make the file system read-only under open files, as ext4 does by itself when its journal fails."""
    subprocess.run(["mount", "-o", "remount,abort", str(volume.mount)], check=False, capture_output=True)


@pytest.mark.parametrize("harm", [_failing_flush, _failing_write, _gone_read_only])
def test_a_failing_disk_is_507_and_what_was_accepted_survives(
    volume: Volume, make_config: MakeConfig, start_gateway: StartGateway, harm: Callable[[Volume], None]
) -> None:
    """The gateway answers 507 for EIO and for the EROFS after it, until the disk is replaced."""
    config = make_config(root=str(volume.mount / "state"))
    gateway = start_gateway(config)
    accepted = [gateway.submit() for _ in range(3)]
    harm(volume)
    _refused(gateway, accepted, words="")
    gateway.stop()
    volume.disk.mend()
    volume.detach()
    volume.attach()
    again = start_gateway(config)
    assert all(again.ask("GET", f"/jobs/{job_id}").status == 200 for job_id in accepted)
    again.submit()
    again.stop()


@pytest.mark.broker
@pytest.mark.parametrize("harm", [_full, _no_inodes, _read_only])
def test_a_worker_holds_a_job_that_its_disk_does_not_take(
    card: Path,
    make_config: MakeConfig,
    broker: BrokerConfig,
    start_worker: StartWorker,
    harm: Callable[[Path], Any],
) -> None:
    """The status says why, the message stays, and the result is written once the cause is gone."""
    config = make_config(broker=broker, tasks=["odd"], root=str(card / "state"))
    report_power(config, PowerState.NORMAL)
    worker = start_worker(config)
    assert worker.result(publish(broker, "echo", "first")).value == "first"
    with harm(card):
        job_id = publish(broker, "echo", "held")
        until(
            lambda: (s := worker.status) and "cannot write under" in s.reason, lambda: f"hold; log: {worker.log_tail()}"
        )
        assert worker.results.read(job_id) is None
    assert worker.result(job_id).value == "held"
    until(lambda: (s := worker.status) and s.reason == "", "no reason")
    assert depth(broker) == 0
    assert worker.stop() == 0
