"""The controller's part of `board_lock`: it names the owner, and finds out if a holder on this machine has ended."""

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
    """Fails with one line that names the holder of the lock, and says what to do if that play has ended."""

    TRANSFERS_FILES = False
    _requires_connection = True

    def run(self, tmp=None, task_vars=None):
        """Run the module; run it once more if the holder was a play on this machine that has ended."""
        result = super().run(tmp, task_vars)
        state = self._task.args.get("state", "held")
        request = {**self._task.args, "state": state, "owner": owner(), "at": time.strftime("%Y-%m-%d %H:%M")}
        request["force"] = bool((task_vars or {}).get("deploy_take_over", False)) and state == "held"
        answer = self._execute_module(module_name="board_lock", module_args=request, task_vars=task_vars)
        holder = answer.get("holder") or {}
        if holder and state == "held" and ended(holder):
            request["take_from"] = holder
            answer = self._execute_module(module_name="board_lock", module_args=request, task_vars=task_vars)
            holder = answer.get("holder") or {}
        if holder and state == "held" and not answer.get("failed"):
            board = (task_vars or {}).get("inventory_hostname", "the board")
            play = f"{holder.get('user')}@{holder.get('host')} (process {holder.get('pid')})"
            raise AnsibleActionFail(
                f"another play is at work on {board}: {play} since {answer.get('since')}, "
                f"last heard of {answer.get('idle_s', 0)} s ago. "
                "Wait until it has ended. If it was killed on another machine than this one, add"
                " deploy_take_over=true"
            )
        result.update(answer)
        return result


def owner():
    """Describe this run of ansible-playbook, which is the parent of the process that runs this task."""
    pid = os.getppid()
    return {
        "host": socket.gethostname(),
        "space": space(),
        "user": getpass.getuser(),
        "pid": str(pid),
        "began": start_of(pid),
    }


def ended(holder):
    """Return True if the holder ran on this machine and has ended."""
    if (holder.get("host"), holder.get("space")) != (socket.gethostname(), space()):
        return False
    return start_of(holder.get("pid", "")) != holder.get("began")


def space():
    """Return the PID namespace, which tells containers with the same host name apart; empty if there is none."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def start_of(pid):
    """Return when the process began, which tells it from a later one with the same id; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    env = {**os.environ, "LC_ALL": "C"}  # macOS has no /proc
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, env=env, check=False)
    return " ".join(done.stdout.split())
