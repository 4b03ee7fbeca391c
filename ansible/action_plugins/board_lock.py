"""The controller's half of `board_lock`: who asks, and whether a play of this controller that holds it still runs."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import time
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Fails with one line that says who holds the board, and what to do where that play is no more."""

    TRANSFERS_FILES = False
    _requires_connection = True

    def run(self, tmp=None, task_vars=None):
        """Ask the module; ask once more where the holder was a play from here that has ended."""
        result = super().run(tmp, task_vars)
        state = self._task.args.get("state", "held")
        asked = {**self._task.args, "state": state, "owner": owner(), "at": time.strftime("%Y-%m-%d %H:%M")}
        asked["force"] = bool((task_vars or {}).get("deploy_take_over", False)) and state == "held"
        said = self._execute_module(module_name="board_lock", module_args=asked, task_vars=task_vars)
        holder = said.get("holder") or {}
        if holder and state == "held" and ended(holder):
            asked["take_from"] = holder
            said = self._execute_module(module_name="board_lock", module_args=asked, task_vars=task_vars)
            holder = said.get("holder") or {}
        if holder and state == "held" and not said.get("failed"):
            board = (task_vars or {}).get("inventory_hostname", "the board")
            who = f"{holder.get('user')}@{holder.get('host')} (process {holder.get('pid')}) since {said.get('since')}"
            raise AnsibleActionFail(
                f"another play is at work on {board}: {who}, last heard of {said.get('idle_s', 0)} s ago. "
                "Wait until it has ended; where it was killed on a machine that is not this one, add"
                " deploy_take_over=true"
            )
        result.update(said)
        return result


def owner():
    """This run of ansible-playbook: its process forks one for each task, whose parent it is."""
    pid = os.getppid()
    return {
        "host": socket.gethostname(),
        "space": space(),
        "user": getpass.getuser(),
        "pid": str(pid),
        "began": start_of(pid),
    }


def ended(holder):
    """True when the holder ran on this machine and is no more."""
    if (holder.get("host"), holder.get("space")) != (socket.gethostname(), space()):
        return False
    return start_of(holder.get("pid", "")) != holder.get("began")


def space():
    """What tells the processes of one container from those of another with the same name."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def start_of(pid):
    """What tells a process from a later one with its id: when it began; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    env = {**os.environ, "LC_ALL": "C"}  # macOS has no /proc
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, env=env, check=False)
    return " ".join(done.stdout.split())
