"""Deploys an appliance to a bare Debian, and breaks it in many ways. The tests run in this order on one board."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import asked
from tests.deploy.client import Client
from tests.deploy.controller import Controller, PlayFailed, ansible
from tests.deploy.machine import Machine
from tests.deploy.root import cache
from tests.docs.pages import marked

SERVICES = ("edge-power", "edge-gateway", "edge-worker", "rabbitmq-server")
TOKENS = [{"name": "laptop", "scopes": ["submit", "read"]}]
EXPOSURE = {"edge-gateway": 1.5, "edge-power": 2.5, "edge-worker": 2.5, "rabbitmq-server": 4.0}
#: Kinds of job that need a worker of threads, and one for the main worker that spawns them.
WAITING = '''
import os, socket, time
from pathlib import Path
from edge.worker import Job, task

@task(pool="io")
def linger(seconds: float, job: Job) -> list[str]:
    """Wait, and return the board, the unit and the attempt of this body."""
    time.sleep(seconds)
    return [socket.gethostname(), Path("/proc/self/cgroup").read_text().strip().rpartition("/")[2], str(job.attempt)]

@task(pool="io")
def rights(paths: list[str]) -> list[str]:
    """Return which of these paths the body may write, and the privileges of its process."""
    status = Path("/proc/self/status").read_text().splitlines()
    held = [line.replace("\\t", " ") for line in status if line.startswith(("NoNewPrivs", "CapBnd", "Seccomp:"))]
    return [path for path in paths if os.access(path, os.W_OK)] + held

@task
def spread(count: int, job: Job) -> int:
    """Spawn `count` jobs that wait."""
    for number in range(count):
        job.spawn(linger, 0.1, key=str(number))
    return count
'''
#: A kind that saves a checkpoint at each step, and returns the step at which its last attempt began.
STEPS = '''
import time
from edge.worker import Job, task

@task
def stepwise(count: int, job: Job) -> int:
    """Count slowly."""
    began_at = int(job.restored or 0)
    for step in range(began_at, count):
        job.checkpoint(step)
        time.sleep(0.05)
    return began_at
'''
pytestmark = pytest.mark.timeout(1200)


def own_task(controller: Controller) -> list[str]:
    """Return the files of kinds of job: that of docs/how-to/add-a-kind.md, and `waiting.py` if a test wrote it."""
    path = controller.folder / "wordcount.py"
    path.write_text(marked("docs/how-to/add-a-kind.md", "wordcount.py")[0])
    return [str(path), *map(str, controller.folder.glob("waiting.py"))]


def deploy(controller: Controller, *options: str, **variables: Any) -> dict[str, int]:
    """Run deploy.yml with the variables that all runs here have, and return its recap."""
    given = {"edge_tokens": TOKENS, "edge_task_files": own_task(controller)}
    return controller.play("deploy.yml", *options, **{**given, **variables})


def release(board: Machine) -> str:
    """Return the release in use."""
    return board.sh("basename $(readlink /opt/edge/current)")


def healthy(board: Machine) -> bool:
    """Return True if every service is active, the governor reports power and the worker is connected."""
    found = board.run("cat", "/run/edge/worker-main.json").stdout
    connected = bool(found) and json.loads(found)["state"] in {"idle", "paused", "running"}
    return board.active(*SERVICES) and connected and '"unknown"' not in board.run("cat", "/run/edge/power.json").stdout


def test_check_mode_on_a_bare_board(controller: Controller, board: Machine) -> None:
    """`--check --diff` shows what would be done, and does nothing."""
    recap = deploy(controller, "--check", "--diff")
    assert recap["changed"] > 0
    assert not (board.root / "opt/edge").exists()


def test_from_bare_to_appliance(controller: Controller, board: Machine) -> None:
    """After one run of the playbook over ssh everything works."""
    recap = deploy(controller)
    assert recap["failed"] == 0
    assert healthy(board)
    assert board.sh("systemctl --failed --plain --no-legend") == ""


def test_second_run_changes_nothing(controller: Controller) -> None:
    """A second run of the playbook changes nothing."""
    assert deploy(controller)["changed"] == 0
    assert deploy(controller, "--check", "--diff")["changed"] == 0


def test_a_job_from_the_lan(client: Client, tmp_path: Path) -> None:
    """A laptop with the token gets the result of its job, and the result is a file."""
    made = json.loads(client.edge("submit", "solve", "1", "What is 50 divided by 2?", "--json"))
    client.edge("result", made["id"], "--wait", "--timeout", "60", "--save", str(tmp_path))
    assert (tmp_path / "1-response.txt").read_text().strip() == "50 divided by 2 = 25"


def test_a_kind_of_job_of_the_owners(client: Client) -> None:
    """A kind of job in a file that the playbook has copied is like any other."""
    said = client.edge("submit", "wordcount", "to be or not to be", "--kwarg", "at_least=2", "--wait")
    assert json.loads(said) == {"to": 2, "be": 2}


def test_found_on_the_lan(board: Machine, client: Client) -> None:
    """`edge discover` on a laptop shows the board with its address."""
    (found,) = json.loads(client.edge("discover", "--json"))
    assert (found["name"], found["url"]) == (board.name, f"https://{board.name}.local:8420")
    assert board.seat.lan in found["addresses"]


def test_edge_deploy(board: Machine, controller: Controller) -> None:
    """`edge deploy` does the work of a playbook with an inventory, and writes a client configuration for the board."""
    home = controller.folder / "home"
    home.mkdir()
    keys = {
        "ansible_ssh_private_key_file": board.key,
        "ansible_ssh_extra_args": "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        "edge_cache": cache() / "wheels",
        "edge_task_files": own_task(controller),
    }
    argv = ["edge", "deploy", f"pi@{board.seat.wire}"]
    argv += [word for key, value in keys.items() for word in ("--var", f"{key}={value}")]
    path = f"{ansible()}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(home), "LC_ALL": "C"}  # Ansible alone refuses the locale C
    before = release(board)
    done = subprocess.run(argv, env=env, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "client.yaml names this board now" in done.stderr
    assert release(board) == before  # the same release, although deployed from another folder
    submit = ["edge", "submit", "solve", "1", "What is 50 divided by 2?", "--wait"]
    solved = subprocess.run(submit, env=env, cwd=home, capture_output=True, text=True, check=False)
    assert (solved.returncode, solved.stdout.strip()) == (0, "50 divided by 2 = 25"), solved.stderr


def test_a_board_that_asks_for_passwords(board: Machine, controller: Controller) -> None:
    """`edge deploy` says which option helps if ssh or sudo needs a password; with the option a person types it."""
    board.sh("echo pi:sun-and-rain | chpasswd; echo 'pi ALL=(ALL) ALL' >/etc/sudoers.d/pi")
    home = controller.folder / "home"
    path = f"{ansible()}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(home), "LC_ALL": "C", "ANSIBLE_SSH_CONTROL_PATH_DIR": str(home / "cp")}
    argv = ["edge", "deploy", f"pi@{board.seat.wire}", "--play", "status", "--var"]
    argv += ["ansible_ssh_extra_args=-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"]
    code, output = asked.run(argv, [], env=env, cwd=home)
    assert code == 1
    assert f"ssh-copy-id pi@{board.seat.wire}, or give its password with --ask-pass (-k)" in output
    code, output = asked.run([*argv, "-k"], ["sun-and-rain"], env=env, cwd=home)
    assert code == 1
    assert "asks for a password: give it with --ask-become-pass (-K)" in output
    code, output = asked.run([*argv, "-k", "-K"], ["sun-and-rain", "sun-and-rain"], env=env, cwd=home)
    assert code == 0, output
    board.sh("echo 'pi ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/pi; passwd --delete pi")


def test_a_second_play_learns_who_is_at_work(controller: Controller, board: Machine) -> None:
    """A second play is refused, and the message names the first; after the first is killed the board is free."""
    with controller.begin("deploy.yml", "--tags", "base") as first:
        board.until(lambda: '"owner"' in board.run("cat", "/run/edge-play.lock").stdout)
        with pytest.raises(PlayFailed, match=rf"another play is at work on {board.name}: \S+ \(process {first.pid}\)"):
            deploy(controller, "--tags", "base")
        os.killpg(first.pid, signal.SIGKILL)
    assert deploy(controller, "--tags", "base")["changed"] == 0
    assert board.sh("cat /run/edge-play.lock") == ""


def test_a_root_in_memory_is_refused(controller: Controller, board: Machine) -> None:
    """A root on an overlay in memory is refused, because a power cut would take the appliance."""
    board.sh("mkdir /media/rw && mount -t tmpfs none /media/rw && mkdir /media/rw/upper /media/rw/work")
    layers = "lowerdir=/opt,upperdir=/media/rw/upper,workdir=/media/rw/work"
    board.sh(f"mount -t overlay overlay -o {layers} /opt")
    try:
        with pytest.raises(PlayFailed, match="/opt is an overlay whose changes are kept in memory"):
            deploy(controller, "--tags", "base")
    finally:
        board.sh("umount --lazy /opt /media/rw; rmdir /media/rw")


def doctor(board: Machine) -> dict[str, str]:
    """Run `edge doctor`, which must find no fault, and return the level of each part."""
    done = board.run("edge", "--config", "/etc/edge/edge.yaml", "doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {each["part"]: each["level"] for each in found}


def test_doctor(board: Machine) -> None:
    """`edge doctor` on the board finds all parts well, and reaches the gateway with the board's certificate."""
    found = doctor(board)
    assert {part for part, level in found.items() if level == "ok"} >= {"ledger", "broker", "queues", "power", "worker"}
    assert found["gateway"] in {"ok", "warn"}  # it answers; more checks would need a token


def test_nobody_without_a_token(client: Client) -> None:
    """A request from the LAN without a token is refused."""
    stranger = dataclasses.replace(client, token="")
    assert "needs a token" in stranger.edge("submit", "factorial", "5", check=False)


def test_ports(board: Machine, client: Client) -> None:
    """ssh and the gateway are open to the LAN, the broker and Erlang listen on loopback, and the firewall is active."""
    assert {port for port in (22, 4369, 5671, 5672, 8420, 15672, 25672) if client.reaches(port)} == {22, 8420}
    listening = re.findall(
        r"^LISTEN\s+\d+\s+\d+\s+(\S+):(\d+)\s",
        board.sh("ss -Hltn | sed 's/^/LISTEN /; s/LISTEN LISTEN/LISTEN/'"),
        re.MULTILINE,
    )
    wide = {int(port) for address, port in listening if not address.startswith(("127.", "[::1]"))}
    assert wide == {22, 8420}
    assert {int(port) for _, port in listening} >= {4369, 5672, 25672}
    assert "policy drop" in board.sh("nft list chain inet edge input")


def test_hardening(board: Machine) -> None:
    """The installed units have no more exposure than allowed, as `systemd-analyze security` rates them."""
    for unit, limit in EXPOSURE.items():
        assert exposure(board, unit) <= limit, unit


def exposure(board: Machine, unit: str) -> float:
    """Return the exposure of a unit by `systemd-analyze security`."""
    said = board.run("systemd-analyze", "security", "--no-pager", unit).stdout
    figure = re.search(r"exposure level for \S+ (\d+\.\d)", said)
    assert figure, said
    return float(figure[1])


def test_one_writer_a_file(board: Machine) -> None:
    """Each of the three users can write its own files, but not those of the other two."""
    script = "cd /; for f in {paths}; do test -w $f && echo $f || true; done"
    paths = [
        "/var/lib/edge/ledger.sqlite",
        "/var/lib/edge/results",
        "/var/lib/edge/results/.staging",
        "/var/lib/edge/attempts",
        "/var/lib/edge/checkpoints",
        "/var/lib/edge/power",
        "/var/lib/edge/tokens.json",
        "/run/edge/orders",
        "/run/edge/power-orders",
        "/run/edge/running",
        "/run/edge/power.json",
        "/run/edge/worker-main.json",
        "/run/edge/poweroff",
        "/var/lib/edge/paired",
        "/run/edge/pairing",
        "/run/edge/node-output",
        "/etc/edge/edge.yaml",
        "/etc/edge/credentials",
        "/etc/edge/tls/key.pem",
        "/opt/edge/current/bin/python",
    ]
    allowed = {
        "edge-worker": {paths[1], paths[2], paths[3], paths[4], "/run/edge/running", "/run/edge/worker-main.json"},
        "edge-gateway": {
            "/var/lib/edge/ledger.sqlite",
            "/var/lib/edge/paired",
            "/run/edge/orders",
            "/run/edge/power-orders",
            "/run/edge/pairing",
            "/run/edge/node-output",
        },
        "edge-power": {"/var/lib/edge/power", "/run/edge/power.json", "/run/edge/poweroff"},
    }
    for user, own in allowed.items():
        found = board.sh(f"runuser -u {user} -g edge -- sh -c '{script.format(paths=' '.join(paths))}'")
        assert set(found.split()) == own, user
    # A user cannot move a file of another one either, because the shared folders are sticky.
    moved = board.run("runuser", "-u", "edge-worker", "-g", "edge", "--", "mv", "/run/edge/power.json", "/run/edge/x")
    assert moved.returncode != 0
    assert "not permitted" in moved.stderr


def test_the_broker_knows_its_users_only(board: Machine) -> None:
    """The broker has no user guest, no rights beyond the queues, and passwords that only root can read."""
    rows = board.sh("rabbitmqctl --quiet --no-table-headers list_permissions").splitlines()
    rights = {row.split("\t")[0]: row.split("\t")[1:] for row in rows}
    queues = r"^edge\.(dead|(io\.|only\.[A-Za-z0-9_-]+\.)?(always|normal|surplus))$"
    abandoned = r"^edge\.(io|only\.[A-Za-z0-9_-]+)\.(always|normal|surplus)$"
    assert rights == {
        "edge-gateway": [queues.replace("dead", "dead|store"), r"^amq\.default$", abandoned],
        "edge-worker": [queues, r"^amq\.default$", queues],
    }
    assert board.sh("stat -c %a:%U /etc/edge/credentials") == "700:root"


def kill(board: Machine, unit: str) -> None:
    """Send SIGKILL to every process of a unit; systemd 252 reports a failure if one of them has just ended."""
    main = f"systemctl show --property=MainPID --value {unit}"
    before = board.sh(main)
    assert before != "0"
    board.run("systemctl", "kill", "--signal=KILL", unit)
    board.until(lambda: board.sh(main) != before)


@pytest.mark.parametrize("unit", SERVICES)
def test_kill_of_each_service(board: Machine, client: Client, unit: str) -> None:
    """After a SIGKILL a service restarts by itself, and a job submitted meanwhile is done."""
    kill(board, unit)
    if unit != "edge-gateway":
        made = json.loads(client.edge("submit", "factorial", "50", "--json"))
    board.until(lambda: healthy(board), 90)
    if unit == "edge-gateway":
        made = json.loads(client.edge("submit", "factorial", "50", "--json"))
    client.edge("result", made["id"], "--wait", "--timeout", "90")
    board.sh(f"systemctl reset-failed {unit}")


def test_a_complaint_starts_the_broker_again(board: Machine, client: Client) -> None:
    """If the gateway requests a restart of the broker by a file, the broker restarts once, and all continues."""
    script = "systemctl show --property=MainPID --value rabbitmq-server"
    before = board.sh(script)
    board.sh("edge --config /etc/edge/edge.yaml pause")
    made = json.loads(client.edge("submit", "factorial", "50", "--json"))
    board.sh("runuser -u edge-gateway -g edge -- sh -c 'echo it refused a job >/run/edge/complaints/gateway'")
    board.until(lambda: board.sh(script) not in {before, "0"} and healthy(board), 90)
    board.sh("edge --config /etc/edge/edge.yaml resume")
    client.edge("result", made["id"], "--wait", "--timeout", "60")
    board.until(lambda: board.sh("systemctl show --property=ActiveState --value edge-broker-cure") == "inactive")
    assert board.sh("ls -A /run/edge/complaints") == ""
    assert board.sh("journalctl --no-pager --boot --output=cat --unit edge-broker-cure").count("started again: it") == 1
    assert board.active("edge-broker-cure.path")


def test_a_bad_configuration_is_refused_before_the_switch(controller: Controller, board: Machine) -> None:
    """The new release reports the error, and the board does not change."""
    before = (release(board), board.sh("cat /etc/edge/edge.yaml"), board.sh("systemctl show -p MainPID edge-worker"))
    bad = {"power": {"thresholds": {"pause_percent": 80, "resume_percent": 45}}}
    with pytest.raises(PlayFailed, match=r"power\.thresholds\.pause_percent"):
        deploy(controller, "--tags", "edge", edge_config=bad)
    after = (release(board), board.sh("cat /etc/edge/edge.yaml"), board.sh("systemctl show -p MainPID edge-worker"))
    assert after == before
    assert healthy(board)


def test_a_card_without_room_is_refused_before_anything_is_there(controller: Controller, board: Machine) -> None:
    """If the libraries do not fit, one line says so, and nothing is installed or removed."""
    there = board.sh("ls /opt/edge/*/")
    with pytest.raises(PlayFailed, match=r"\d+ MB free on /opt: release \S+ and its libraries need 1000000250"):
        deploy(controller, "--tags", "edge", edge_libraries="large", edge_libraries_room_mb=10**9)
    assert board.sh("ls /opt/edge/*/") == there


def spawned(client: Client, parent: str) -> dict[str, int]:
    """Return how many jobs that the body of `parent` has spawned are in which state."""
    found: dict[str, int] = json.loads(client.edge("status", parent, "--json")).get("children", {})
    return found


def test_a_kind_that_waits_gets_its_worker(controller: Controller, board: Machine, client: Client) -> None:
    """A deployment with a kind of the pool io starts a worker of threads for it, with the rights of a worker."""
    assert "io" not in board.sh("rabbitmqctl --quiet --no-table-headers list_queues name")
    (controller.folder / "waiting.py").write_text(WAITING)
    assert deploy(controller, "--tags", "edge")["failed"] == 0
    assert board.active("edge-worker@io")
    assert deploy(controller, "--tags", "edge")["changed"] == 0
    assert exposure(board, "edge-worker@io") <= EXPOSURE["edge-worker"]
    consumers = board.sh("rabbitmqctl --quiet --no-table-headers list_queues name consumers").splitlines()
    assert {f"edge.io.{power}\t1" for power in ("always", "normal", "surplus")} <= set(consumers)
    said = json.loads(client.edge("submit", "linger", "0.1", "--wait"))
    assert said == [board.name, "edge-worker@io.service", "1"]
    paths = [
        "/var/lib/edge/spawned",
        "/var/lib/edge/results",
        "/var/lib/edge/ledger.sqlite",
        "/etc/edge",
        "/run/edge/orders",
    ]
    said = json.loads(client.edge("submit", "rights", json.dumps(paths), "--wait"))
    assert said == [*paths[:2], "CapBnd: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2"]


def test_a_body_on_the_board_hands_in_jobs(board: Machine, client: Client) -> None:
    """All spawned jobs run, in threads; only workers and the gateway can write to the folder of spawned jobs."""
    made = json.loads(client.edge("submit", "spread", "20", "--json"))
    client.edge("result", made["id"], "--wait", "--timeout", "60")
    board.until(lambda: spawned(client, made["id"]) == {"succeeded": 20})
    assert len(board.sh(f"ls /var/lib/edge/spawned/taken/{made['id']}.*").splitlines()) >= 1
    writers = {"edge-gateway": True, "edge-worker": True, "edge-worker@io": True, "edge-power": False}
    for unit, may in writers.items():
        look = f"nsenter --target=$(systemctl show --property=MainPID --value {unit}) --mount"
        user = unit.partition("@")[0]
        done = board.run("sh", "-c", f"{look} runuser -u {user} -g edge -- test -w /var/lib/edge/spawned")
        assert (done.returncode == 0) is may, f"{unit}: {done.stderr}"


def test_kill_of_the_worker_of_threads(board: Machine, client: Client) -> None:
    """It restarts by itself and runs its jobs again; the board's other worker is not stopped."""
    main = board.sh("systemctl show --property=MainPID edge-worker")
    made = json.loads(client.edge("submit", "linger", "5", "--json"))
    board.until(lambda: made["id"] in board.run("cat", "/run/edge/worker-io.json").stdout)
    kill(board, "edge-worker@io")
    said = json.loads(client.edge("result", made["id"], "--wait", "--timeout", "60"))
    assert said[1:] == ["edge-worker@io.service", "2"]
    assert board.sh("systemctl show --property=MainPID edge-worker") == main
    board.sh("systemctl reset-failed edge-worker@io")


def test_a_broken_release_is_rolled_back(controller: Controller, board: Machine, client: Client) -> None:
    """A release with a gateway that fails at its start is rolled back to the previous one by itself."""
    before = release(board)
    broken = controller.altered("broken")
    main = broken / "edge/gateway/main.py"
    main.write_text(main.read_text() + '\nraise RuntimeError("this release is broken")\n')
    # It has a unit that the previous release does not have.
    (broken / "systemd/edge-extra.path").write_text("[Path]\nPathExists=/run/nothing\n")
    names = broken / "ansible/roles/edge/vars/main.yml"
    names.write_text(names.read_text().replace("edge_common_units:\n", "edge_common_units:\n  - edge-extra.path\n"))
    with pytest.raises(PlayFailed, match=rf"(?s)does not work.*rolled back to {before}"):
        controller.play(
            "deploy.yml",
            "--tags",
            "edge",
            source=broken,
            edge_source=str(broken),
            edge_tokens=TOKENS,
            edge_health_seconds=25,
        )
    assert release(board) == before
    assert healthy(board)
    assert not (board.root / "etc/systemd/system/edge-extra.path").exists()
    assert board.active("edge-worker@io")  # the kind of job that needs it is back as well
    client.edge("submit", "factorial", "20", "--wait")
    assert deploy(controller, "--tags", "edge")["changed"] <= 1  # the broken release is pruned


def test_upgrade_and_roll_back(controller: Controller, board: Machine) -> None:
    """upgrade.yml switches to a new release, and rollback.yml back to the old one."""
    before = release(board)
    newer = controller.altered("newer")
    init = newer / "edge/__init__.py"
    init.write_text(re.sub(r'__version__ = ".*"', '__version__ = "99.0.0"', init.read_text()))
    config = {"retention": {"keep_days": 99}}
    controller.play("upgrade.yml", source=newer, edge_source=str(newer), edge_tokens=TOKENS, edge_config=config)
    assert release(board).startswith("99.0.0-")
    assert "keep_days: 99" in board.sh("cat /etc/edge/edge.yaml")
    assert healthy(board)
    assert not board.active("edge-worker@io")  # this inventory has no kind of the pool io
    controller.play("rollback.yml")
    assert release(board) == before
    assert board.active("edge-worker@io")
    assert "keep_days: 99" not in board.sh("cat /etc/edge/edge.yaml")
    assert healthy(board)
    # A rollback leads to the release that was in use before, not to the one that was installed last.
    init.write_text(init.read_text().replace("99.0.0", "99.0.1"))
    port = 8421  # in the current inventory; the previous release still listens on its old port
    controller.play("upgrade.yml", source=newer, edge_source=str(newer), edge_tokens=TOKENS, edge_gateway_port=port)
    controller.play("rollback.yml", edge_gateway_port=port)
    assert release(board) == before
    assert healthy(board)
    assert deploy(controller, "--tags", "edge")["failed"] == 0


def test_reboot(board: Machine, client: Client) -> None:
    """The board stops cleanly and boots without help; a job submitted before is done afterwards."""
    made = [json.loads(client.edge("submit", *job, "--json"))["id"] for job in (("factorial", "200"), ("linger", "1"))]
    board.shut_down()
    board.boot()
    board.until(lambda: healthy(board) and board.active("edge-worker@io"), 90)
    for job_id in made:
        client.edge("result", job_id, "--wait", "--timeout", "60")


def test_the_plug_is_pulled(board: Machine, client: Client) -> None:
    """If every process dies at once under load, the accepted jobs are done after the boot."""
    spread = json.loads(client.edge("submit", "spread", "40", "--json"))["id"]
    ids = [json.loads(client.edge("submit", "factorial", "3000", "--json"))["id"] for _ in range(5)]
    board.kill()
    board.boot()
    board.until(lambda: healthy(board) and board.active("edge-worker@io"), 120)
    for job_id in [spread, *ids]:
        client.edge("result", job_id, "--wait", "--timeout", "90")
    board.until(lambda: spawned(client, spread) == {"succeeded": 40}, 90)


def test_a_damaged_broker_store_is_set_aside(board: Machine, client: Client) -> None:
    """A broker that cannot start after a power cut gets a new store by itself, refilled from the ledger."""
    board.sh("systemctl stop edge-worker")
    made = json.loads(client.edge("submit", "factorial", "60", "--json"))
    kill(board, "rabbitmq-server")
    board.sh("cd /var/lib/rabbitmq/mnesia/edge@localhost; : > coordination/edge@localhost/meta.dets; : > schema.DAT")
    board.until((board.root / "var/lib/rabbitmq/mnesia.set-aside-1").exists, 240)
    board.sh("systemctl start edge-worker")
    board.until(lambda: healthy(board), 120)
    client.edge("result", made["id"], "--wait", "--timeout", "60")
    assert board.sh("stat -c %U /var/lib/rabbitmq/mnesia/edge-settled || true") in {"rabbitmq", ""}


def test_backup_and_restore(controller: Controller, board: Machine, client: Client, tmp_path: Path) -> None:
    """A restore brings a backup back to a card that lost it, even after a power cut during the restore."""
    made = json.loads(client.edge("submit", "solve", "7", "What is 6 times 7?", "--json"))
    client.edge("result", made["id"], "--wait", "--timeout", "60")
    still = board.sh("systemctl show --property=MainPID edge-gateway edge-worker edge-power")
    packed = tmp_path / "edge-board.tar.gz"
    controller.play("backup.yml", backup_folder=str(tmp_path))
    assert board.sh("systemctl show --property=MainPID edge-gateway edge-worker edge-power") == still
    assert [(path, path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == [(packed, 0o600)]
    keys = board.sh("sha256sum /etc/edge/credentials/* /etc/edge/tls/ca.pem")
    # A new card has new passwords, a new CA and new tokens; a deployment brings them to the laptop.
    board.sh("for file in /etc/edge/credentials/edge-*.password; do openssl rand -hex 20 >$file; done")
    board.sh("rm -r /etc/edge/tls /var/lib/edge/tokens.json")
    deploy(controller, "--tags", "rabbitmq,edge")
    board.sh("systemctl stop edge.target && rm -rf /var/lib/edge/results /var/lib/edge/ledger.sqlite*")
    with controller.begin("restore.yml", restore_from=str(packed)) as play:
        board.until(lambda: not (board.root / "etc/edge/edge.yaml").exists(), 150)  # a broker may take 60 s to stop
        os.killpg(play.pid, signal.SIGKILL)
    board.kill()
    board.boot()
    assert not any(board.active(unit) for unit in SERVICES if unit.startswith("edge-"))
    controller.play("restore.yml", restore_from=str(packed))
    board.until(lambda: healthy(board) and board.active("edge-worker@io"), 90)
    assert "42" in client.edge("result", made["id"])
    assert board.sh("sha256sum /etc/edge/credentials/* /etc/edge/tls/ca.pem") == keys
    assert board.sh("ls -d /var/tmp/edge-* /var/lib/edge.restore /etc/edge.restore 2>/dev/null || true") == ""


def test_status(controller: Controller, board: Machine) -> None:
    """status.yml shows the release and the services, and changes nothing."""
    assert controller.play("status.yml")["changed"] == 0
    assert release(board) in (controller.folder / "last.log").read_text()


def test_a_worker_goes_with_the_kind_that_wanted_it(controller: Controller, board: Machine, client: Client) -> None:
    """The worker is stopped and disabled; in the same play a token gets new scopes and keeps its secret."""
    (controller.folder / "waiting.py").unlink()
    recap = deploy(controller, "--tags", "edge", edge_tokens=[{"name": "laptop", "scopes": ["submit"]}])
    assert recap["failed"] == 0
    assert healthy(board)
    state = "systemctl show --property=ActiveState,UnitFileState --value edge-worker@io"
    assert board.sh(state).split() == ["inactive", "disabled"]
    scopes = "edge --config /etc/edge/edge.yaml token list --json"
    assert json.loads(board.sh(scopes))[0]["scopes"] == ["submit"]
    client.edge("submit", "factorial", "5")
    assert deploy(controller, "--tags", "edge")["changed"] == 1  # the scopes change back
    assert json.loads(board.sh(scopes))[0]["scopes"] == ["read", "submit"]


def test_the_governor_powers_the_board_off(controller: Controller, board: Machine) -> None:
    """At critical the governor, which has no rights, asks for a power-off and gets it; listed workers come and go."""
    config: dict[str, Any] = {
        "power": {"sources": [{"kind": "simulated", "start": "normal"}], "critical": {"grace_s": 1}}
    }
    config["workers"] = [{"name": "main"}, {"name": "sun", "classes": ["surplus"]}, {"name": "io", "pool": "threads"}]
    deploy(controller, "--tags", "edge", edge_config=config)
    assert board.active("edge-worker@sun", "edge-worker@io")
    board.run("edge", "--config", "/etc/edge/edge.yaml", "power", "simulate", "critical")
    board.until(lambda: board.leader == 0, 90)
    board.boot()
    deploy(controller, "--tags", "edge")
    assert "edge-worker@" not in board.sh("systemctl list-units --all --plain --no-legend 'edge-worker@*.service'")


def test_a_burst_starts_a_worker_that_retires(controller: Controller, board: Machine, client: Client) -> None:
    """systemd starts another worker while jobs wait. It ends by itself without a failure, and no body runs twice."""
    path = controller.folder / "steps.py"
    path.write_text(STEPS)
    workers = [{"name": "main"}, {"name": "extra", "max": 1, "down_after_s": 10}]
    kinds = [*own_task(controller), str(path)]
    deploy(controller, "--tags", "edge", edge_config={"workers": workers}, edge_task_files=kinds)
    made = [json.loads(client.edge("submit", "stepwise", "100", "--json"))["id"] for _ in range(6)]
    board.until(lambda: board.active("edge-worker@extra-1"))
    pid = board.sh("systemctl show --property=MainPID --value edge-worker@extra-1")
    done = [json.loads(client.edge("result", job_id, "--wait", "--timeout", "120", "--json")) for job_id in made]
    assert {(each["state"], each.get("attempts", 1), each["value"]) for each in done} == {("succeeded", 1, 0)}
    assert {each["worker"] for each in done} == {"main", "extra-1"}
    board.until(lambda: board.run("systemctl", "is-active", "edge-worker@extra-1").stdout == "inactive\n")
    shown = board.sh("systemctl show --property=Result,MainPID,NRestarts edge-worker@extra-1").splitlines()
    assert set(shown) == {"Result=success", "MainPID=0", "NRestarts=0"}
    assert board.run("test", "-e", f"/proc/{pid}").returncode == 1  # its memory is free again
    (scaled,) = json.loads(board.sh("edge --config /etc/edge/edge.yaml scale --json"))
    assert (scaled["name"], scaled["wanted"], scaled["running"], scaled["why"]) == (
        "extra",
        0,
        0,
        "0 of 1: no job waits",
    )
    path.unlink()


def test_it_sleeps_and_goes_on_with_the_job_it_held(controller: Controller, board: Machine, client: Client) -> None:
    """At low power the board powers off with a held job and its alarm set; after the boot the job continues."""
    path = controller.folder / "steps.py"
    path.write_text(STEPS)
    alarm = "/var/lib/edge/power/wakealarm"
    config: dict[str, Any] = {
        "power": {
            "sources": [{"kind": "simulated", "start": "normal"}],
            "policy": {"low_samples": 1},
            "critical": {"grace_s": 10, "wakealarm": alarm},
            "sleep": {"when": "low", "quiet_s": 1, "min_awake_s": 60, "max_s": 3600},
        }
    }
    board.sh(f"install --owner=edge-power --group=edge /dev/null {alarm}")
    deploy(controller, "--tags", "edge", edge_config=config, edge_task_files=[*own_task(controller), str(path)])
    job_id = json.loads(client.edge("submit", "stepwise", "400", "--json"))["id"]
    board.until((board.root / f"var/lib/edge/checkpoints/{job_id}.json").exists)
    board.run("edge", "--config", "/etc/edge/edge.yaml", "power", "simulate", "low")
    board.until(lambda: board.leader == 0, 120)
    ordered = (board.root / alarm[1:]).read_text()
    assert ordered[0] == "+"
    assert 3540 <= int(ordered[1:]) <= 3600  # the time of the shutdown is a part of the sleep
    refused = client.edge("submit", "factorial", "5", "--when-awake", "--awake-within", "15s", check=False)
    assert "trying again for up to" in refused
    board.boot()
    board.until(lambda: healthy(board), 90)
    assert int(client.edge("result", job_id, "--wait", "--timeout", "120")) > 0  # the step at which it continued
    assert json.loads((board.root / "var/lib/edge/power/sleep.json").read_text())["wake_at"] > 0
    deploy(controller, "--tags", "edge")
    path.unlink()


def test_a_second_board_works_for_the_first(
    fleet: Controller, board: Machine, second: Machine, client: Client, tmp_path: Path
) -> None:
    """A node without broker and gateway runs the jobs of a head that has no power for them; all connections use TLS."""
    options = {"edge_head_address": board.seat.lan, "edge_client_folder": str(client.secrets), "edge_workers": ["io"]}
    (fleet.folder / "waiting.py").write_text(WAITING)
    assert deploy(fleet, **options)["failed"] == 0
    assert deploy(fleet, **options)["changed"] == 0
    board.sh("edge --config /etc/edge/edge.yaml pause")
    made = json.loads(client.edge("submit", "solve", "9", "What is 50 divided by 2?", "--json"))
    said = json.loads(client.edge("result", made["id"], "--wait", "--timeout", "90", "--save", str(tmp_path), "--json"))
    assert (tmp_path / "9-response.txt").read_text().strip() == "50 divided by 2 = 25"
    assert said["worker"] == "edge-node"
    # Its worker of threads runs the jobs that a body of its main worker spawns; they go by way of the head.
    made = json.loads(client.edge("submit", "spread", "5", "--json"))
    client.edge("result", made["id"], "--wait", "--timeout", "90")
    board.until(lambda: spawned(client, made["id"]) == {"succeeded": 5}, 90)
    assert json.loads(client.edge("submit", "linger", "0.1", "--wait"))[:2] == [second.name, "edge-worker@io.service"]
    assert client.reaches(5671)
    assert {
        port
        for port in (22, 4369, 5671, 5672, 8420)
        if dataclasses.replace(client, address=second.seat.lan).reaches(port)
    } == {22}
    found = doctor(second)
    assert (found["head"], found["broker"], found["worker"]) == ("ok", "ok", "ok")
    assert not {"ledger", "gateway", "tokens"} & set(found)
    refused = second.run("edge", "--config", "/etc/edge/edge.yaml", "backup", "/root/backup.tar.gz")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "back up its head" in refused.stderr
    rights = board.sh("rabbitmqctl --quiet --no-table-headers list_user_permissions node-edge-node").split("\t")
    assert rights[1:] == ["^$", "^$", r"^edge\.(dead|(io\.)?(always|normal|surplus))$"]
    # The node loses its power while it works. The head has power again, and runs the job.
    made = json.loads(client.edge("submit", "factorial", "400000", "--json"))
    second.until(lambda: made["id"] in second.run("cat", "/run/edge/worker-edge-node.json").stdout, 60)
    second.kill()
    board.sh("edge --config /etc/edge/edge.yaml resume")
    said = json.loads(client.edge("result", made["id"], "--wait", "--timeout", "280", "--json"))
    assert said["state"] == "succeeded"
    assert said["worker"] == "main"
    # A stolen node does not answer, but the head revokes its access all the same.
    with pytest.raises(PlayFailed, match="UNREACHABLE"):
        fleet.play("remove.yml", "--limit", second.name)
    broker = "rabbitmqctl --quiet list_users; cat /etc/rabbitmq/definitions.json"
    knows = f"edge --config /etc/edge/edge.yaml token list; {broker}; ls /etc/edge/credentials"
    assert "edge-node" not in board.sh(knows)


def test_remove_leaves_the_data(controller: Controller, board: Machine) -> None:
    """remove.yml removes the appliance and keeps its data; of a worker that had failed, systemd keeps nothing."""
    assert board.active("edge-worker@io")
    once = "/run/systemd/system/edge-worker@io.service.d"
    board.sh(f"mkdir {once}; printf '[Service]\nRestart=no\n' >{once}/once.conf; systemctl daemon-reload")
    board.sh("systemctl kill --signal=KILL edge-worker@io")
    board.until(lambda: board.active("edge-again@edge-worker@io.timer"))
    board.sh(f"rm -r {once}")
    controller.play("remove.yml")
    assert not (board.root / "opt/edge").exists()
    assert not [*board.root.glob("etc/systemd/system/edge.target.wants/*")]
    assert (board.root / "var/lib/edge/ledger.sqlite").exists()
    assert "edge" not in board.sh("systemctl list-units --all --plain --no-legend 'edge*'")


def test_remove_with_the_data(controller: Controller, board: Machine) -> None:
    """With remove_data=true, remove.yml removes everything."""
    controller.play("remove.yml", remove_data=True)
    for path in ("var/lib/edge", "etc/edge", "var/lib/rabbitmq/mnesia", "etc/rabbitmq/tls"):
        assert not (board.root / path).exists()
    assert not [*board.root.glob("etc/edge.before-restore*"), *board.root.glob("var/lib/rabbitmq/mnesia.*")]
