"""Plays the machine that deploys: Ansible in a separate environment, with a copy of the sources that stays the same."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tests.deploy.root import REPO, cache

_LOGIN = {
    "ansible_user": "pi",
    "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
}
_DEPLOYED = ("edge", "tasks", "systemd", "ansible", "pyproject.toml", "requirements.lock", "README.md", "LICENSE")


def ansible() -> Path:
    """Return the folder of Ansible's programs; Ansible is installed at the first call."""
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
    """A playbook failed; the message is all of its output."""


class Board(Protocol):
    """A machine to which a playbook can log in."""

    name: str

    @property
    def login(self) -> dict[str, Any]:
        """The variables with which Ansible reaches it."""


class Controller:
    """Runs playbooks against `boards` (group -> machines) from a copy of this project in `folder`."""

    def __init__(self, boards: Mapping[str, Sequence[Board]], folder: Path) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.clients = folder / "clients"
        copy_sources(self.source)
        self._names = [board.name for group in boards.values() for board in group]
        groups = {name: {"hosts": {board.name: board.login for board in group}} for name, group in boards.items()}
        inventory = {"all": {"children": groups, "vars": _LOGIN}}
        self.inventory = folder / "inventory.json"
        self.inventory.write_text(json.dumps(inventory))

    def play(self, playbook: str, *options: str, source: Path | None = None, **variables: Any) -> dict[str, int]:
        """Run a playbook, and return its recap (ok, changed, ...), summed over the boards. Raises PlayFailed."""
        process = self.begin(playbook, *options, source=source, **variables)
        out, err = process.communicate()
        (self.folder / "last.log").write_text(out + err)
        names = "|".join(map(re.escape, self._names))
        recaps = re.findall(rf"^(?:{names})\s*: (.*)$", out, re.MULTILINE)
        if process.returncode or not recaps:
            raise PlayFailed(f"{playbook} {options}:\n{out[-6000:]}\n{err[-3000:]}")
        total: Counter[str] = Counter()
        for recap in recaps:
            total.update({key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", recap)})
        return total

    def begin(
        self, playbook: str, *options: str, source: Path | None = None, **variables: Any
    ) -> subprocess.Popen[str]:
        """Start a playbook in a new process group, without waiting for it."""
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
        return subprocess.Popen(
            [*argv, source / "ansible" / playbook, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
            start_new_session=True,
        )

    def altered(self, name: str) -> Path:
        """Make another copy of the sources, which the test may change, and return its folder."""
        folder = self.folder / name
        copy_sources(folder, of=self.source)
        return folder


def copy_sources(target: Path, *, of: Path = REPO) -> None:
    """Copy the files that a deployment reads, so that they do not change during a run."""
    target.mkdir(parents=True)
    for name in _DEPLOYED:
        if (of / name).is_dir():
            shutil.copytree(of / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "inventory.yml"))
        else:
            shutil.copy(of / name, target / name)
