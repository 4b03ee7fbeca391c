"""`policy.json`: what a new governor of the same boot goes on with, so that a restart shortens no dwell."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edge.core import durable
from edge.core.host import boot_id
from edge.power.policy import policy


class PersistedState(msgspec.Struct, frozen=True):
    """The state of the policy, and the boot whose clock it counts by."""

    boot_id: str
    state: policy.PolicyState


def read(path: Path, sources: set[str]) -> policy.PolicyState:
    """The state that was kept in this boot, of the `sources` that are still configured; else a new one."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=PersistedState)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return policy.PolicyState()
    if found.boot_id != boot_id():
        return policy.PolicyState()
    return policy.resumed(policy.of_sources(found.state, sources))


def write(path: Path, state: policy.PolicyState) -> None:
    """Keep `state`. Raises OSError."""
    durable.replace_volatile(path, msgspec.json.encode(PersistedState(boot_id(), state)))
