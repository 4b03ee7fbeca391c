"""Arguments that are the result of another job: `{"$result": "ID"}` stands for its value."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edge.core.values import JsonValue

NAME = "$result"


def result_of(value: JsonValue) -> str | None:
    """Return the id of the job whose result `value` stands for; None where `value` is an ordinary value."""
    if isinstance(value, dict) and len(value) == 1 and isinstance(job_id := value.get(NAME), str):
        return job_id
    return None


def results_in(value: JsonValue) -> Iterator[str]:
    """The ids of all jobs whose results stand in `value`, at any depth."""
    left = [value]
    while left:
        each = left.pop()
        if (job_id := result_of(each)) is not None:
            yield job_id
        elif isinstance(each, dict):
            left.extend(each.values())
        elif isinstance(each, list):
            left.extend(each)


def with_results(value: JsonValue, given: Callable[[str], JsonValue]) -> JsonValue:
    """Return a copy of `value` in which what `given` returns for an id stands in place of each `{"$result": ID}`."""
    if (job_id := result_of(value)) is not None:
        return given(job_id)
    if isinstance(value, dict):
        return {name: with_results(each, given) for name, each in value.items()}
    if isinstance(value, list):
        return [with_results(each, given) for each in value]
    return value
