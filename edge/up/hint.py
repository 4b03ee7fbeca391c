"""Makes the commands that a person can paste to use the stack that has just started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edge.config import GatewayConfig

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a value of the configuration; nothing is bound here


def local_host(gateway: GatewayConfig) -> str:
    """Return the address by which this machine reaches the gateway."""
    return _ANYWHERE.get(gateway.host, gateway.host)


def url(gateway: GatewayConfig) -> str:
    """Return the URL by which this machine reaches the gateway."""
    host = local_host(gateway)
    return f"{gateway.scheme}://{f'[{host}]' if ':' in host else host}:{gateway.port}"


def how_to_submit(url: str, *, certificate: Path | None = None) -> tuple[str, str]:
    """Return a line with the `edge` command and one with curl, each ready to paste.

    Args:
        url: where the gateway answers.
        certificate: the certificate of the gateway, which the commands must trust.
    """
    program = Path(sys.executable).with_name("edge")
    command = "edge" if program.parent == Path("/usr/bin") else short(program)
    variables = "" if url == "http://127.0.0.1:8420" else f"EDGE_URL={url} "
    variables += f"EDGE_CA_FILE={short(certificate)} " if certificate else ""
    trust = f" --cacert {short(certificate)}" if certificate else ""
    body = """{"task": "solve", "args": [1, "What is 50 divided by 2?"]}"""
    return (
        f"{variables}{command} submit solve 1 'What is 50 divided by 2?' --wait",
        f"curl -s{trust} {url}/v1/jobs -H 'Content-Type: application/json' -d '{body}'",
    )


def short(path: Path) -> str:
    """Return `path` relative to the current folder if it is below it, else unchanged."""
    try:
        return os.fspath(path.relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)
