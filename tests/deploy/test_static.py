"""What can be said of units, roles and their variables without booting anything."""

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


def test_the_broker_is_told_the_queues_of_the_code() -> None:
    """A queue with other arguments would be refused to every process."""
    found = _yaml(REPO / "ansible/roles/rabbitmq/vars/main.yml")
    quorum, to_dead = found["rabbitmq_quorum"], found["rabbitmq_to_dead"]
    told = {
        queue["name"]: quorum | (to_dead if "to_dead" in str(queue["arguments"]) else {})
        for queue in found["rabbitmq_queues"]
    }
    assert told == {queue.name: queue.queue_arguments for queue in (topology.DEAD, *topology.QUEUES.values())}


def test_kinds_of_jobs_of_the_owners_come_beside_those_of_the_code() -> None:
    """What `tasks:` holds where nobody says anything is a fact of the code."""
    said = _yaml(REPO / "ansible/roles/edge/vars/main.yml")["edge_own_tasks"]
    assert re.findall(r"'(tasks\.\w+)'", said) == list(Config().tasks)


@pytest.mark.timeout(600)  # it reads every role, some 45 s of two quiet cores
def test_ansible_lint_production() -> None:
    """The strictest profile finds nothing."""
    env = {**os.environ, "PATH": f"{ansible()}:{os.environ['PATH']}", "NO_COLOR": "1"}
    argv: list[str | Path] = [ansible() / "ansible-lint", "--offline", "--profile", "production", "."]
    done = subprocess.run(argv, cwd=REPO / "ansible", env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _ansible(folder: Path, *argv: str | Path) -> subprocess.CompletedProcess[str]:
    """What Ansible makes of one module, with its own files in `folder`."""
    env = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"), "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [ansible() / "ansible", *argv], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def test_the_firewall_leaves_sshd_and_the_gateway_open(tmp_path: Path) -> None:
    """A head can be reached once the rules are loaded, also where both listen elsewhere than usual."""
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"all": {"children": {"head": {"hosts": {"board": {}}}}}}))
    given = {"base_sshd": {"stdout": "port 2222\nport 22\naddressfamily any\n"}, "edge_gateway_port": 9000}
    given |= _yaml(REPO / "ansible/roles/base/defaults/main.yml")
    argv: list[str | Path] = ["board", "-i", inventory, "-o", "-m", "debug", "-a", "var=base_open_ports"]
    argv += ["-e", f"@{REPO / 'ansible/roles/base/vars/main.yml'}", "-e", json.dumps(given)]
    done = _ansible(tmp_path, *argv)
    assert re.findall(r"\d+", done.stdout.partition("base_open_ports")[2]) == ["22", "2222", "9000"], done.stderr


def test_a_deployment_without_a_configuration_keeps_the_one_of_the_board(tmp_path: Path) -> None:
    """`edge deploy` for an upgrade must not take a battery's thresholds away; an inventory says all there is."""
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
    """Not those of today's inventory, and on a node without what only a deployment asks its head for."""
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
    """The configuration names its file, the unit loads it, and what is rendered holds no secret."""
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
    """The next play applies them and the token stays; one that nobody was given is made anew."""
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
        """How many tasks changed something."""
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

    assert played() == 3  # tokens, their folder, their files
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
    unbrought.write_text("another\nlaptop")  # an earlier play was cut between making the token and bringing it
    assert played() == 3  # the old one revoked, a new one made and brought
    assert (clients / "localhost-laptop.token").read_text() != secret
    assert found() == {"laptop": ["submit"], "sensor": ["submit"]}
    assert unbrought.read_text() == "another"
    assert played() == 0
    unbrought.write_text("laptop")  # and here before it was made
    subprocess.run([edge, "--config", board, "token", "revoke", "laptop"], check=True, capture_output=True)
    assert played() == 2
    assert played() == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
@pytest.mark.parametrize(("unit", "limit"), LIMITS.items())
def test_exposure(unit: str, limit: float) -> None:
    """`systemd-analyze security` of the unit as it stands in the folder."""
    name = "edge-worker@2" if unit.endswith("@") else unit
    argv = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(REPO / "systemd" / f"{unit}.service")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    figure = re.search(r"exposure level for \S+: (\d+\.\d)", done.stdout)
    assert figure, f"{name}: {done.stdout}{done.stderr}"
    assert float(figure[1]) <= limit


def test_the_further_worker_differs_in_its_name_only() -> None:
    """`edge-worker@` is `edge-worker` with a name: a change of one is a change of both."""
    one = (REPO / "systemd/edge-worker.service").read_text().splitlines()
    other = (REPO / "systemd/edge-worker@.service").read_text().splitlines()
    assert [line for line in other if line not in one] == [
        "Description=Edge worker %i: a further worker on this board",
        "Environment=EDGE_WORKER_NAME=%i",
    ]


def _role_file(name: str, role: str = "edge") -> Any:
    """A program of a role, as a module."""
    spec = spec_from_file_location(name, REPO / f"ansible/roles/{role}/files/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Well(BaseHTTPRequestHandler):
    """A gateway that is well."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Nothing: pytest shows what is written."""


def test_the_health_check_asks_a_gateway_with_a_given_certificate(tmp_path: Path) -> None:
    """Such a one is for the board's name, and who vouches for it may be unknown; one that is down is not well."""
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
    """A whole one has no fault; one that is cut off anywhere, another archive or no archive has."""
    fault = _role_file("backup").fault
    for name in ("ledger.sqlite", "MANIFEST.json", "var/lib/edge/ledger.sqlite", "etc/edge/edge.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(os.urandom(3000))

    def packed(*names: str) -> bytes:
        return subprocess.check_output(["tar", "--create", "--gzip", f"--directory={tmp_path}", *names])

    state, keys = packed("ledger.sqlite", "MANIFEST.json"), packed("etc/edge")
    whole = state + keys
    file = tmp_path / "board.tar.gz"

    def said(content: bytes) -> str:
        file.write_bytes(content)
        return str(fault(file))

    assert said(whole) == ""
    for length in (0, 100, len(state) // 2, len(state) - 1, len(state) + 100, len(whole) - 400, len(whole) - 1):
        assert "broken" in said(whole[:length]), length
    assert "without the board's keys" in said(state)
    assert "it lacks MANIFEST.json, ledger.sqlite" in said(keys)
    assert "deploy that one and restore with it" in said(packed("var/lib/edge", "etc/edge"))
    assert "no such file" in fault(tmp_path / "none.tar.gz")


def test_what_was_built_is_not_built_again(tmp_path: Path) -> None:
    """The same sources have the same recipe; its answer holds while its archives are there, and old ones go."""
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
    assert [path.exists() for path in archives] == [True, False, True]  # the oldest had just been asked for
    wheelhouse.keep_newest(tmp_path, 1)
    assert [path.exists() for path in archives] == [True, False, True]  # another play may need one of today's
    archives[0].unlink()
    assert wheelhouse.recall(known) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="the files belong to root")
def test_files_are_placed_once(tmp_path: Path) -> None:
    """What differs in words or mode is written, and a second run writes nothing; `--check` never does."""
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
    # All or nothing: a release must not come without its configuration.
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
    assert place()  # not in force before the mark is gone
    (tmp_path / "mark").unlink()
    del given["mark"]
    assert not place()
    assert (tmp_path / "new/a").stat().st_mode & 0o777 == 0o640
    source.unlink()  # an earlier release did not have it
    assert place("--check")
    assert (tmp_path / "new/b").exists()
    assert place()
    assert not (tmp_path / "new/b").exists()
    assert not place()


def test_the_line_of_the_firmware_stays_one(tmp_path: Path) -> None:
    """What turns memory limits on is added once, what turns them off goes; a note is no command line."""
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
    """The second is told who holds the board; a play of this machine that ended, or a stale one, holds nothing."""
    lock = tmp_path / "lock"

    def asked(state: str, *options: str) -> str:
        env = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"), "LC_ALL": "C.UTF-8"}
        env |= {"ANSIBLE_ACTION_PLUGINS": str(REPO / "ansible/action_plugins")}
        argv: list[str | Path] = [ansible() / "ansible", "localhost", "-M", REPO / "ansible/library", "-o", *options]
        argv += ["-m", "board_lock", "-a", f"state={state} path={lock} lease_s=600"]
        argv += ["-e", f"ansible_python_interpreter={sys.executable}"]
        return subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False).stdout

    def held(**owner: str) -> None:
        found = json.loads(lock.read_text())
        lock.write_text(json.dumps(found | {"owner": found["owner"] | owner}))

    asked("held", "--check")
    assert not lock.exists()
    assert "SUCCESS" in asked("held")
    assert "SUCCESS" in asked("held")  # the one before was of this machine, and is no more
    held(host="other", user="somebody")
    said = asked("held")
    assert "another play is at work on localhost: somebody@other" in said
    assert "deploy_take_over" in said
    asked("free")
    assert "somebody" in lock.read_text()  # it is not ours
    found = json.loads(lock.read_text())
    lock.write_text(json.dumps(found | {"taken": found["taken"] - 601}))
    assert "SUCCESS" in asked("held")
    held(pid=str(os.getpid()))
    assert "another play" not in asked("held")  # another process has that number now
    held(host="other")
    assert "SUCCESS" in asked("held", "-e", "deploy_take_over=true")
    lock.write_text("torn")
    assert "SUCCESS" in asked("held")


@pytest.mark.parametrize("playbook", ["backup", "deploy", "remove", "restore", "rollback", "upgrade"])
def test_what_changes_a_board_holds_it_alone(playbook: str) -> None:
    """Each play for it takes the lock first, and gives it back whatever happens."""
    for play in _yaml(REPO / f"ansible/{playbook}.yml"):
        if play["name"].startswith("Take back"):  # asks the head, and changes no board
            continue
        (whole,) = play["tasks"]
        assert whole["block"][0]["board_lock"] == {"state": "held"}
        assert whole["always"][-1]["board_lock"] == {"state": "free"}


@pytest.mark.parametrize(
    ("said", "option"),
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
def test_a_board_that_lets_nobody_in_is_explained(said: str, option: str) -> None:
    """In one line, with what to do."""
    program = f"import sys, board_hints; print(board_hints.hint({said!r}, 'solar.local', {{'ansible_user': 'pi'}}))"
    env = {**os.environ, "PYTHONPATH": str(REPO / "ansible/callback_plugins"), "LC_ALL": "C.UTF-8"}
    argv: list[str | Path] = [ansible() / "python", "-c", program]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines() or [""]
    assert option in line
    assert bool(line) == bool(option)


def test_what_is_no_network_is_refused() -> None:
    """systemd leaves such a word out of IPAddressAllow with a line in its log that nobody reads."""
    spec = spec_from_file_location("networks", REPO / "ansible/roles/edge/filter_plugins/networks.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    good = ["100.64.0.0/10", "192.0.2.1", "2001:db8::/48", "0.0.0.0/0"]
    bad = ["100.64.0.1/10", "10.x", "tailscale", "", "::/129"]
    assert module.no_networks(good + bad) == bad


def test_an_image_for_32_bit_is_refused_before_anything_is_fetched() -> None:
    """`--platform linux/arm/v7` has no wheels, and says so; every stage waits for that."""
    recipe = (REPO / "Dockerfile.arm64").read_text()
    check = re.search(r"AS supported\n(?:ARG \w+\n)+RUN ((?:.*\\\n)*.*)\n", recipe)
    assert check

    def said(arch: str, variant: str = "") -> tuple[int, str]:
        env = {"TARGETARCH": arch, "TARGETVARIANT": variant}
        done = subprocess.run(["/bin/sh", "-c", check[1]], env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    assert said("arm64", "v8") == (0, "")
    assert said("amd64") == (0, "")
    code, words = said("arm", "v7")
    assert code == 1
    assert "64 bit only" in words
    assert "linux/arm/v7" in words
    assert "FROM supported AS wheels" in recipe
    assert re.search(r"AS system\n(?:#.*\n)*RUN --mount=type=bind,from=supported", recipe)


def test_packages_that_are_half_done_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By dpkg's journal, by what it says of each, and by what apt says of all."""
    packages = _role_file("packages", "base")
    (tmp_path / "updates").mkdir()
    monkeypatch.setattr(packages, "DPKG", tmp_path)
    listed, checked = "installed ok bash\n", (0, "")
    monkeypatch.setattr(packages, "run", lambda *argv: (0, listed) if argv[0] == "dpkg-query" else checked)
    assert packages.faults() == []
    (tmp_path / "updates/tmp.i").touch()  # left by a cut, and nothing is in it
    assert packages.faults() == []
    (tmp_path / "updates/0001").touch()
    assert packages.faults() == ["dpkg was interrupted"]
    (tmp_path / "updates/0001").unlink()
    listed += "half-configured ok rabbitmq-server\nhalf-installed reinstreq erlang-base\nconfig-files ok old\n"
    assert packages.faults() == ["rabbitmq-server is half-configured", "erlang-base is reinstreq"]
    listed, checked = "installed ok bash\n", (100, "Reading package lists...\nE: Unmet dependencies.\nsee above\n")
    assert packages.faults() == ["E: Unmet dependencies."]
    packages.wait_for_others(0.0)
    assert packages.last_words("") == "no reason given"


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
            """How many tasks changed something, and the names of the schedules after it."""
            given = {"edge_schedules": schedules, "edge_schedules_prune": True, "edge_schedules_token": "playbook"}
            given |= {"edge_schedules_url": f"http://127.0.0.1:{gateway.port}", "edge_tls": "none"}
            argv: list[str | Path] = [ansible() / "ansible-playbook", "play.yml", "-e", json.dumps(given)]
            argv += ["-e", f"ansible_python_interpreter={sys.executable}"]
            done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            found = gateway.ask("GET", "/schedules", Authorization=f"Bearer {reader}").json["schedules"]
            return int(re.findall(r"changed=(\d+)", done.stdout)[0]), [each["name"] for each in found]

        nightly = {"task": "echo", "args": ["hi"], "cron": "30 2 * * *", "timezone": "Europe/Berlin"}
        assert played(nightly=nightly) == (2, ["nightly"])  # the file, and the board
        assert played(nightly=nightly) == (0, ["nightly"])
        assert played(other={"task": "nothing", "every_s": 60}) == (2, ["other"])
        assert [token.name for token in Tokens(config.layout.tokens).list()] == ["reader"]
