"""The base package is the client: it installs and submits without any part of the device."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edge.up.broker.ports import free_ports

REPOSITORY = Path(__file__).parents[2]
DEVICE_ONLY = ("aiohttp", "celery", "chatterbot", "gpiozero", "jsonschema", "kombu", "psutil", "spacy")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", os.fspath(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a new environment with the wheel and its base dependencies, in the versions of the lock."""
    folder = tmp_path_factory.mktemp("bare")
    pins = re.findall(r"^[A-Za-z0-9._-]+==[^ \\\n]+", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pins))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", os.fspath(python), "install", "--quiet", "--only-binary", ":all:"]
    subprocess.run([*pip, "-c", os.fspath(constraints), os.fspath(wheel)], check=True, capture_output=True)
    return python


def run(bare: Path, *command: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the bare environment, without variables of the caller."""
    argv = [os.fspath(bare.with_name(command[0])), *command[1:]]
    clean = {"PATH": os.defpath, "HOME": os.fspath(cwd), "LANG": "C.UTF-8", **env}
    return subprocess.run(argv, cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=60)


def test_the_wheel_holds_edge_and_tasks_only(wheel: Path) -> None:
    """The wheel has no tests, no tools and no state."""
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"edge", "tasks"}


def test_nothing_of_the_device_is_installed(bare: Path, tmp_path: Path) -> None:
    """Celery, ChatterBot, spaCy, gpiozero, aiohttp and the like are not installed."""
    script = "import importlib.util as u, json, sys; print(json.dumps([n for n in sys.argv[1:] if u.find_spec(n)]))"
    done = run(bare, "python", "-c", script, *DEVICE_ONLY, cwd=tmp_path)
    assert json.loads(done.stdout) == []


def test_help_works(bare: Path, tmp_path: Path) -> None:
    """`edge --help` lists the commands of the client."""
    done = run(bare, "edge", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "submit" in done.stdout


def test_python_client_imports(bare: Path, tmp_path: Path) -> None:
    """`from edge.client import Client` needs no library of the device."""
    done = run(bare, "python", "-c", "from edge.client import Client; Client(url='http://127.0.0.1:9')", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_submit_to_nobody_is_one_line_and_exit_3(bare: Path, tmp_path: Path) -> None:
    """If no gateway listens, one sentence names the address, without a traceback."""
    settings = tmp_path / "client.yaml"
    settings.write_text("patience_s: 0\n")
    (port,) = free_ports(1)
    done = run(
        bare,
        *("edge", "--url", f"http://127.0.0.1:{port}", "submit", "solve", "1", "What is 50 divided by 2?"),
        cwd=tmp_path,
        EDGE_CLIENT_CONFIG=os.fspath(settings),
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert str(port) in line


@pytest.mark.parametrize("command", ["up", "worker", "gateway"])
def test_a_device_command_says_what_to_install(bare: Path, tmp_path: Path, command: str) -> None:
    """A command of the device prints one line that names the extra, and exits with 2."""
    (tmp_path / "edge.yaml").write_text("root: state\nrun: run\n")
    done = run(bare, "edge", command, cwd=tmp_path, **({} if command == "up" else {"EDGE_CONFIG": "edge.yaml"}))
    assert done.returncode == 2, (done.stdout, done.stderr)
    (line,) = done.stderr.splitlines()
    assert "edge-worker[device]" in line


def test_edge_deploy_brings_the_playbook_and_its_own_source(bare: Path, wheel: Path, tmp_path: Path) -> None:
    """Without a checkout, `edge deploy` builds on this machine from this installed package."""
    playbook = tmp_path / "bin/ansible-playbook"
    playbook.parent.mkdir()
    build = f"{sys.executable} -m hatchling build -t wheel -d {tmp_path}/built >/dev/null"
    keep = f'cp "$2" {tmp_path}/inventory.json\necho $4 $5 >{tmp_path}/options'
    playbook.write_text(f'#!/bin/sh\n{keep}\ncd "$(dirname "$3")/.." && exec {build}\n')
    playbook.chmod(0o755)
    argv = ["edge", "deploy", "pi@board.local", "--limit", "board.local"]
    done = run(bare, *argv, cwd=tmp_path, PATH=f"{playbook.parent}:{os.defpath}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "options").read_text() == "--limit board.local\n"
    (built,) = (tmp_path / "built").glob("*.whl")
    contents = [{info.filename: info.CRC for info in zipfile.ZipFile(path).infolist()} for path in (wheel, built)]
    assert contents[0] == contents[1]
    inventory = json.loads((tmp_path / "inventory.json").read_text())["all"]
    assert inventory["children"]["head"]["hosts"]["board.local"]["ansible_user"] == "pi"
    assert inventory["vars"]["edge_tokens"][0]["scopes"] == ["submit", "read"]
    assert (tmp_path / ".config/edge/client.yaml").read_text() == "url: https://board.local:8420\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["pi@board.local"], "Ansible is not installed"),
        (["pi@bo ard"], "[USER@]HOST[:PORT]"),
        (["pi@board.local", "--var", "edge_workers"], "NAME=VALUE"),
        (["pi@board.local", "--var", "edge_worker=[second]"], "did you mean edge_workers?"),
        (["pi@board.local", "--node", "pi@board.local"], "the head itself"),
    ],
)
def test_edge_deploy_says_what_is_missing(bare: Path, tmp_path: Path, arguments: list[str], error: str) -> None:
    """`edge deploy` says in one line what is missing, and exits with 2."""
    found = tmp_path / "bin/ansible-playbook"
    found.parent.mkdir()
    if "Ansible" not in error:
        found.write_text("#!/bin/sh\nexit 1\n")
        found.chmod(0o755)
    done = run(bare, "edge", "deploy", *arguments, cwd=tmp_path, PATH=f"{found.parent}:{os.defpath}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert error in done.stderr


def test_edge_discover_says_what_is_missing(bare: Path, tmp_path: Path) -> None:
    """`edge discover` names the extra that it needs."""
    done = run(bare, "edge", "discover", cwd=tmp_path)
    assert done.returncode == 2
    assert "edge-worker[discover]" in done.stderr
