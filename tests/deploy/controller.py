"""The machine that deploys: Ansible in an environment of its own, one board, sources that hold still."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.deploy.machine import Machine
from tests.deploy.root import REPO, cache

_DEPLOYED = ("edge", "tasks", "systemd", "ansible", "pyproject.toml", "requirements.lock", "README.md", "LICENSE")


def ansible() -> Path:
    """The folder of Ansible's programs; installed at the first call."""
    requirements = Path(__file__).with_name("requirements.txt")
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:8]
    folder = cache() / f"ansible-{digest}"
    if not (folder / "bin/ansible-lint").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip: list[str | Path] = [
            folder / "bin/python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, "-r", requirements], check=True)
    return folder / "bin"


class PlayFailed(AssertionError):
    """A playbook ended with a failure; the message is all it printed."""


class Controller:
    """Runs playbooks against `machine` from a copy of this project in `folder`."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine = machine
        self.folder = folder
        self.source = folder / "source"
        self.clients = folder / "clients"
        copy_sources(self.source)
        host = {
            "ansible_host": machine.lan.board_wire,
            "ansible_user": "pi",
            "ansible_become": True,
            "ansible_ssh_private_key_file": str(machine.key),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        }
        inventory = {"all": {"children": {"head": {"hosts": {machine.name: host}}}}}
        self.inventory = folder / "inventory.json"
        self.inventory.write_text(json.dumps(inventory))

    def play(self, playbook: str, *options: str, source: Path | None = None, **variables: Any) -> dict[str, int]:
        """Run a playbook and give its recap (ok, changed, failed, ...). Raises PlayFailed."""
        source = source or self.source
        given = {"edge_client_folder": str(self.clients), "edge_cache": str(cache() / "wheels"), **variables}
        argv: list[str | Path] = [ansible() / "ansible-playbook", "-i", self.inventory, "-e", json.dumps(given)]
        env = {
            **os.environ,
            "ANSIBLE_CONFIG": str(source / "ansible/ansible.cfg"),
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "cp"),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            [*argv, source / "ansible" / playbook, *options], capture_output=True, text=True, check=False, env=env
        )
        (self.folder / "last.log").write_text(done.stdout + done.stderr)
        recap = re.search(rf"^{re.escape(self.machine.name)}\s*: (.*)$", done.stdout, re.MULTILINE)
        if done.returncode or recap is None:
            raise PlayFailed(f"{playbook} {options}:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}")
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", recap[1])}

    def altered(self, name: str) -> Path:
        """A further copy of the sources, to be changed by the test."""
        folder = self.folder / name
        copy_sources(folder, of=self.source)
        return folder


def copy_sources(target: Path, *, of: Path = REPO) -> None:
    """What a deployment reads, as it is now: a run must not see files that change under it."""
    target.mkdir(parents=True)
    for name in _DEPLOYED:
        if (of / name).is_dir():
            shutil.copytree(of / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "inventory.yml"))
        else:
            shutil.copy(of / name, target / name)
