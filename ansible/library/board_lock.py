#!/usr/bin/python
"""Ansible module that locks a board, so that one play at a time changes it."""

from __future__ import annotations

import fcntl
import json
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: board_lock
short_description: Keep a second play from a board while one runs
description:
  - The lock is a file that names its holder. It is in memory, so a boot removes it.
  - The holder renews it now and then. A lock that was not renewed for C(lease_s) seconds is free.
  - The action plugin of the same name fills in C(owner). It takes over from a play on the controller that has ended.
options:
  state:
    description: Take or renew the lock, or release it.
    type: str
    choices: [held, free]
    default: held
  owner:
    description: The play that takes the lock, as a mapping of text to text.
    type: dict
    required: true
  at:
    description: The time at which it is taken, for people; a renewal by the same owner keeps it.
    type: str
    default: ""
  take_from:
    description: Take the lock from this owner, which is known to have ended.
    type: dict
  force:
    description: Take the lock from any owner.
    type: bool
    default: false
  lease_s:
    description: Seconds after which a lock that was not renewed is free.
    type: int
    default: 3600
  path:
    description: The file.
    type: path
    default: /run/edge-play.lock
author: [edge-worker]
"""

EXAMPLES = r"""
- name: Keep other plays from this board
  board_lock:
    state: held
"""

RETURN = r"""
holder:
  description: The holder if it is another owner, else empty.
  type: dict
  returned: always
idle_s:
  description: Seconds since the holder took or renewed it.
  type: int
  returned: always
since:
  description: When the holder first took it, by the clock of the holder's machine.
  type: str
  returned: if another owner holds it
"""


def main():
    """Take, renew or release the lock, or return its holder."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["held", "free"], "default": "held"},
            "owner": {"type": "dict", "required": True},
            "at": {"type": "str", "default": ""},
            "take_from": {"type": "dict"},
            "force": {"type": "bool", "default": False},
            "lease_s": {"type": "int", "default": 3600},
            "path": {"type": "path", "default": "/run/edge-play.lock"},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    if module.check_mode:
        module.exit_json(changed=False, holder={}, idle_s=0)
    now = time.clock_gettime(time.CLOCK_BOOTTIME)  # the wall clock of a board may jump
    with Path(wanted["path"]).open("a+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        holder, idle_s, since = read(stream, now)
        theirs = bool(holder) and holder != wanted["owner"]
        over = idle_s > wanted["lease_s"] or holder == wanted["take_from"] or wanted["force"]
        if theirs and (wanted["state"] == "free" or not over):
            module.exit_json(changed=False, holder=holder, idle_s=int(idle_s), since=since)
        stream.seek(0)
        stream.truncate()
        if wanted["state"] == "held":
            since = since if holder == wanted["owner"] else wanted["at"]
            json.dump({"owner": wanted["owner"], "since": since, "taken": now}, stream)
        stream.flush()
    module.exit_json(changed=False, holder={}, idle_s=0)


def read(stream, now):
    """Return the holder, the seconds since its last renewal, and when it was taken; ({}, 0.0, "") for a free lock."""
    stream.seek(0)
    try:
        found = json.load(stream)
        return dict(found["owner"]), max(0.0, now - float(found["taken"])), str(found["since"])
    except (ValueError, KeyError, TypeError):
        return {}, 0.0, ""


if __name__ == "__main__":
    main()
