#!/usr/bin/python
"""Ansible module: one play at a time on a board."""

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
  - The lock is a file that says who holds it. A boot takes it away, for it lies in memory.
  - Whoever holds it takes it again now and then. One that was not taken again for C(lease_s) seconds is nobody's.
  - The action plugin of the same name fills in C(owner), and takes over from a play of this controller that has ended.
options:
  state:
    description: Take the lock, or give it back.
    type: str
    choices: [held, free]
    default: held
  owner:
    description: Who asks, as a mapping of text to text.
    type: dict
    required: true
  at:
    description: The time at which it is taken, for people; kept while the same owner takes it again.
    type: str
    default: ""
  take_from:
    description: Take it from this owner, who is known to have ended.
    type: dict
  force:
    description: Take it from anybody.
    type: bool
    default: false
  lease_s:
    description: Seconds after which a lock that was not taken again is free.
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
  description: Who holds it, where that is somebody else.
  type: dict
  returned: always
idle_s:
  description: For how many seconds the holder has not taken it again.
  type: int
  returned: always
since:
  description: When the holder took it first, by its own clock.
  type: str
  returned: where somebody else holds it
"""


def main():
    """Take it, or give it back, or say who has it."""
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
    """Who holds it, how many seconds ago it was taken last, and since when it is held; nobody where nothing is said."""
    stream.seek(0)
    try:
        found = json.load(stream)
        return dict(found["owner"]), max(0.0, now - float(found["taken"])), str(found["since"])
    except (ValueError, KeyError, TypeError):
        return {}, 0.0, ""


if __name__ == "__main__":
    main()
