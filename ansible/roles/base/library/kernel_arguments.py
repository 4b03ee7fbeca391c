#!/usr/bin/python
"""Ansible module that sets kernel arguments in cmdline.txt, the single line that Raspberry Pi's firmware reads."""

from __future__ import annotations

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: kernel_arguments
short_description: Set arguments in cmdline.txt of Raspberry Pi OS
description:
  - Changes the first of C(paths) that has a command line; the file stays one line. If none has one, nothing is changed.
  - The new file is durable before it replaces the old one. FAT has no journal, and an empty file would prevent a boot.
options:
  paths:
    description: Paths at which the file may be.
    type: list
    elements: path
    default: [/boot/firmware/cmdline.txt, /boot/cmdline.txt]
  present:
    description: Arguments that must be there.
    type: list
    elements: str
    default: []
  absent:
    description: Arguments that must not be there. C(name=a) removes only that part of C(name=a,b).
    type: list
    elements: str
    default: []
author: [edge-worker]
"""

EXAMPLES = r"""
- name: Make the kernel enforce memory limits
  kernel_arguments:
    present: [cgroup_enable=memory]
    absent: [cgroup_disable=memory]
"""

RETURN = r"""
path:
  description: The file, or an empty text if there is none.
  type: str
  returned: always
"""


def main():
    """Write the line if it differs."""
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
        # Raspberry Pi OS 12 has a note at the old path that names the new one; it is not a command line.
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
    """Return the line with the arguments `present` and without those in `absent`, in its old order."""
    kept = []
    for word in line.split():
        name, equals, value = word.partition("=")
        values = [one for one in value.split(",") if f"{name}={one}" not in absent]
        if word in absent or (equals and value and not values):
            continue
        kept.append(f"{name}={','.join(values)}" if equals else word)
    return " ".join([*kept, *(word for word in present if word not in kept)]) + "\n"


def write(path, text):
    """Replace the file durably. Its mode is not set, because FAT has none."""
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
