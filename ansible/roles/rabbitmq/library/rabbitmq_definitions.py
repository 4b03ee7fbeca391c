#!/usr/bin/python
"""Ansible module that writes users, rights and queues to the definitions file that RabbitMQ reads at each start."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import string
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: rabbitmq_definitions
short_description: Write RabbitMQ's definitions file
description:
  - At each start, also with an empty store, the broker makes the users, permissions and queues of this file.
  - Passwords are made on the board, once, and kept there in files. The definitions have only their salted hashes.
options:
  path:
    description: The file to write.
    type: path
    required: true
  credentials:
    description: Folder with NAME.password for each user.
    type: path
    required: true
  users:
    description: Users with their rights on the vhost /.
    type: list
    elements: dict
    required: true
  mark:
    description: A file that is made before anything is written, as for C(place_files).
    type: path
  queues:
    description: Durable queues with their arguments.
    type: list
    elements: dict
    required: true
extends_documentation_fragment: [files]
author: [edge-worker]
"""

EXAMPLES = r"""
- name: Write users, rights and queues
  rabbitmq_definitions:
    path: /etc/rabbitmq/definitions.json
    credentials: /etc/edge/credentials
    users: [{name: edge-worker, configure: "^$", write: "^$", read: "^edge\\."}]
    queues: []
"""

RETURN = r""" # """

LETTERS = string.ascii_letters + string.digits


def password_hash(user, password):
    """Return the hash of RabbitMQ's rabbit_password_hashing_sha256: four bytes of salt, then a SHA-256.

    The salt is derived from the password, so that the same password gives the same file. That is safe, because the
    passwords are 40 random characters, which no table of hashes contains.
    """
    salt = hashlib.sha256(f"{user}\0{password}".encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def write(path, text, mode):
    """Replace the file durably; at no time can another user read it."""
    temp = path.with_name(f"{path.name}.new")
    temp.unlink(missing_ok=True)
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temp.replace(path)


def main():
    """Write the file if it differs."""
    rights = {"name": {"type": "str", "required": True}}
    rights.update({key: {"type": "str", "required": True} for key in ("configure", "write", "read")})
    queue = {"name": {"type": "str", "required": True}, "arguments": {"type": "dict", "default": {}}}
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "credentials": {"type": "path", "required": True, "no_log": False},
            "mark": {"type": "path"},
            "users": {"type": "list", "elements": "dict", "required": True, "options": rights},
            "queues": {"type": "list", "elements": "dict", "required": True, "options": queue},
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    path = Path(module.params["path"])
    users = []
    for user in module.params["users"]:
        file = Path(module.params["credentials"], f"{user['name']}.password")
        if not file.exists():
            if module.check_mode:
                module.exit_json(changed=True, msg=f"{file} is not there yet")
            write(file, f"{''.join(secrets.choice(LETTERS) for _ in range(40))}\n", 0o400)
        try:
            password = file.read_text(encoding="ascii").strip()
        except OSError as err:
            module.fail_json(msg=f"cannot read {file}: {err.strerror}")
        users.append(
            {
                "name": user["name"],
                "password_hash": password_hash(user["name"], password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": [],
            }
        )
    permissions = [
        {"user": u["name"], "vhost": "/", "configure": u["configure"], "write": u["write"], "read": u["read"]}
        for u in module.params["users"]
    ]
    queues = [
        {"name": q["name"], "vhost": "/", "durable": True, "auto_delete": False, "arguments": q["arguments"]}
        for q in module.params["queues"]
    ]
    document = {"vhosts": [{"name": "/"}], "users": users, "permissions": permissions, "queues": queues}
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    try:
        before = path.read_text(encoding="utf-8")
    except OSError:
        before = ""
    changed = before != text
    if changed and not module.check_mode:
        if module.params["mark"]:
            Path(module.params["mark"]).touch()
        write(path, text, 0o600)
    if path.exists():
        changed = module.set_fs_attributes_if_different(module.load_file_common_arguments(module.params), changed)
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
