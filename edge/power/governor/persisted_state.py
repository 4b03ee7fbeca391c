"""Saves the policy's state in `policy.json`. A restarted governor continues from it, so a restart shortens no dwell."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edge.core import durable, stored
from edge.core.host import boot_id
from edge.power.policy import policy


class PersistedState(msgspec.Struct, frozen=True):
    """The state of the policy, and the boot to whose monotonic clock its times belong."""

    boot_id: str
    state: policy.PolicyState


def read(path: Path, sources: set[str]) -> policy.PolicyState:
    """Return the state that was saved in this boot, or a new state if there is none that can be read.

    Args:
        path: the file.
        sources: names of the sources that are configured now. The state of all others is dropped.
    """
    try:
        found = stored.read(path, PersistedState)
    except (OSError, stored.BadContent):
        return policy.PolicyState()
    if found.boot_id != boot_id():
        return policy.PolicyState()
    return policy.resumed(policy.of_sources(found.state, sources))


def write(path: Path, state: policy.PolicyState) -> None:
    """Save `state` for a governor that starts later in this boot. Raises OSError."""
    durable.replace_volatile(path, msgspec.json.encode(PersistedState(boot_id(), state)))
