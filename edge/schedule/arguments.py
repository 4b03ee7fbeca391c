"""Finds and replaces arguments that stand for the result of another job: `{"$result": "ID"}`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edge.core.values import JsonValue

NAME = "$result"


def result_of(value: JsonValue) -> str | None:
    """Return the id of the job whose result `value` stands for, or None if `value` is an ordinary value."""
    if isinstance(value, dict) and len(value) == 1 and isinstance(job_id := value.get(NAME), str):
        return job_id
    return None


def results_in(value: JsonValue) -> Iterator[str]:
    """Yield the id of each `{"$result": ID}` in `value`, at any depth."""
    left = [value]
    while left:
        each = left.pop()
        if (job_id := result_of(each)) is not None:
            yield job_id
        elif isinstance(each, dict):
            left.extend(each.values())
        elif isinstance(each, list):
            left.extend(each)


def with_results(value: JsonValue, result: Callable[[str], JsonValue]) -> JsonValue:
    """Return a copy of `value` in which each `{"$result": ID}` is replaced by `result(ID)`."""
    if (job_id := result_of(value)) is not None:
        return result(job_id)
    if isinstance(value, dict):
        return {name: with_results(each, result) for name, each in value.items()}
    if isinstance(value, list):
        return [with_results(each, result) for each in value]
    return value
