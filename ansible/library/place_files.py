#!/usr/bin/python
"""Ansible module that writes files of text and links to their places on the board, all in one task."""

from __future__ import annotations

import grp
import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: place_files
short_description: Write files of text, and links, to their places
description:
  - Does what C(copy) in a loop does, in one task; on a small board each task takes seconds.
  - Everything is written under temporary names, and renamed together at the end. A power cut leaves all or nothing.
  - The files belong to root. Missing folders are made.
options:
  texts:
    description: Text of each file, by its path.
    type: dict
    default: {}
  folder:
    description: A folder on the board with the files that C(names) refers to.
    type: path
    default: /
  names:
    description:
      - Name of a file in that folder, by the path to which it is copied.
      - If the folder does not have the file, a file at that path is removed.
    type: dict
    default: {}
  links:
    description: Target of each link, by its path.
    type: dict
    default: {}
  group:
    description: Group of the files.
    type: str
    default: root
  mode:
    description: Mode of the files.
    type: str
    default: "0644"
  mark:
    description:
      - A file that is made before anything is written. Remove it once the new files are in use.
      - If it exists, an earlier run was interrupted, and the task reports C(changed).
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
  description: The paths that differed.
  type: list
  returned: always
absent:
  description: The paths whose file is not in the folder.
  type: list
  returned: always
"""


def main():
    """Write the files and links that differ."""
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
            if not module.check_mode:  # in check mode, the release that has the file was not installed
                module.fail_json(msg=f"cannot read {source}: {err.strerror}")
            texts[target] = ""
    try:
        group = grp.getgrnam(module.params["group"]).gr_gid
    except KeyError:
        if not module.check_mode:  # in check mode, the package that makes the group was not installed
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
    """Write the file durably under a temporary name, and return that path."""
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
    """Make the link under a temporary name, and return that path."""
    temp = beside(path)
    temp.symlink_to(to)
    return temp


def beside(path):
    """Return a free temporary path in the folder of `path`; the folder is made if it is missing."""
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
