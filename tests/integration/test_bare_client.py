"""The base package is the client: it installs and submits without anything of the device."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edge.up.ports import free_ports

REPOSITORY = Path(__file__).parents[2]
DEVICE_ONLY = ("aiohttp", "asyncinotify", "celery", "chatterbot", "gpiozero", "jsonschema", "kombu", "psutil", "spacy")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", os.fspath(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel and its base dependencies, at the versions of the lock."""
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
    """A command in the bare environment, with none of the caller's variables."""
    argv = [os.fspath(bare.with_name(command[0])), *command[1:]]
    clean = {"PATH": os.defpath, "HOME": os.fspath(cwd), "LANG": "C.UTF-8", **env}
    return subprocess.run(argv, cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=60)


def test_the_wheel_holds_edge_and_tasks_only(wheel: Path) -> None:
    """No tests, no tools, no state."""
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"edge", "tasks"}


def test_nothing_of_the_device_is_installed(bare: Path, tmp_path: Path) -> None:
    """Celery, ChatterBot, spaCy, gpiozero, aiohttp and their like are absent."""
    script = "import importlib.util as u, json, sys; print(json.dumps([n for n in sys.argv[1:] if u.find_spec(n)]))"
    done = run(bare, "python", "-c", script, *DEVICE_ONLY, cwd=tmp_path)
    assert json.loads(done.stdout) == []


def test_help_works(bare: Path, tmp_path: Path) -> None:
    """`edge --help` lists the commands of the client."""
    done = run(bare, "edge", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "submit" in done.stdout


def test_python_client_imports(bare: Path, tmp_path: Path) -> None:
    """`from edge.client import Client` needs nothing of the device."""
    done = run(bare, "python", "-c", "from edge.client import Client; Client(url='http://127.0.0.1:9')", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_submit_to_nobody_is_one_line_and_exit_3(bare: Path, tmp_path: Path) -> None:
    """Where no gateway listens a person reads one sentence with the address, and no traceback."""
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
    """One line that names the extra, exit 2."""
    (tmp_path / "edge.yaml").write_text("root: state\nrun: run\n")
    done = run(bare, "edge", command, cwd=tmp_path, **({} if command == "up" else {"EDGE_CONFIG": "edge.yaml"}))
    assert done.returncode == 2, (done.stdout, done.stderr)
    (line,) = done.stderr.splitlines()
    assert "edge-worker[device]" in line
