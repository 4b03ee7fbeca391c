"""Says at the end of a play in one line what to do about a board that does not let it in, beside what Ansible says."""

from __future__ import annotations

import re

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: board_hints
type: aggregate
short_description: What to do about a board that does not let a play in
description: Looks for the words of ssh and sudo in what failed, and says for each board which option or command helps.
"""

#: In the order in which they are looked for. {board}: as the inventory names it; {login}: as ssh is told it.
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
    """Gathers what failed while it runs."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "board_hints"

    def __init__(self):
        super().__init__()
        self.found = {}

    def v2_runner_on_unreachable(self, result):
        """Nobody answered, or nobody was let in."""
        self.look(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """A task failed."""
        if not ignore_errors:
            self.look(result)

    def v2_playbook_on_stats(self, stats):  # noqa: ARG002 - its name there
        """The end."""
        for line in self.found.values():
            self._display.display(f"-> {line}", color="yellow")

    def look(self, result):
        """Remember what helps, the first of each board."""
        told = getattr(result, "result", None) or result._result  # noqa: SLF001 - until Ansible 2.18
        words = " ".join(str(told.get(key, "")) for key in ("msg", "module_stderr", "module_stdout", "stderr"))
        host = getattr(result, "host", None) or result._host  # noqa: SLF001 - the same
        said = hint(words, host.get_name(), host.vars)
        if said:
            self.found.setdefault(host.get_name(), said)


def hint(words, board, names):
    """What to do about `words` that ssh or sudo said; empty where nothing is known."""
    host = str(names.get("ansible_host", board))
    user = names.get("ansible_user")
    login = f"{user}@{host}" if user else host
    for pattern, said in HINTS:
        if re.search(pattern, words, re.IGNORECASE):
            return said.format(board=board, host=host, login=login)
    return ""
