"""What a person pastes to use the stack that just came up."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edge.config import GatewayConfig

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - names what a config may say, binds nothing


def local_host(gateway: GatewayConfig) -> str:
    """The address of the gateway as seen from this machine."""
    return _ANYWHERE.get(gateway.host, gateway.host)


def url(gateway: GatewayConfig) -> str:
    """Where the gateway answers on this machine."""
    host = local_host(gateway)
    return f"{gateway.scheme}://{f'[{host}]' if ':' in host else host}:{gateway.port}"


def how_to_submit(url: str, *, certificate: Path | None = None) -> tuple[str, str]:
    """A line with our command and one with curl, each ready to paste; `certificate` is the gateway's own."""
    beside = Path(sys.executable).with_name("edge")
    command = "edge" if beside.parent == Path("/usr/bin") else short(beside)
    at = "" if url == "http://127.0.0.1:8420" else f"EDGE_URL={url} "
    at += f"EDGE_CA_FILE={short(certificate)} " if certificate else ""
    trust = f" --cacert {short(certificate)}" if certificate else ""
    body = """{"task": "solve", "args": [1, "What is 50 divided by 2?"]}"""
    return (
        f"{at}{command} submit solve 1 'What is 50 divided by 2?' --wait",
        f"curl -s{trust} {url}/v1/jobs -H 'Content-Type: application/json' -d '{body}'",
    )


def short(path: Path) -> str:
    """`path` as a person in this folder would type it."""
    try:
        return os.fspath(path.relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)
