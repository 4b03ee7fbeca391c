"""Finds pairs of a kind of job and a power class that no worker of this board takes."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from edge.broker.routes import Routes
from edge.catalog.catalogue import Catalogue
from edge.config import Config, WorkerEntry
from edge.model import Pool, Power


def gaps(config: Config, catalogue: Catalogue) -> tuple[str, ...]:
    """Return one sentence for each gap, with the change that closes it. The board starts although it has gaps."""
    routes = Routes.of(config, {kind: info.pool for kind, info in catalogue.tasks.items()})
    return tuple(dict.fromkeys((*_of_list(config, catalogue), *_of_kinds(routes, catalogue))))


def _of_list(config: Config, catalogue: Catalogue) -> Iterator[str]:
    """Yield a sentence for each entry in the list of workers that does not fit the kinds of job."""
    names = [worker.name for worker in config.workers]
    if names and config.worker.name not in names:
        yield (
            f"worker.name {config.worker.name} is not in `workers`, so edge-worker.service would take all kinds of "
            f"pool main; set worker.name to one of {', '.join(names)}"
        )
    for worker in config.workers:
        for kind in worker.kinds:
            if fault := _kind(worker, kind, catalogue):
                yield f"worker {worker.name}: {fault}"


def _kind(worker: WorkerEntry, kind: str, catalogue: Catalogue) -> str:
    info = catalogue.tasks.get(kind)
    if info is None:
        if catalogue.errors:
            return ""  # the kind may be in a module that could not be imported
        near = difflib.get_close_matches(kind, catalogue.tasks, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(catalogue.tasks)) or 'none'}"
        return f"there is no kind of job {kind!r}; {hint}"
    if info.pool is worker.takes:
        return ""
    if info.pool is Pool.IO:
        return f"{kind} has pool io and would run one at a time; move it to the `kinds` of a worker of pool threads"
    return (
        f"{kind} has pool main and would run at the same time as other jobs; "
        'declare it with @task(pool="io"), or move it to the `kinds` of a worker of pool main'
    )


def _of_kinds(routes: Routes, catalogue: Catalogue) -> Iterator[str]:
    """Yield a sentence for each group of jobs that would wait forever, because no worker takes them."""
    for kind, info in sorted(catalogue.tasks.items()):
        if gap := routes.missing_worker_reason(kind, info.power):
            yield f"{gap}; {_remedy(gap)}"
    ordinary = [kind for kind in sorted(catalogue.tasks) if not routes.owners.get(kind)]
    for pool in Pool:
        some = next((each for each in ordinary if (each in routes.io) is (pool is Pool.IO)), None)
        for power in Power:
            if some is not None and (gap := routes.missing_worker_reason(some, power)):
                yield f"{gap}; {_remedy(gap)}"


def _remedy(gap: str) -> str:
    if "is configured" in gap:
        return "add {name: io, pool: threads} to `workers`"
    return "add the class to the `classes` of a worker"
