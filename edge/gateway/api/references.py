"""Resolves references between the lines of a batch: `"ref": "a"` names a line, `"after": ["a"]` refers to it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edge.core.errors import EdgeError, UsageError
from edge.core.values import JsonValue
from edge.ledger.rows import NewJob
from edge.schedule import dependencies
from edge.schedule.arguments import NAME, with_results

Line = NewJob | EdgeError


def linked(lines: Sequence[Line], refs: Sequence[str]) -> tuple[list[Line], list[int]]:
    """Replace names of lines by the ids of their jobs, and refuse lines that cannot be accepted.

    Args:
        lines: the job of each line, or its error.
        refs: the name of each line, or an empty text for a line without a name.

    Returns:
        The lines, and the numbers (from 0) of the lines that are jobs. Each job comes after the jobs it waits for.
    """
    found, places = list(lines), dict[str, int]()
    for number, ref in enumerate(refs):
        if ref and places.setdefault(ref, number) != number:
            found[number] = UsageError(f"ref {ref!r}: line {places[ref] + 1} has it already")
    parents = {
        number: [places[name] for name in job.later.after if name in places] if places and job.later is not None else []
        for number, job in enumerate(found)
        if isinstance(job, NewJob)
    }
    order, circle = dependencies.order(parents) if places else (list(parents), [])
    for number in circle:
        found[number] = UsageError("after: this line waits for itself, directly or through other lines")
    for number in order:
        job = found[number]
        if not isinstance(job, NewJob) or not parents[number]:
            continue
        refused = next((each for each in parents[number] if not isinstance(found[each], NewJob)), None)
        found[number] = (
            _named(job, {ref: found[place] for ref, place in places.items()})
            if refused is None
            else UsageError(f"after: line {refused + 1}, {refs[refused]!r}, was refused")
        )
    return found, [number for number in order if isinstance(found[number], NewJob)]


def _named(job: NewJob, places: dict[str, Line]) -> NewJob:
    """Return `job` with the names of other lines replaced by the ids of their jobs."""

    def id_of(name: str) -> str:
        line = places.get(name)
        return line.id if isinstance(line, NewJob) else name

    def value_of(name: str) -> JsonValue:
        return {NAME: id_of(name)}

    later = job.later
    if later is None:
        return job
    return msgspec.structs.replace(
        job,
        later=msgspec.structs.replace(later, after=tuple(map(id_of, later.after))),
        args=with_results(job.args, value_of) if later.results else job.args,
        kwargs=with_results(job.kwargs, value_of) if later.results else job.kwargs,
    )
