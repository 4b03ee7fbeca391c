"""The list `workers` of `edge.yaml`: the worker processes of a board."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from edge.config.about import about
from edge.config.scaling import MOST, ScaleConfig
from edge.core.errors import ConfigError
from edge.model import Pool, Power, WorkerPool

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z",
        description="1 to 32 letters, digits, `_` or `-`; the first is a letter or digit",
    ),
]
#: Longest name of a scaled entry. The name of its process has a hyphen and two digits more, and 32 characters at most.
_LONGEST_SCALED = 29
#: Default of `concurrency` in a worker of threads.
THREADS = 100
#: Name of the worker of threads on a board whose configuration lists no workers.
IO_NAME = "io"


class WorkerEntry(ScaleConfig, frozen=True, forbid_unknown_fields=True):
    """One worker process of the board, or several equal ones if `max` is given."""

    name: Annotated[Name, about("Names the worker in `edge status` and its unit, edge-worker@NAME.", example="io")]
    pool: Annotated[
        WorkerPool,
        about("main: one body at a time, for kinds of pool `main`; threads: many at once, for kinds of pool `io`."),
    ] = WorkerPool.MAIN
    concurrency: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | None,
        about("Bodies at once: 1 in the pool `main`, 1 to 1000 in `threads`. null: 1, or 100 in `threads`."),
    ] = None
    classes: Annotated[tuple[Power, ...], about("The power classes whose jobs it takes.")] = tuple(Power)
    kinds: Annotated[
        tuple[str, ...],
        about(
            "Kinds of job that only this worker takes, and it takes no others. Empty: all kinds of its pool that no "
            "other worker names."
        ),
    ] = ()

    @property
    def bodies(self) -> int:
        """The largest number of bodies that it runs at once."""
        return self.concurrency or (THREADS if self.pool is WorkerPool.THREADS else 1)

    @property
    def takes(self) -> Pool:
        """The pool of the kinds of job that it takes."""
        return self.pool.takes


def instance(entry: WorkerEntry, number: int) -> str:
    """Return the name of one process of a scaled entry. `number` counts from 1."""
    return f"{entry.name}-{number}"


def entry_of(name: str, entries: Iterable[WorkerEntry]) -> WorkerEntry | None:
    """Return the entry of the worker `name`: the entry of that name, or the scaled entry of the process; else None."""
    for entry in entries:
        if name == entry.name:
            return entry
    base, _, number = name.rpartition("-")
    if not number.isascii() or not number.isdecimal() or not 1 <= int(number) <= MOST or number.startswith("0"):
        return None
    return next((entry for entry in entries if entry.scaled and entry.name == base), None)


def planned(entries: tuple[WorkerEntry, ...], *, name: str, io: bool) -> tuple[WorkerEntry, ...]:
    """Return the workers that a board must run: the entries of the list, or the default workers if it is empty.

    Args:
        entries: the list.
        name: name of the main worker if the list is empty. If it is `IO_NAME` and `io` is True, the
            worker of threads is the only worker.
        io: True to add a worker of threads (`IO_NAME`) if the list is empty.
    """
    if entries:
        return entries
    threads = (WorkerEntry(IO_NAME, WorkerPool.THREADS),) if io else ()
    return threads if name == IO_NAME and io else (WorkerEntry(name), *threads)


def check(entries: tuple[WorkerEntry, ...], *, running_job: str, node: bool) -> None:
    """Raise ConfigError, naming the key, if the list of workers contradicts itself or other keys.

    Args:
        entries: the list.
        running_job: the value of `worker.running_job`.
        node: True if this board is a node.
    """
    names: set[str] = set()
    owners: dict[str, str] = {}
    for number, entry in enumerate(entries):
        key = f"workers[{number}]"
        if entry.name in names:
            raise ConfigError(f"{key}.name", entry.name, "another worker of the list has this name: give each its own")
        names.add(entry.name)
        if entry.pool is WorkerPool.MAIN and entry.bodies != 1:
            raise ConfigError(
                f"{key}.concurrency", entry.bodies, "expected 1: a worker of the pool main runs one body at a time"
            )
        if not entry.classes:
            raise ConfigError(f"{key}.classes", [], f"expected at least one of {', '.join(Power)}")
        if entry.pool is WorkerPool.THREADS and running_job == "freeze":
            raise ConfigError(
                "worker.running_job",
                running_job,
                f"expected hold or finish: worker {entry.name!r} of pool threads cannot be frozen, its bodies share a "
                "process",
            )
        if entry.kinds and node:
            raise ConfigError(f"{key}.kinds", list(entry.kinds), "not on a node: its head decides where kinds go")
        entry.check_scale(key)
        if entry.scaled and len(entry.name) > _LONGEST_SCALED:
            raise ConfigError(
                f"{key}.name",
                entry.name,
                f"expected at most {_LONGEST_SCALED} characters, because NAME-1 names a process",
            )
        if len(set(entry.classes)) < len(entry.classes):
            raise ConfigError(f"{key}.classes", [str(each) for each in entry.classes], "expected each class once")
        for kind in entry.kinds:
            if kind in owners:
                other = "this worker" if owners[kind] == entry.name else f"the worker {owners[kind]!r}"
                raise ConfigError(f"{key}.kinds", kind, f"{other} takes this kind already")
            owners[kind] = entry.name
    for number, entry in enumerate(entries):
        scaled = entry_of(entry.name, [each for each in entries if each is not entry])
        if scaled is not None and not entry.scaled:
            raise ConfigError(
                f"workers[{number}].name",
                entry.name,
                f"a process of the worker {scaled.name!r} has this name: choose another",
            )


def check_name(name: str, entries: tuple[WorkerEntry, ...], *, origin: str) -> None:
    """Raise ConfigError if the file gives the main worker the name of the worker of threads.

    `origin` says where the name comes from. A variable `EDGE_*` may choose the worker of threads.
    """
    if name == IO_NAME and not entries and not origin.startswith("EDGE_"):
        raise ConfigError(
            "worker.name", name, "without a list of `workers` this is the worker of threads: choose another name"
        )
