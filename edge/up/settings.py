"""Writes the `edge.yaml` of a private stack at its first start, and reads it. Later only the owner changes the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from edge.config import Loaded, load
from edge.core import durable
from edge.core.errors import ConfigError

DEFAULT_PORT = 8420
_TEXT = """\
# Written by the first `edge up` here; yours from now on. `edge config show` lists every key.
# Paths are relative to this file.
root: .
run: run

broker: # the private RabbitMQ that `edge up` starts; it also takes the two ports after this one
  port: {broker_port}
  user: edge
  password_file: broker/password

gateway:
  host: 127.0.0.1 # 0.0.0.0 opens it to the LAN; make a token for each submitter then (`edge token add NAME`)
  port: {port}
  loopback_without_token: true # whoever is logged in on this machine may submit

worker:
  name: main

power:
  critical:
    dry_run: true # this computer stays on when power is critical; false: it is powered off, as a board is
"""


def settings(
    root: Path, *, port: int | None = None, broker_port: int | None = None, env: Mapping[str, str] | None = None
) -> Loaded:
    """Return the settings of ROOT/edge.yaml, which is written if it is missing.

    Args:
        root: the state folder.
        port: port of the gateway; it overrides the file.
        broker_port: port of the broker; it overrides the file.
        env: the environment; by default that of this process.

    Raises:
        ConfigError: a value in the file or in an `EDGE_*` variable is wrong, or neither sets `root` and `run`.
    """
    path = root / "edge.yaml"
    try:
        durable.make_folder(root)
        if not path.exists():
            first = DEFAULT_PORT if port is None else port
            text = _TEXT.format(port=first, broker_port=first + 1 if broker_port is None else broker_port)
            durable.replace(path, text.encode())
    except OSError as err:
        raise ConfigError("root", str(root), err.strerror or str(err)) from err
    loaded = load(path, env={**(os.environ if env is None else env), **overrides(port, broker_port)})
    for key, own in (("root", "."), ("run", "run")):
        if key not in loaded.origins:  # the defaults are folders of an appliance, not below ROOT
            value = str(getattr(loaded.config, key))
            raise ConfigError(key, value, f"the default of an appliance; add `{key}: {own}` to {path}")
    return loaded


def overrides(port: int | None, broker_port: int | None) -> dict[str, str]:
    """Return the environment variables that make every part of the stack use these ports."""
    ports = {"EDGE_GATEWAY_PORT": port, "EDGE_BROKER_PORT": broker_port}
    return {name: str(value) for name, value in ports.items() if value is not None}
