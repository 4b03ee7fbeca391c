#!/usr/bin/python
"""Ansible module: files put where the system looks for them, all in one round."""

from __future__ import annotations

import grp
import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: place_files
short_description: Put files of text, and links, where they belong
description:
  - As C(copy) in a loop, in one round; on a small board each round takes seconds.
  - Everything is written first and gets its name at the end, at once, so that a power cut leaves all of it or nothing.
  - The files belong to root; folders that are missing are made.
options:
  texts:
    description: What is to stand in which file, by its path.
    type: dict
    default: {}
  folder:
    description: A folder on the board that C(names) are in.
    type: path
    default: /
  names:
    description:
      - The file of that folder which is to be copied, by the path that the copy gets.
      - Where the folder does not hold it, what stands there goes.
    type: dict
    default: {}
  links:
    description: Where which link is to lead, by its path.
    type: dict
    default: {}
  group:
    description: The files' group.
    type: str
    default: root
  mode:
    description: The files' mode.
    type: str
    default: "0644"
  mark:
    description:
      - Made before anything is written; to be removed once that is in force.
      - While it is there an earlier run was cut short, and the answer is C(changed).
    type: path
author: [edge-worker]
"""

EXAMPLES = r"""
- name: Install a unit
  place_files:
    folder: /opt/edge/current/systemd
    names:
      /etc/systemd/system/edge.target: edge.target
"""

RETURN = r"""
written:
  description: The paths that were not as they should be.
  type: list
  returned: always
absent:
  description: The paths whose file the folder does not hold.
  type: list
  returned: always
"""


def main():
    """Write what differs."""
    module = AnsibleModule(
        argument_spec={
            "texts": {"type": "dict", "default": {}},
            "folder": {"type": "path", "default": "/"},
            "names": {"type": "dict", "default": {}},
            "links": {"type": "dict", "default": {}},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "str", "default": "0644"},
            "mark": {"type": "path"},
        },
        supports_check_mode=True,
    )
    texts, absent = dict(module.params["texts"]), []
    for target, name in module.params["names"].items():
        source = Path(module.params["folder"], name)
        try:
            texts[target] = source.read_text(encoding="utf-8")
        except OSError as err:
            if source.parent.is_dir() and isinstance(err, FileNotFoundError):
                absent.append(target)
                continue
            if not module.check_mode:  # there, the release would just have been installed
                module.fail_json(msg=f"cannot read {source}: {err.strerror}")
            texts[target] = ""
    try:
        group = grp.getgrnam(module.params["group"]).gr_gid
    except KeyError:
        if not module.check_mode:  # there, its package would just have been installed
            module.fail_json(msg=f"there is no group {module.params['group']}")
        group = -1
    wanted = (int(module.params["mode"], 8), 0, group)
    mark = Path(module.params["mark"]) if module.params["mark"] else None
    ready, diff = {}, []

    def note(path, before, after):
        diff.append({"before_header": path, "after_header": path, "before": before, "after": after})

    for target, text in texts.items():
        path = Path(target)
        plain = path.is_file() and not path.is_symlink()
        before = path.read_text(encoding="utf-8", errors="replace") if plain else ""
        found = path.stat() if plain else None
        if found and before == text and (found.st_mode & 0o7777, found.st_uid, found.st_gid) == wanted:
            continue
        note(target, before, text)
        ready[target] = None if module.check_mode else write(path, text, *wanted)
    for target, to in module.params["links"].items():
        path = Path(target)
        before = str(path.readlink()) if path.is_symlink() else ""
        if before == to:
            continue
        note(target, before, to)
        ready[target] = None if module.check_mode else link(path, to)
    gone = [path for path in absent if os.path.lexists(path)]
    for path in gone:
        note(path, "there\n", "")
    written = [*ready, *gone]
    if written and not module.check_mode:
        if mark:
            mark.touch()
        for target, temp in ready.items():
            temp.replace(target)
        for path in gone:
            Path(path).unlink()
        for folder in {Path(path).parent for path in written}:
            sync(folder)
    module.exit_json(changed=bool(written or (mark and mark.exists())), written=written, absent=absent, diff=diff)


def write(path, text, mode, owner, group):
    """The file under another name, durably."""
    temp = beside(path)
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fchown(fd, owner, group)
        os.fchmod(fd, mode)
        os.fsync(fd)
    return temp


def link(path, to):
    """The link under another name."""
    temp = beside(path)
    temp.symlink_to(to)
    return temp


def beside(path):
    """A free name in the folder of `path`, which is made."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.new")
    temp.unlink(missing_ok=True)
    return temp


def sync(folder):
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


if __name__ == "__main__":
    main()
