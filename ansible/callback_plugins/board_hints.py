"""Prints at the end of a play one line for each board that refused the connection, with what to do about it."""

from __future__ import annotations

import re

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: board_hints
type: aggregate
short_description: Says what to do about a board that refuses a connection
description: Looks for messages of ssh and sudo in failed tasks, and prints an option or command that helps.
"""

#: (pattern, advice), tried in this order. {board} is the name in the inventory, {login} is USER@HOST or HOST for ssh.
HINTS = (
    (
        r"host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
        "{board} shows another key than the one known here; if its card is new: ssh-keygen -R {host}",
    ),
    (
        r"Permission denied \(|Permission denied, please try again|Too many authentication failures",
        "{board} does not let {login} in: ssh-copy-id {login}, or give its password with --ask-pass (-k)",
    ),
    (r"Invalid/incorrect password", "{board} refused the password for ssh; try it with: ssh {login}"),
    (
        r"must install the sshpass program",
        "a password for ssh needs sshpass on this machine (apt install sshpass), or a key: ssh-copy-id {login}",
    ),
    (
        (
            r"Missing sudo password|sudo: a password is required|sudo: no tty present"
            r"|waiting for privilege escalation prompt"
        ),
        "sudo on {board} asks for a password: give it with --ask-become-pass (-K)",
    ),
    (
        r"Incorrect sudo password|Duplicate become password prompt",
        "sudo on {board} refused the password that was given with --ask-become-pass (-K)",
    ),
    (
        r"is not in the sudoers file|may not run sudo|not allowed to execute",
        "{login} may not use sudo on {board}: log in as somebody who may, or add it to the group sudo",
    ),
    (
        r"Could not resolve hostname|Name or service not known",
        "no machine is called {host} here: is the board on, and on this network? Its address will do, too",
    ),
    (
        r"Connection timed out|No route to host|Connection refused",
        "{host} does not answer to ssh: is the board on, and ssh switched on (raspi-config, Interface Options)?",
    ),
)


class CallbackModule(CallbackBase):
    """Collects advice for failed tasks, and prints it at the end of the play."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "board_hints"

    def __init__(self):
        super().__init__()
        self.found = {}

    def v2_runner_on_unreachable(self, result):
        """Look for advice if a board does not answer or refuses the login."""
        self.look(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """Look for advice if a task failed."""
        if not ignore_errors:
            self.look(result)

    def v2_playbook_on_stats(self, stats):  # noqa: ARG002 - its name there
        """Print the advice."""
        for line in self.found.values():
            self._display.display(f"-> {line}", color="yellow")

    def look(self, result):
        """Remember the first advice for each board."""
        answer = getattr(result, "result", None) or result._result  # noqa: SLF001 - until Ansible 2.18
        text = " ".join(str(answer.get(key, "")) for key in ("msg", "module_stderr", "module_stdout", "stderr"))
        host = getattr(result, "host", None) or result._host  # noqa: SLF001 - the same
        advice = hint(text, host.get_name(), host.vars)
        if advice:
            self.found.setdefault(host.get_name(), advice)


def hint(text, board, names):
    """Return what to do about a message of ssh or sudo, or an empty text if none is known.

    Args:
        text: What the failed task printed.
        board: The name of the board in the inventory.
        names: The variables of the board, such as `ansible_host` and `ansible_user`.
    """
    host = str(names.get("ansible_host", board))
    user = names.get("ansible_user")
    login = f"{user}@{host}" if user else host
    for pattern, advice in HINTS:
        if re.search(pattern, text, re.IGNORECASE):
            return advice.format(board=board, host=host, login=login)
    return ""
