#!/usr/bin/python
"""Ansible module that makes a CA on the board and a server certificate signed by it, with openssl, if needed."""

from __future__ import annotations

import os
import re
import ssl
import tempfile
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: edge_certificate
short_description: Make a CA and a server certificate on the board
description:
  - Makes ca.key, ca.pem, key.pem and cert.pem in a folder. The keys never leave the board.
  - The certificate is made anew if it lacks a name, or if it is valid for less than 30 days. The CA stays.
  - Both are made anew if they are not valid yet because the clock was ahead when they were made.
options:
  folder:
    description: Folder of the files.
    type: path
    required: true
  name:
    description: Common name of the certificate.
    type: str
    required: true
  names:
    description: Names and addresses for which the certificate must be valid.
    type: list
    elements: str
    required: true
  days:
    description: Days for which a new certificate is valid.
    type: int
    default: 3650
author: [edge-worker]
"""

EXAMPLES = r"""
- name: Make a CA and sign the board's certificate
  edge_certificate:
    folder: /etc/edge/tls
    name: raspberrypi
    names: [raspberrypi.local, 192.168.1.20]
"""

RETURN = r""" # """

CURVE = ["-pkeyopt", "ec_paramgen_curve:prime256v1"]


def main():
    """Check the files, and make those that are missing or not valid."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "days": {"type": "int", "default": 3650},
        },
        supports_check_mode=True,
    )
    folder = Path(module.params["folder"])
    ca_key, ca, key, cert = (folder / name for name in ("ca.key", "ca.pem", "key.pem", "cert.pem"))
    wanted = sorted(subject(name) for name in set(module.params["names"]))
    why = fault(module, ca, key, cert, wanted)
    if not why or module.check_mode:
        module.exit_json(changed=bool(why), msg=why)
    os.umask(0o077)
    if not (ca_key.exists() and ca.exists()) or early(module, ca):
        request = ["req", "-x509", "-newkey", "ec", *CURVE, "-nodes", "-days", "7300"]
        request += ["-subj", f"/CN=edge CA of {module.params['name']}", "-keyout", f"{ca_key}.new", "-out", f"{ca}.new"]
        request += ["-addext", "basicConstraints=critical,CA:TRUE,pathlen:0"]
        run(module, [*request, "-addext", "keyUsage=critical,keyCertSign,cRLSign"])
        take(f"{ca_key}.new", ca_key, 0o400)
        take(f"{ca}.new", ca, 0o644)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        request, extensions = Path(scratch, "request.pem"), Path(scratch, "extensions")
        extensions.write_text(
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
            f"extendedKeyUsage=serverAuth\nsubjectAltName={','.join(wanted)}\n"
        )
        subject_name = f"/CN={module.params['name']}"
        run(
            module,
            ["req", "-newkey", "ec", *CURVE, "-nodes", "-subj", subject_name, "-keyout", f"{key}.new", "-out", request],
        )
        sign = ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-days", str(module.params["days"])]
        serial = f"0x{os.urandom(16).hex()}"
        run(module, [*sign, "-set_serial", serial, "-extfile", extensions, "-out", f"{cert}.new"])
    take(f"{key}.new", key, 0o400)
    take(f"{cert}.new", cert, 0o644)
    module.exit_json(changed=True, msg=why)


def subject(name):
    """Return a name in the format of subjectAltName."""
    return f"IP:{name}" if re.fullmatch(r"[0-9.]+|[0-9a-fA-F:]*:[0-9a-fA-F:.]*", name) else f"DNS:{name}"


def fault(module, ca, key, cert, wanted):
    """Return why a new certificate is needed, or an empty text."""
    for path in (ca, key, cert):
        if not path.exists():
            return f"{path} is missing"
        if path != key and early(module, path):
            return f"{path} is not valid yet: it was made while the clock was ahead"
    code, text, _ = module.run_command(["openssl", "x509", "-in", str(cert), "-noout", "-ext", "subjectAltName"])
    if code:
        return f"{cert} cannot be read"
    found = {item.replace("IP Address:", "IP:") for item in re.split(r",\s*|\n\s*", text)}
    for one in wanted:
        if "::" not in one and one not in found:
            return f"{cert} is not for {one}"
    month = str(30 * 86400)
    if module.run_command(["openssl", "x509", "-in", str(cert), "-noout", "-checkend", month])[0]:
        return f"{cert} ends soon"
    if module.run_command(["openssl", "verify", "-CAfile", str(ca), str(cert)])[0]:
        return f"{cert} is not by {ca}"
    return ""


def early(module, path):
    """Return True if a certificate is not valid yet."""
    code, text, _ = module.run_command(["openssl", "x509", "-in", str(path), "-noout", "-startdate"])
    begin = re.search(r"notBefore=(.+)", text)
    return bool(code == 0 and begin and ssl.cert_time_to_seconds(begin[1].strip()) > time.time())


def run(module, arguments):
    """Run openssl; if it fails, the module fails with its error output."""
    code, _, err = module.run_command(["openssl", *map(str, arguments)])
    if code:
        module.fail_json(msg=f"openssl {arguments[0]}: {err.strip()}")


def take(temp, path, mode):
    """Rename a finished file to its final path, durably."""
    temp = Path(temp)
    temp.chmod(mode)
    with temp.open("rb") as stream:
        os.fsync(stream.fileno())
    temp.replace(path)


if __name__ == "__main__":
    main()
