"""Counts the groups of results that workers make durable, and lets the disk refuse the last member of some.

`inject/sitecustomize.py` installs it in the processes of a campaign's board, because only a worker knows how many
results one commit held. The refusals are part of the load: cuts alone never make a group of which only a part fails.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.powercut.patching import patch_on_import

GROUPS = "POWERCUT_GROUPS"
#: In every group of this ordinal, the disk refuses the name of the last member.
REFUSE_EVERY = 25


class Groups(msgspec.Struct, frozen=True):
    """Counts of the groups of two and more results that the workers committed."""

    groups: int = 0
    results: int = 0
    largest: int = 0
    refused: int = 0  # last members that the disk refused at first
    by_worker: dict[str, int] = {}


def read(log: Path) -> Groups:
    """Return the counts in the probe's log; all are 0 if there is no log."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    sizes = [(name, int(size)) for name, size, _ in lines]
    by_worker: dict[str, int] = {}
    for name, size in sizes:
        by_worker[name] = by_worker.get(name, 0) + size
    return Groups(
        groups=sum(size > 1 for _, size in sizes),
        results=sum(size for _, size in sizes if size > 1),
        largest=max((size for _, size in sizes), default=0),
        refused=sum(refused == "1" for *_, refused in lines),
        by_worker=by_worker,
    )


def install() -> None:
    """Install the probe if this process is a worker of a probed board."""
    if os.environ.get(GROUPS) and "edge.worker" in sys.orig_argv:
        patch_on_import("edge.results.commit", _count)


def _count(commit: Any) -> None:
    real, link = commit.Group.commit, commit._link
    fd = os.open(os.environ[GROUPS], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    name = os.environ.get("EDGE_WORKER_NAME", "main")
    seen = 0
    refused: set[int] = set()

    def counted(self: Any, members: Sequence[Any], removed: frozenset[str] = frozenset()) -> Any:
        nonlocal seen
        refused.clear()
        if len(members) > 1:
            seen += 1
            if seen % REFUSE_EVERY == 0:
                refused.add(id(members[-1]))
        outcomes = real(self, members, removed)
        os.write(fd, f"{name} {len(members)} {len(refused)}\n".encode())
        return outcomes

    def refusing(member: Any, removed: frozenset[str]) -> Any:
        if id(member) in refused:
            return OSError(errno.EIO, "the rig's disk refuses this name")
        return link(member, removed)

    commit.Group.commit, commit._link = counted, refusing
