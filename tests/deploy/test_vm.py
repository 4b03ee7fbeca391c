"""A whole machine with a real Debian and cgroup 2: limits of programs, scaled workers, and power cuts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import edge.client
from edge.client import Job
from edge.model import Energy, Failure, FailureCode, JobState, Submission
from tests.deploy.client import Client
from tests.deploy.conftest import Tell, demand
from tests.deploy.controller import Controller
from tests.deploy.emulated import AMD64, Emulated, lacking
from tests.deploy.gauge import healthy, memory
from tests.deploy.kept import KeptCard
from tests.deploy.programs import COMMANDS, group_of, groups, read
from tests.deploy.root import suite

pytestmark = pytest.mark.timeout(3600)
#: Longer than any step takes on an emulated machine; only a failing test waits this long.
PATIENCE_S = 280.0
SERVICES = "systemctl show --property=MainPID,NRestarts edge-gateway edge-power edge-worker rabbitmq-server"
BURN = '''"""Computes, and notes its begin and its end."""
import os
import time
from pathlib import Path
from edge.worker import task

@task
def burn(seconds: float) -> str:
    """Use this many seconds of CPU time; the value is the name of the worker's unit."""
    ends_s = time.process_time() + seconds
    while time.process_time() < ends_s:
        pass
    return Path("/proc/self/cgroup").read_text().split("/system.slice/")[-1].split("/")[0].strip()
'''
EXTRA = {"name": "extra", "min": 0, "max": 2, "drain_target_s": 2, "start_cost_s": 1, "down_after_s": 15}
CONFIG: dict[str, Any] = {
    "power": {"sources": [{"kind": "simulated", "start": "normal"}], "policy": {"low_samples": 1}},
    "workers": [{"name": "main"}, {**EXTRA, "guess_s": 1, "guess_bytes": 64 << 20}],
    "commands": COMMANDS,
}


@pytest.fixture(scope="module")
def board(tell: Tell) -> Iterator[Emulated]:
    """A bare machine, switched off; where it cannot be had, tests are skipped on a laptop and fail in CI."""
    demand("virtual machine", lacking(AMD64), hint=".ci/setup-deploy vm")
    with Emulated(AMD64, suite(), memory_mb=1024) as machine:
        tell("run by the processor (KVM)" if machine.virtual else "emulated, because /dev/kvm boots no kernel here")
        yield machine


@pytest.fixture(scope="module")
def controller(board: Emulated, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    return Controller({"head": [board]}, tmp_path_factory.mktemp("controller"))


@pytest.fixture(scope="module")
def client(board: Emulated, controller: Controller, tmp_path_factory: pytest.TempPathFactory) -> Client:
    home = Path(tmp_path_factory.mktemp("laptop"))
    return Client("127.0.0.1", controller.clients, home, port=board.gateway_port)


@pytest.fixture
def laptop(client: Client) -> Iterator[edge.client.Client]:
    with edge.client.Client(settings=client.settings) as connected:
        yield connected


def failure(job: Job) -> Failure:
    """Wait for a job that must fail, and return its failure."""
    result = job.wait(PATIENCE_S)
    assert result.failure is not None, result
    return result.failure


def receipt(job: Job) -> Energy:
    """Wait for a job that must succeed, and return its receipt."""
    result = job.wait(PATIENCE_S)
    assert result.state is JobState.SUCCEEDED, result
    assert result.energy is not None
    return result.energy


def edge_on(board: Emulated, command: str) -> str:
    """Run the command `edge` on the board as its owner."""
    return board.sh(f"edge --config /etc/edge/edge.yaml {command}")


def begun(board: Emulated, job: Job) -> str:
    """Return the folder EDGE_CHECKPOINT of a program that beats, as soon as it beats."""
    folder = f"/var/lib/edge/checkpoints/{job.id}.d"
    board.until(lambda: board.run(f"sudo test -e {folder}/beat").returncode == 0, PATIENCE_S)
    return folder


def stands_still(board: Emulated, folder: str) -> bool:
    """Return True if no beat comes for half a second."""
    first, second = board.sh(f"cd {folder}; stat -c %.Y beat; sleep 0.5; stat -c %.Y beat").split()
    return first == second


def gone(board: Emulated) -> None:
    """Check that no cgroup and no process of a program is left."""
    assert groups(board) == []
    assert board.run("pgrep -f '[t]ouch beat'").stdout.split() == []


def test_from_bare_to_appliance(controller: Controller, board: Emulated, tell: Tell) -> None:
    """One run of the playbook over ssh makes the appliance; its card is kept for the next run with these sources."""
    kept = KeptCard(board, controller, f"{BURN} {CONFIG}")
    if (said := kept.take()) is not None:
        tell(f"the card of an earlier run of the same sources: {said}")
        return
    board.write_card()
    tell(f"boot of the bare machine to ssh: {board.boot():.0f} s; {board.sh('uname -m -r')}")
    own = controller.folder / "burn.py"
    own.write_text(BURN)
    began = time.monotonic()
    tokens = [{"name": "laptop", "scopes": ["submit", "read"]}]
    recap = controller.play(
        "deploy.yml",
        edge_tokens=tokens,
        edge_task_files=[str(own)],
        edge_config=CONFIG,
        edge_extras=["device"],
        edge_health_seconds=600,
    )
    assert recap["failed"] == 0
    assert healthy(board)
    said = f"playbook from bare to appliance: {time.monotonic() - began:.0f} s, {recap['changed']} changes"
    tell(said)
    board.shut_down()
    kept.keep(said)


def test_the_machine_has_cgroup_2_alone(board: Emulated, tell: Tell) -> None:
    """After the boot systemd delegates the controllers to the worker, and the board lacks nothing for its commands."""
    tell(f"boot to ssh: {board.boot():.0f} s")
    board.until(lambda: healthy(board), 900)
    assert board.sh("stat -f -c %T /sys/fs/cgroup") == "cgroup2fs"
    given = board.sh("cat /sys/fs/cgroup/system.slice/edge-worker.service/cgroup.controllers").split()
    tell(f"controllers of the worker: {' '.join(given)}; {board.sh('cat /sys/block/vda/queue/scheduler')}")
    assert {"cpu", "io", "memory", "pids"} <= {*given}


def test_limits_are_set_in_the_cgroup(board: Emulated, laptop: edge.client.Client) -> None:
    """The kernel has the numbers of `edge.yaml`, all processes are in the group, and it is gone after a cancel."""
    job = laptop.submit("holds")
    begun(board, job)
    group = group_of(board)
    found = {name: read(board, group, name) for name in ("memory.max", "memory.swap.max", "cpu.max", "pids.max")}
    assert found == {
        "memory.max": str(64 << 20),
        "memory.swap.max": "0",
        "cpu.max": "50000 100000",
        "pids.max": "32",
    }
    assert read(board, group, "memory.oom.group") == "1"
    assert len(read(board, group, "cgroup.procs").split()) >= 4  # bubblewrap, its process 1, the program, its daemon
    job.cancel()
    assert job.wait(PATIENCE_S).state is JobState.CANCELLED
    gone(board)


def test_low_power_freezes_the_group(board: Emulated, laptop: edge.client.Client) -> None:
    """At low power the kernel freezes all processes of the program, daemons too; the program continues afterwards."""
    job = laptop.submit("holds")
    folder = begun(board, job)
    group = group_of(board)
    edge_on(board, "power simulate low")
    board.until(lambda: "frozen 1" in read(board, group, "cgroup.events"), PATIENCE_S)
    assert stands_still(board, folder)
    edge_on(board, "power simulate normal")
    board.until(lambda: "frozen 0" in read(board, group, "cgroup.events"), PATIENCE_S)
    board.until(lambda: not stands_still(board, folder), PATIENCE_S)
    board.sh(f"touch {folder}/go")
    assert receipt(job).held_s > 0
    gone(board)


@pytest.mark.parametrize("kind", ["holds", "open-holds"])
def test_a_cancel_ends_daemons(board: Emulated, laptop: edge.client.Client, kind: str) -> None:
    """A cancel ends a daemon outside of session and process group, with a sandbox and without one, frozen or not."""
    for frozen in (False, True):
        job = laptop.submit(kind)
        begun(board, job)
        if frozen:
            edge_on(board, "power simulate low")
            group = group_of(board)
            board.until(lambda group=group: "frozen 1" in read(board, group, "cgroup.events"), PATIENCE_S)  # type: ignore[misc]
        job.cancel()
        assert job.wait(PATIENCE_S).state is JobState.CANCELLED
        edge_on(board, "power simulate normal")
        gone(board)


@pytest.mark.parametrize("kind", ["eats", "child-eats"])
def test_a_program_that_eats_memory_ends_alone(
    board: Emulated, laptop: edge.client.Client, client: Client, kind: str
) -> None:
    """The kernel ends the program at `memory_mb`, the failure says so, and no service restarts."""
    before = board.sh(SERVICES)
    found = failure(laptop.submit(kind))
    assert found.code is FailureCode.OUT_OF_MEMORY
    assert "memory_mb = 64" in found.message
    said = client.edge("run", kind, "--timeout", f"{PATIENCE_S:.0f}", check=False)
    assert "memory_mb = 64" in said
    assert board.sh(SERVICES) == before
    killed = board.sh("journalctl --dmesg --boot --output=cat --grep=oom-kill: --no-pager").splitlines()
    assert all("CONSTRAINT_MEMCG" in line for line in killed)
    gone(board)


def test_cpu_percent_slows_a_program_down(laptop: edge.client.Client, tell: Tell) -> None:
    """A second of CPU time at 25 % takes about four seconds."""
    used = receipt(laptop.submit("spins"))
    share = used.cpu_seconds / used.seconds
    tell(f"cpu_percent 25: {used.cpu_seconds:.2f} s of CPU time in {used.seconds:.2f} s, {share:.0%}")
    assert used.cpu_seconds >= 1
    assert share < 0.35


def test_the_receipt_counts_all_processes(laptop: edge.client.Client, tell: Tell) -> None:
    """CPU time, memory and bytes of two processes are counted together."""
    job = laptop.submit("family")
    used = receipt(job)
    tell(f"receipt of two processes: {used}")
    assert used.cpu_seconds >= 0.9
    assert used.peak_bytes is not None
    assert used.peak_bytes >= 80 << 20
    assert used.written_bytes is not None
    assert used.written_bytes >= 8 << 20
    assert [file.size_bytes for file in job.wait(10).files] == [8 << 20]


def test_io_weight_needs_a_disk_that_has_weights(board: Emulated, laptop: edge.client.Client) -> None:
    """With a scheduler without weights the job is refused, and the failure says why; with bfq the weight is set."""
    board.sh("modprobe bfq; echo none >/sys/block/vda/queue/scheduler")
    found = failure(laptop.submit("weighed"))
    assert found.code is FailureCode.REFUSED
    assert "bfq" in found.message
    board.sh("echo bfq >/sys/block/vda/queue/scheduler")
    job = laptop.submit("weighed")
    folder = begun(board, job)
    assert read(board, group_of(board), "io.bfq.weight").split() == ["default", "50"]
    board.sh(f"touch {folder}/go")
    receipt(job)
    board.sh("echo none >/sys/block/vda/queue/scheduler")
    gone(board)


def test_no_network(board: Emulated, laptop: edge.client.Client) -> None:
    """A program without `network: true` reaches nothing."""
    found = failure(laptop.submit("connects"))
    assert found.code is FailureCode.EXIT
    assert "unreachable" in found.message


@pytest.mark.parametrize("kind", ["holds", "open-holds"])
def test_a_killed_worker_leaves_nothing(board: Emulated, laptop: edge.client.Client, kind: str) -> None:
    """After SIGKILL of the worker its processes end, and the next worker runs the job again, with its limits."""
    job = laptop.submit(kind)
    folder = begun(board, job)
    group = group_of(board)
    board.sh("kill -KILL $(systemctl show --property=MainPID --value edge-worker)")
    board.until(lambda: groups(board) not in ([], [group.rpartition("/")[2]]), PATIENCE_S)
    again = group_of(board)
    assert read(board, again, "memory.max") == str(64 << 20)
    assert board.run(f"test -e {group}").returncode
    board.sh(f"touch {folder}/go")
    result = job.wait(PATIENCE_S)
    assert isinstance(result.value, dict)
    assert result.value["stdout"] == "begun\n2\n"
    gone(board)


def test_a_burst_starts_workers_that_retire(board: Emulated, client: Client, tell: Tell) -> None:
    """systemd starts further workers for a burst; they retire after it, no body is interrupted, and memory is back."""
    state = "systemctl show --property=ActiveState --value edge-worker@extra-1 edge-worker@extra-2"
    board.until(lambda: board.sh(state).split() == ["inactive"] * 2, PATIENCE_S)
    before = memory(board)
    with edge.client.Client(settings=client.settings) as laptop:
        jobs = laptop.submit_many(Submission("burn", [0.2]) for _ in range(300))
        began = time.monotonic()
        board.until(lambda: "active" in board.sh(state).split(), PATIENCE_S)
        tell(f"burst of 300 jobs of 0.2 s: a further worker is active after {time.monotonic() - began:.1f} s")
        said = json.loads(edge_on(board, "scale --json"))
        results = [job.wait(300) for job in jobs]
    tell(f"edge scale meanwhile: {said[0]['why']}")
    assert said[0]["wanted"] >= 1
    assert said[0]["running"] >= 1
    assert {result.state for result in results} == {JobState.SUCCEEDED}
    assert {result.attempts for result in results} == {1}
    assert len({result.value for result in results if isinstance(result.value, str)}) >= 2
    began = time.monotonic()
    board.until(lambda: board.sh(state).split() == ["inactive"] * 2, 360)
    board.until(lambda: memory(board).available > before.available - 16, 360)
    after = memory(board)
    available = f"MB available {before.available} before, {after.available} after"
    tell(f"retired {time.monotonic() - began:.0f} s after the burst; {available}")
    said = json.loads(edge_on(board, "scale --json"))
    assert (said[0]["wanted"], said[0]["running"]) == (0, 0)


@pytest.mark.parametrize("way", ["reboot", "power cut"])
def test_a_job_runs_again(board: Emulated, client: Client, tell: Tell, way: str) -> None:
    """A program that ran while the board went down runs again after the boot, and ends."""
    with edge.client.Client(settings=client.settings) as laptop:
        job = laptop.submit("holds")
        begun(board, job)
        if way == "reboot":
            board.shut_down()
        board.kill()
        seconds = board.boot()
        board.until(lambda: healthy(board), 900)
        folder = begun(board, job)
        assert read(board, group_of(board), "memory.max") == str(64 << 20)
        board.sh(f"touch {folder}/go")
        result = job.wait(PATIENCE_S)
    assert result.state is JobState.SUCCEEDED
    tell(f"{way}: boot to ssh {seconds:.0f} s, attempt {result.attempts} ended")
    gone(board)


def test_what_a_program_costs(board: Emulated, laptop: edge.client.Client, tell: Tell) -> None:
    """Figures: a lone program, and one with a limit, above a lone Python body, from submit to result."""
    medians = {}
    for kind, args in (("burn", [0.0]), ("nothing", []), ("limited-nothing", [])):
        taken = []
        for _ in range(60 if board.virtual else 10):
            began = time.perf_counter()
            laptop.submit(kind, *args).wait(PATIENCE_S)
            taken.append(time.perf_counter() - began)
        medians[kind] = sorted(taken)[len(taken) // 2] * 1000
    tell("median ms of a lone job: " + ", ".join(f"{kind} {ms:.1f}" for kind, ms in medians.items()))
