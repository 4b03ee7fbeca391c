"""Units, roles and their variables are consistent, as far as this can be checked without a boot."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
from argparse import Namespace
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.access.tokens import Scope, Tokens
from edge.broker import topology
from edge.config import Config
from tests.conftest import MakeConfig
from tests.deploy.controller import ansible
from tests.deploy.root import REPO
from tests.running_gateway import gateways

ROLES = sorted(path.name for path in (REPO / "ansible/roles").iterdir())
LIMITS = {"edge-gateway": 1.5, "edge-worker": 2.5, "edge-worker@": 2.5, "edge-power": 2.5}


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_is_documented_with_its_default(role: str) -> None:
    """defaults/ and argument_specs name the same variables with the same defaults."""
    folder = REPO / "ansible/roles" / role
    options = _yaml(folder / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = _yaml(folder / "defaults/main.yml")
    assert {name: option.get("default") for name, option in options.items()} == defaults
    assert all(name.startswith(f"{role}_") for name in defaults)


def test_the_broker_gets_the_queues_of_the_code() -> None:
    """The role declares the queues of the code with the same arguments; otherwise the broker refuses every declare."""
    found = _yaml(REPO / "ansible/roles/rabbitmq/vars/main.yml")
    quorum, to_dead = found["rabbitmq_quorum"], found["rabbitmq_to_dead"]
    told = {
        queue["name"]: quorum | (to_dead if "to_dead" in str(queue["arguments"]) else {})
        for queue in found["rabbitmq_queues"]
    }
    assert told == {queue.name: queue.queue_arguments for queue in (topology.DEAD, *topology.QUEUES.values())}


def test_kinds_of_jobs_of_the_owners_come_beside_those_of_the_code() -> None:
    """The role's list of tasks begins with the default of the code, and the owner's kinds of job follow."""
    said = _yaml(REPO / "ansible/roles/edge/vars/main.yml")["edge_own_tasks"]
    assert re.findall(r"'(tasks\.\w+)'", said) == list(Config().tasks)


@pytest.mark.timeout(600)  # it reads every role, which takes 45 s on two idle cores
def test_ansible_lint_production() -> None:
    """ansible-lint with its strictest profile finds nothing."""
    env = {**os.environ, "PATH": f"{ansible()}:{os.environ['PATH']}", "NO_COLOR": "1"}
    argv: list[str | Path] = [ansible() / "ansible-lint", "--offline", "--profile", "production", "."]
    done = subprocess.run(argv, cwd=REPO / "ansible", env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _ansible(folder: Path, *argv: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one module with Ansible, which keeps its own files in `folder`."""
    env = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"), "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [ansible() / "ansible", *argv], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def test_the_firewall_leaves_sshd_and_the_gateway_open(tmp_path: Path) -> None:
    """The firewall opens the ports of sshd and the gateway, even if both listen on unusual ports."""
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"all": {"children": {"head": {"hosts": {"board": {}}}}}}))
    given = {"base_sshd": {"stdout": "port 2222\nport 22\naddressfamily any\n"}, "edge_gateway_port": 9000}
    given |= _yaml(REPO / "ansible/roles/base/defaults/main.yml")
    argv: list[str | Path] = ["board", "-i", inventory, "-o", "-m", "debug", "-a", "var=base_open_ports"]
    argv += ["-e", f"@{REPO / 'ansible/roles/base/vars/main.yml'}", "-e", json.dumps(given)]
    done = _ansible(tmp_path, *argv)
    assert re.findall(r"\d+", done.stdout.partition("base_open_ports")[2]) == ["22", "2222", "9000"], done.stderr


def test_a_deployment_without_a_configuration_keeps_the_one_of_the_board(tmp_path: Path) -> None:
    """`edge deploy` without a configuration keeps the keys on the board, such as the thresholds of a battery.

    With an inventory, the inventory is the whole configuration.
    """
    power = {"sources": [{"kind": "nut", "ups": "ups@localhost"}], "critical": {"grace_s": 5, "systemctl": "other"}}
    board = {"power": power, "gateway": {"port": 1, "tls_cert": "old", "ledger_copy_s": 60}, "tasks": ["tasks.solve"]}
    board |= {"node": {"head_url": "https://other"}}

    def config(**given: object) -> Any:
        argv: list[str | Path] = ["localhost", "-m", "debug", "-a", "var=edge_whole_config"]
        for name in ("defaults", "vars"):
            argv += ["-e", f"@{REPO / 'ansible/roles/edge' / name / 'main.yml'}"]
        argv += [
            "-e",
            json.dumps({"edge_config_before": f"# by the role\n{yaml.safe_dump(board)}", "edge_tls": "none"} | given),
        ]
        done = _ansible(tmp_path, *argv)
        return json.loads(done.stdout.partition("=>")[2])["edge_whole_config"]

    kept = config(edge_keep_config=True)
    assert kept["power"]["sources"] == power["sources"]
    assert kept["power"]["critical"] == {"grace_s": 5, "stop_units": [], "systemctl": "/opt/edge/systemctl"}
    assert kept["gateway"] == {"port": 8420, "host": "0.0.0.0", "ledger_copy_s": 60}
    assert kept["tasks"] == ["tasks.solve"]
    assert "node" not in kept
    assert list(kept)[: len(config())] == list(config())  # so that a second run changes nothing
    assert "sources" not in config()["power"]
    assert config(edge_keep_config=True, edge_config={"power": {"sources": []}})["power"]["sources"] == []


@pytest.mark.parametrize(
    ("wanted", "given", "units"),
    [
        ("", {}, []),
        ("workers: [{name: main}, {name: sun}, {name: io, pool: threads}]", {}, ["sun", "io"]),
        ("{workers: [{name: sun}, {name: main}], worker: {name: sun}}", {"edge_workers": ["two"]}, ["two", "main"]),
        ("workers: [{name: main}, {name: extra, min: 0, max: auto}]", {}, []),
        ("{worker: {name: node-2}}", {"edge_head": "head", "edge_workers": ["io"]}, ["io"]),
    ],
)
def test_the_way_back_has_the_workers_of_its_own_configuration(
    tmp_path: Path, wanted: str, given: dict[str, object], units: list[str]
) -> None:
    """A rollback uses the workers of the older configuration, and on a node it needs nothing from the head."""
    argv: list[str | Path] = ["localhost", "-m", "debug", "-a", "msg={{ [edge_services, edge_own_threads] }}"]
    for name in ("defaults", "vars"):
        argv += ["-e", f"@{REPO / 'ansible/roles/edge' / name / 'main.yml'}"]
    today = {"edge_config": {"workers": [{"name": "main"}, {"name": "today"}]}, "edge_wanted_config": wanted}
    done = _ansible(tmp_path, *argv, "-e", json.dumps(today | {"edge_head": ""} | given))
    services, threads = json.loads(done.stdout.partition("=>")[2])["msg"]
    assert [each for each in services if "@" in each] == [f"edge-worker@{name}.service" for name in units]
    assert threads == ([] if "workers" in wanted or "edge_head" in given else ["edge-worker@io.service"])


@pytest.mark.parametrize(
    ("given", "loads"),
    [
        ({"edge_mqtt": {"host": "ha.local", "user": "edge"}, "edge_mqtt_password": "secret"}, True),
        ({"edge_mqtt": {"host": "ha.local"}}, False),
        ({}, False),
    ],
)
def test_the_password_of_mqtt_reaches_the_units_alone(tmp_path: Path, given: dict[str, Any], loads: bool) -> None:
    """The configuration names the file of the password, the unit loads it, and no rendered file has the secret."""
    names = "edge_whole_config.mqtt | default({})", "edge_mqtt_credential"
    argv: list[str | Path] = ["localhost", "-m", "debug", "-a", f"msg={{{{ [{', '.join(names)}] }}}}"]
    for name in ("defaults", "vars"):
        argv += ["-e", f"@{REPO / 'ansible/roles/edge' / name / 'main.yml'}"]
    (tmp_path / "templates").symlink_to(REPO / "ansible/roles/edge/templates")
    wanted = {"edge_wanted_config": "{{ edge_whole_config | to_json }}", "edge_tls": "none", "edge_head": ""}
    done = _ansible(tmp_path, *argv, "-e", json.dumps(wanted | given))
    section, unit = json.loads(done.stdout.partition("=>")[2])["msg"]
    assert "secret" not in done.stdout
    assert section == given.get("edge_mqtt", {}) | (
        {"password_file": "/etc/edge/credentials/mqtt.password"} if loads else {}
    )
    assert ("LoadCredential=mqtt-password:/etc/edge/credentials/mqtt.password" in unit) is loads


def test_changed_scopes_reach_the_tokens_of_the_board(tmp_path: Path) -> None:
    """The next play applies changed scopes and keeps the token; a token that nobody has is made anew."""
    board = tmp_path / "edge.yaml"
    board.write_text("root: state\nrun: run\n")
    text = (REPO / "ansible/roles/edge/tasks/tokens.yml").read_text()
    edge = Path(sys.executable).with_name("edge")
    text = text.replace("/opt/edge/current/bin/edge", str(edge)).replace("/etc/edge/edge.yaml", str(board))
    (tmp_path / "tokens.yml").write_text(text)
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [{"ansible.builtin.import_tasks": "tokens.yml"}]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    clients, unbrought = tmp_path / "clients", tmp_path / "unbrought-tokens"
    env = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"), "LC_ALL": "C.UTF-8"}

    def played(*options: str, **laptop: object) -> int:
        """Run the play, and return how many tasks changed something."""
        given = {
            "edge_tokens": [{"name": "laptop", **laptop}, {"name": "sensor"}],
            "edge_client_folder": str(clients),
            "edge_token_names": ["laptop", "sensor"],
            "edge_unbrought_tokens": str(unbrought),
        }
        argv: list[str | Path] = [ansible() / "ansible-playbook", "play.yml", "-e", json.dumps(given), *options]
        argv += ["-e", f"ansible_python_interpreter={sys.executable}"]
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return int(re.findall(r"changed=(\d+)", done.stdout)[0])

    def found() -> dict[str, list[str]]:
        tokens = json.loads((tmp_path / "state/tokens.json").read_text())["tokens"]
        return {token["name"]: token["scopes"] for token in tokens}

    assert played() == 3  # the tokens, their folder, and their files
    assert found() == {"laptop": ["submit"], "sensor": ["submit"]}
    secret = (clients / "localhost-laptop.token").read_text()
    played("--check", scopes=["submit", "read"])
    assert found()["laptop"] == ["submit"]
    assert played(scopes=["submit", "read"]) == 1
    assert found() == {"laptop": ["read", "submit"], "sensor": ["submit"]}
    assert (clients / "localhost-laptop.token").read_text() == secret
    assert played(scopes=["read", "submit"]) == 0
    assert played(scopes=["admin"], keep_scopes=True) == 0
    assert played() == 1
    assert found()["laptop"] == ["submit"]

    assert unbrought.read_text() == ""
    unbrought.write_text("another\nlaptop")  # an earlier play ended between making the token and copying it
    assert played() == 3  # the old token is revoked, a new one is made and copied
    assert (clients / "localhost-laptop.token").read_text() != secret
    assert found() == {"laptop": ["submit"], "sensor": ["submit"]}
    assert unbrought.read_text() == "another"
    assert played() == 0
    unbrought.write_text("laptop")  # an earlier play ended before it made the token
    subprocess.run([edge, "--config", board, "token", "revoke", "laptop"], check=True, capture_output=True)
    assert played() == 2
    assert played() == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
@pytest.mark.parametrize(("unit", "limit"), LIMITS.items())
def test_exposure(unit: str, limit: float) -> None:
    """The unit file has no more exposure than allowed, as `systemd-analyze security` rates it."""
    name = "edge-worker@2" if unit.endswith("@") else unit
    argv = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(REPO / "systemd" / f"{unit}.service")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    figure = re.search(r"exposure level for \S+: (\d+\.\d)", done.stdout)
    assert figure, f"{name}: {done.stdout}{done.stderr}"
    assert float(figure[1]) <= limit


def test_the_further_worker_differs_in_its_name_only() -> None:
    """`edge-worker@` is `edge-worker` with a name, so a change must be made in both."""
    one = (REPO / "systemd/edge-worker.service").read_text().splitlines()
    other = (REPO / "systemd/edge-worker@.service").read_text().splitlines()
    assert [line for line in other if line not in one] == [
        "Description=Edge worker %i: an additional worker on this board",
        "Environment=EDGE_WORKER_NAME=%i",
    ]


def _role_file(name: str, role: str = "edge") -> Any:
    """Import a program of a role as a module."""
    spec = spec_from_file_location(name, REPO / f"ansible/roles/{role}/files/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Well(BaseHTTPRequestHandler):
    """A gateway that answers every request with 200."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Log nothing."""


def test_the_health_check_asks_a_gateway_with_a_given_certificate(tmp_path: Path) -> None:
    """The health check accepts a given certificate, which is for the board's name and may have an unknown CA."""
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=board"]
    made += ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(["openssl", *made], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    health = _role_file("health")
    with HTTPServer(("127.0.0.1", 0), _Well) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"https://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert health.gateway_faults(url, "") == []
        thread.join(10)
    assert health.gateway_faults(url, "") != []


def test_a_backup_is_known_before_the_board_is_touched(tmp_path: Path) -> None:
    """A complete backup has no fault; a truncated one, another archive, or a file that is not an archive has one."""
    fault = _role_file("backup").fault
    for name in ("ledger.sqlite", "MANIFEST.json", "var/lib/edge/ledger.sqlite", "etc/edge/edge.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(os.urandom(3000))

    def packed(*names: str) -> bytes:
        return subprocess.check_output(["tar", "--create", "--gzip", f"--directory={tmp_path}", *names])

    state, keys = packed("ledger.sqlite", "MANIFEST.json"), packed("etc/edge")
    whole = state + keys
    file = tmp_path / "board.tar.gz"

    def fault_of(content: bytes) -> str:
        file.write_bytes(content)
        return str(fault(file))

    assert fault_of(whole) == ""
    for length in (0, 100, len(state) // 2, len(state) - 1, len(state) + 100, len(whole) - 400, len(whole) - 1):
        assert "broken" in fault_of(whole[:length]), length
    assert "without the board's keys" in fault_of(state)
    assert "it lacks MANIFEST.json, ledger.sqlite" in fault_of(keys)
    assert "deploy that one and restore with it" in fault_of(packed("var/lib/edge", "etc/edge"))
    assert "no such file" in fault(tmp_path / "none.tar.gz")


def test_what_was_built_is_not_built_again(tmp_path: Path) -> None:
    """The same sources have the same recipe; an answer is valid while its archives exist, and old ones are removed."""
    wheelhouse = _role_file("wheelhouse")
    source = tmp_path / "source"
    (source / "edge").mkdir(parents=True)
    (source / "edge/a.py").write_text("1")
    options = Namespace(source=source, python="3.11", machine="x86_64", glibc_minor=36, extra=[], apart=True)
    before = wheelhouse.recipe(options)
    assert wheelhouse.recipe(options) == before
    (source / "edge/a.py").write_text("2")
    assert wheelhouse.recipe(options) != before
    archives = [tmp_path / f"{number}.tar" for number in range(3)]
    for age, path in enumerate(archives):
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    known = tmp_path / "known-x.json"
    known.write_text(json.dumps({"release": "1", "archive": str(archives[2]), "libraries_archive": str(archives[0])}))
    assert json.loads(wheelhouse.recall(known))["release"] == "1"
    wheelhouse.keep_newest(tmp_path, 2)
    assert [path.exists() for path in archives] == [True, False, True]  # the oldest was used just now
    wheelhouse.keep_newest(tmp_path, 1)
    assert [path.exists() for path in archives] == [True, False, True]  # another play may need an archive of today
    archives[0].unlink()
    assert wheelhouse.recall(known) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="the files belong to root")
def test_files_are_placed_once(tmp_path: Path) -> None:
    """A file that differs in text or mode is written, and a second run writes nothing; `--check` never writes."""
    source = tmp_path / "unit"
    source.write_text("[Unit]\n")
    texts, names = {str(tmp_path / "new/a"): "one\n"}, {str(tmp_path / "new/b"): "unit"}
    given: dict[str, Any] = {"texts": texts, "names": names, "folder": str(tmp_path), "mode": "0640"}
    given["links"] = {str(tmp_path / "current"): "one"}

    def place(*options: str, code: int = 0) -> bool:
        argv: list[str | Path] = ["localhost", "-M", REPO / "ansible/library", *options, "-o"]
        argv += ["-m", "place_files", "-a", json.dumps(given), "-e", f"ansible_python_interpreter={sys.executable}"]
        done = _ansible(tmp_path, *argv)
        assert done.returncode == code, done.stdout + done.stderr
        return "CHANGED" in done.stdout

    assert place("--check")
    assert not (tmp_path / "new").exists()
    assert place()
    assert [(path.name, path.read_text()) for path in sorted((tmp_path / "new").iterdir())] == [
        ("a", "one\n"),
        ("b", "[Unit]\n"),
    ]
    assert (tmp_path / "current").readlink() == Path("one")
    assert not place()
    # All or nothing is written: a release must not come without its configuration.
    given["links"] = {str(tmp_path / "current"): "two"}
    texts |= {str(tmp_path / "new/a"): "two\n", str(source / "no-folder"): ""}
    place(code=2)
    assert ((tmp_path / "new/a").read_text(), (tmp_path / "current").readlink()) == ("one\n", Path("one"))
    del texts[str(source / "no-folder")]
    assert place()
    assert ((tmp_path / "new/a").read_text(), (tmp_path / "current").readlink()) == ("two\n", Path("two"))
    (tmp_path / "new/a").chmod(0o644)
    given["mark"] = str(tmp_path / "mark")
    assert place()
    assert place()  # reports a change until the mark is removed
    (tmp_path / "mark").unlink()
    del given["mark"]
    assert not place()
    assert (tmp_path / "new/a").stat().st_mode & 0o777 == 0o640
    source.unlink()  # as in an earlier release, which did not have the file
    assert place("--check")
    assert (tmp_path / "new/b").exists()
    assert place()
    assert not (tmp_path / "new/b").exists()
    assert not place()


def test_the_line_of_the_firmware_stays_one(tmp_path: Path) -> None:
    """An argument that turns memory limits on is added once, one that turns them off is removed; a note is skipped."""
    line, note = tmp_path / "cmdline.txt", tmp_path / "note.txt"
    note.write_text("DO NOT EDIT THIS FILE\nIt has moved\n")
    line.write_text(
        "console=serial0,115200 root=PARTUUID=1-2  rootwait cgroup_disable=memory,pids cgroup_disable=memory\n"
    )
    wanted = "console=serial0,115200 root=PARTUUID=1-2 rootwait cgroup_disable=pids cgroup_enable=memory\n"
    given = {"paths": [str(tmp_path / "none"), str(note), str(line)]}
    given |= {"present": ["cgroup_enable=memory"], "absent": ["cgroup_disable=memory"]}

    def changed(*options: str) -> bool:
        argv: list[str | Path] = ["localhost", "-M", REPO / "ansible/roles/base/library", *options, "-o"]
        argv += [
            "-m",
            "kernel_arguments",
            "-a",
            json.dumps(given),
            "-e",
            f"ansible_python_interpreter={sys.executable}",
        ]
        done = _ansible(tmp_path, *argv)
        assert done.returncode == 0, done.stdout + done.stderr
        return "CHANGED" in done.stdout

    assert changed("--check")
    assert "cgroup_enable" not in line.read_text()
    assert changed()
    assert line.read_text() == wanted
    assert not changed()
    line.write_text(wanted + "a second line\n")
    assert changed()
    assert line.read_text().count("\n") == 1


def test_one_play_at_a_time(tmp_path: Path) -> None:
    """A second play is refused with the name of the holder; an ended play of this machine, or a stale lock, is free."""
    lock = tmp_path / "lock"

    def lock_board(state: str, *options: str) -> str:
        env = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"), "LC_ALL": "C.UTF-8"}
        env |= {"ANSIBLE_ACTION_PLUGINS": str(REPO / "ansible/action_plugins")}
        argv: list[str | Path] = [ansible() / "ansible", "localhost", "-M", REPO / "ansible/library", "-o", *options]
        argv += ["-m", "board_lock", "-a", f"state={state} path={lock} lease_s=600"]
        argv += ["-e", f"ansible_python_interpreter={sys.executable}"]
        return subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False).stdout

    def held(**owner: str) -> None:
        found = json.loads(lock.read_text())
        lock.write_text(json.dumps(found | {"owner": found["owner"] | owner}))

    lock_board("held", "--check")
    assert not lock.exists()
    assert "SUCCESS" in lock_board("held")
    assert "SUCCESS" in lock_board("held")  # the holder was on this machine, and has ended
    held(host="other", user="somebody")
    refused = lock_board("held")
    assert "another play is at work on localhost: somebody@other" in refused
    assert "deploy_take_over" in refused
    lock_board("free")
    assert "somebody" in lock.read_text()  # only its holder can release the lock
    found = json.loads(lock.read_text())
    lock.write_text(json.dumps(found | {"taken": found["taken"] - 601}))
    assert "SUCCESS" in lock_board("held")
    held(pid=str(os.getpid()))
    assert "another play" not in lock_board("held")  # another process has that id now
    held(host="other")
    assert "SUCCESS" in lock_board("held", "-e", "deploy_take_over=true")
    lock.write_text("torn")
    assert "SUCCESS" in lock_board("held")


@pytest.mark.parametrize("playbook", ["backup", "deploy", "remove", "restore", "rollback", "upgrade"])
def test_what_changes_a_board_holds_it_alone(playbook: str) -> None:
    """Each play that changes a board takes its lock first, and releases it in any case."""
    for play in _yaml(REPO / f"ansible/{playbook}.yml"):
        if play["name"].startswith("Revoke"):  # it runs on the head, and changes no board
            continue
        (whole,) = play["tasks"]
        assert whole["block"][0]["board_lock"] == {"state": "held"}
        assert whole["always"][-1]["board_lock"] == {"state": "free"}


@pytest.mark.parametrize(
    ("message", "option"),
    [
        ("pi@x: Permission denied (publickey,password).", "--ask-pass"),
        ("Task failed: Missing sudo password", "--ask-become-pass"),
        ("Incorrect sudo password", "--ask-become-pass"),
        ("Host key verification failed.", "ssh-keygen -R solar.local"),
        ("ssh: Could not resolve hostname solar.local: Name or service not known", "no machine is called"),
        ("connect to host solar.local port 22: Connection timed out", "does not answer"),
        ("the disk is full", ""),
    ],
)
def test_a_board_that_lets_nobody_in_is_explained(message: str, option: str) -> None:
    """The hint for a message of ssh or sudo is one line with the advice; other messages have none."""
    program = f"import sys, board_hints; print(board_hints.hint({message!r}, 'solar.local', {{'ansible_user': 'pi'}}))"
    env = {**os.environ, "PYTHONPATH": str(REPO / "ansible/callback_plugins"), "LC_ALL": "C.UTF-8"}
    argv: list[str | Path] = [ansible() / "python", "-c", program]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines() or [""]
    assert option in line
    assert bool(line) == bool(option)


def test_what_is_no_network_is_refused() -> None:
    """An entry that is not a network is refused: in IPAddressAllow systemd would only log that it ignores it."""
    spec = spec_from_file_location("networks", REPO / "ansible/roles/edge/filter_plugins/networks.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    good = ["100.64.0.0/10", "192.0.2.1", "2001:db8::/48", "0.0.0.0/0"]
    bad = ["100.64.0.1/10", "10.x", "tailscale", "", "::/129"]
    assert module.no_networks(good + bad) == bad


def test_an_image_for_32_bit_is_refused_before_anything_is_fetched() -> None:
    """A build for `--platform linux/arm/v7`, which has no wheels, is refused, and every stage waits for that check."""
    recipe = (REPO / "Dockerfile.arm64").read_text()
    check = re.search(r"AS supported\n(?:ARG \w+\n)+RUN ((?:.*\\\n)*.*)\n", recipe)
    assert check

    def checked(arch: str, variant: str = "") -> tuple[int, str]:
        env = {"TARGETARCH": arch, "TARGETVARIANT": variant}
        done = subprocess.run(["/bin/sh", "-c", check[1]], env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    assert checked("arm64", "v8") == (0, "")
    assert checked("amd64") == (0, "")
    code, message = checked("arm", "v7")
    assert code == 1
    assert "64 bit only" in message
    assert "linux/arm/v7" in message
    assert "FROM supported AS wheels" in recipe
    assert re.search(r"AS system\n(?:#.*\n)*RUN --mount=type=bind,from=supported", recipe)


def test_packages_that_are_half_done_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults are found in dpkg's journal, in the state of each package, and by the check of apt."""
    packages = _role_file("packages", "base")
    (tmp_path / "updates").mkdir()
    monkeypatch.setattr(packages, "DPKG", tmp_path)
    listed, checked = "installed ok bash\n", (0, "")
    monkeypatch.setattr(packages, "run", lambda *argv: (0, listed) if argv[0] == "dpkg-query" else checked)
    assert packages.faults() == []
    (tmp_path / "updates/tmp.i").touch()  # a cut can leave this empty file, and it is not a fault
    assert packages.faults() == []
    (tmp_path / "updates/0001").touch()
    assert packages.faults() == ["dpkg was interrupted"]
    (tmp_path / "updates/0001").unlink()
    listed += "half-configured ok rabbitmq-server\nhalf-installed reinstreq erlang-base\nconfig-files ok old\n"
    assert packages.faults() == ["rabbitmq-server is half-configured", "erlang-base is reinstreq"]
    listed, checked = "installed ok bash\n", (100, "Reading package lists...\nE: Unmet dependencies.\nsee above\n")
    assert packages.faults() == ["E: Unmet dependencies."]
    packages.wait_for_others(0.0)
    assert packages.last_error("") == "no reason given"


def test_schedules_reach_the_board_once(tmp_path: Path, make_config: MakeConfig) -> None:
    """The first play makes them, the second changes nothing, the third removes what is no longer named."""
    config = make_config(gateway={"loopback_without_token": False})
    text = (REPO / "ansible/roles/edge/tasks/schedules.yml").read_text()
    edge = Path(sys.executable).with_name("edge")
    text = text.replace("/opt/edge/current/bin/edge", str(edge)).replace(
        "/etc/edge/edge.yaml", str(tmp_path / "edge.yaml")
    )
    (tmp_path / "schedules.yml").write_text(text.replace("/etc/edge/", f"{tmp_path}/"))
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [{"ansible.builtin.import_tasks": "schedules.yml"}]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    env = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"), "LC_ALL": "C.UTF-8"}

    with gateways() as start:
        gateway = start(config)
        reader = Tokens(config.layout.tokens).add("reader", [Scope.READ])

        def played(**schedules: object) -> tuple[int, list[str]]:
            """Run the play, and return how many tasks changed something and the names of the schedules afterwards."""
            given = {"edge_schedules": schedules, "edge_schedules_prune": True, "edge_schedules_token": "playbook"}
            given |= {"edge_schedules_url": f"http://127.0.0.1:{gateway.port}", "edge_tls": "none"}
            argv: list[str | Path] = [ansible() / "ansible-playbook", "play.yml", "-e", json.dumps(given)]
            argv += ["-e", f"ansible_python_interpreter={sys.executable}"]
            done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            found = gateway.ask("GET", "/schedules", Authorization=f"Bearer {reader}").json["schedules"]
            return int(re.findall(r"changed=(\d+)", done.stdout)[0]), [each["name"] for each in found]

        nightly = {"task": "echo", "args": ["hi"], "cron": "30 2 * * *", "timezone": "Europe/Berlin"}
        assert played(nightly=nightly) == (2, ["nightly"])  # the file and the schedule on the board change
        assert played(nightly=nightly) == (0, ["nightly"])
        assert played(other={"task": "nothing", "every_s": 60}) == (2, ["other"])
        assert [token.name for token in Tokens(config.layout.tokens).list()] == ["reader"]
