"""The workers of a board, as `workers:` in `edge.yaml` lists them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.core.errors import ConfigError
from edge.model import Pool, Power, WorkerPool

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z",
        description="1 to 32 of A-Z a-z 0-9 _ - starting with a letter or digit",
    ),
]
#: Bodies at once in a worker of threads that does not say how many.
THREADS = 100


class WorkerEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One worker process of the board."""

    name: Annotated[Name, about("Names the worker in `edge status` and its unit, edge-worker@NAME.", example="io")]
    pool: Annotated[
        WorkerPool,
        about("main: one body at a time, for kinds of pool `main`; threads: many at once, for kinds of pool `io`."),
    ] = WorkerPool.MAIN
    concurrency: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | None,
        about("Bodies at once: 1 in the pool `main`, 1 to 1000 in `threads`. null: 1, and 100 in `threads`."),
    ] = None
    classes: Annotated[tuple[Power, ...], about("The power classes whose jobs it takes.")] = tuple(Power)
    kinds: Annotated[
        tuple[str, ...],
        about("Kinds of job that this worker alone takes, and no others. Empty: all of its pool."),
    ] = ()

    @property
    def bodies(self) -> int:
        """How many bodies it runs at once, at most."""
        return self.concurrency or (THREADS if self.pool is WorkerPool.THREADS else 1)

    @property
    def takes(self) -> Pool:
        """The kinds of job that it takes."""
        return self.pool.takes


def check(entries: tuple[WorkerEntry, ...]) -> None:
    """Raise ConfigError, naming the key, where the list of workers contradicts itself."""
    names: set[str] = set()
    owners: dict[str, str] = {}
    for number, entry in enumerate(entries):
        key = f"workers[{number}]"
        if entry.name in names:
            raise ConfigError(f"{key}.name", entry.name, "another worker of the list has this name: give each its own")
        names.add(entry.name)
        if entry.pool is WorkerPool.MAIN and entry.bodies != 1:
            raise ConfigError(f"{key}.concurrency", entry.bodies, "a worker of the pool main runs one body: 1")
        if not entry.classes:
            raise ConfigError(f"{key}.classes", [], f"at least one of {', '.join(Power)}")
        for kind in entry.kinds:
            if kind in owners:
                raise ConfigError(f"{key}.kinds", kind, f"the worker {owners[kind]!r} takes this kind already")
            owners[kind] = entry.name
