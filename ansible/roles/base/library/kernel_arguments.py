#!/usr/bin/python
"""Ansible module: arguments of the kernel in the one line that Raspberry Pi's firmware reads."""

from __future__ import annotations

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: kernel_arguments
short_description: Set arguments in cmdline.txt of Raspberry Pi OS
description:
  - Changes the first of C(paths) that holds a command line; the file stays one line. Where there is none, nothing is.
  - The new file is durable before it replaces the old one. FAT has no journal, and an empty file boots no board.
options:
  paths:
    description: Where the file may be.
    type: list
    elements: path
    default: [/boot/firmware/cmdline.txt, /boot/cmdline.txt]
  present:
    description: Arguments that are to be there.
    type: list
    elements: str
    default: []
  absent:
    description: Arguments that must not be there. Of C(name=a,b) only the part that C(name=a) names goes.
    type: list
    elements: str
    default: []
author: [edge-worker]
"""

EXAMPLES = r"""
- name: Let the kernel hold memory limits
  kernel_arguments:
    present: [cgroup_enable=memory]
    absent: [cgroup_disable=memory]
"""

RETURN = r"""
path:
  description: The file; empty where there is none.
  type: str
  returned: always
"""


def main():
    """Write the line anew where it differs."""
    module = AnsibleModule(
        argument_spec={
            "paths": {
                "type": "list",
                "elements": "path",
                "default": ["/boot/firmware/cmdline.txt", "/boot/cmdline.txt"],
            },
            "present": {"type": "list", "elements": "str", "default": []},
            "absent": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    for path in map(Path, module.params["paths"]):
        before = path.read_text(encoding="utf-8", errors="surrogateescape") if path.is_file() else ""
        # Raspberry Pi OS 12 leaves a note at the old place that says where the file is now.
        if "root=" in before:
            break
    else:
        module.exit_json(changed=False, path="")
    after = arguments(before, module.params["present"], module.params["absent"])
    if after.split() != before.split() or before.strip().count("\n"):
        if not module.check_mode:
            write(path, after)
        diff = {"before_header": str(path), "after_header": str(path), "before": before, "after": after}
        module.exit_json(changed=True, path=str(path), diff=diff)
    module.exit_json(changed=False, path=str(path))


def arguments(line, present, absent):
    """The line with and without these arguments, in the order it had."""
    kept = []
    for word in line.split():
        name, equals, value = word.partition("=")
        values = [one for one in value.split(",") if f"{name}={one}" not in absent]
        if word in absent or (equals and value and not values):
            continue
        kept.append(f"{name}={','.join(values)}" if equals else word)
    return " ".join([*kept, *(word for word in present if word not in kept)]) + "\n"


def write(path, text):
    """Replace the file durably. Its mode is left alone: FAT has none."""
    temp = path.with_name(path.name + ".new")
    with temp.open("w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temp.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


if __name__ == "__main__":
    main()
