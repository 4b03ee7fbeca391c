"""Messages of plain Celery that must wait become jobs of the ledger; others are refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from hypothesis import given
from hypothesis import strategies as st

from edge.core.errors import UsageError
from edge.model import Power, SpawnedJob
from edge.worker.attempt.deferred import deferred_jobs, with_kinds

SCALARS = st.none() | st.booleans() | st.integers() | st.text()
WORDS = st.sampled_from(["task", "args", "options", "task_id", "kwargs", "subtask_type"]) | st.text()
app = Celery("plain", set_as_current=False)


@app.task(name="add")  # type: ignore[untyped-decorator] # Celery's own
def add(a: int, b: int) -> int:
    """Never run here."""
    return a + b


def read(headers: dict[str, Any] | None = None, embed: dict[str, Any] | None = None) -> tuple[SpawnedJob, ...]:
    return deferred_jobs(headers or {}, {}, embed or {}, job_id="first", task="add", args=[1, 2], kwargs={})


def steps(*signatures: Any) -> list[Any]:
    """Return the later steps of a chain, as Celery puts them into the message of the first step."""
    for number, signature in enumerate(signatures):
        signature.set(task_id=f"step-{number}")
    found: list[Any] = json.loads(json.dumps(signatures[::-1]))
    return found


def test_an_ordinary_message_is_for_now() -> None:
    """The gateway gets no job."""
    assert read({"eta": None}, {"chain": None}) == ()


@pytest.mark.parametrize("eta", ["2030-01-01T00:00:00+00:00", "2030-01-01T00:00:00", "2030-01-01T01:00:00.5+01:00"])
def test_an_eta_becomes_a_time(eta: str) -> None:
    """Without an offset it is in UTC, as in Celery."""
    (job,) = read({"eta": eta})
    assert (job.id("x"), job.task, job.args) == ("first", "add", [1, 2])
    assert job.not_before is not None
    assert job.not_before.startswith("2030-01-01T0")
    assert job.not_before[-1] in "Z0"


def test_a_chain_becomes_jobs_after_one_another() -> None:
    """Each step gets the result of the step before, unless it is immutable."""
    first, second, third = read(embed={"chain": steps(add.s(10), add.si(3, 4))})
    assert (first.own_id, first.after) == ("first", None)
    assert (second.own_id, second.after, second.args) == ("step-0", ("first",), [{"$result": "first"}, 10])
    assert (third.own_id, third.after, third.args) == ("step-1", ("step-0",), [3, 4])


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (group(add.s(1), add.s(2)), "a group inside a chain"),
        (chord([add.s(1)], add.s(2)), "a chord is not run here"),
        (chain(add.s(1), add.s(2)), "a chain"),
        (add.s(1).set(countdown=5), "for a later step of a chain"),
        (add.s(1).set(link=[add.s(3)]), "no callbacks"),
    ],
)
def test_what_has_no_meaning_here_is_refused(step: Any, says: str) -> None:
    """The error gives the reason."""
    with pytest.raises(UsageError, match=says):
        read(embed={"chain": steps(step)})


@given(value=st.recursive(SCALARS, lambda each: st.lists(each) | st.dictionaries(WORDS, each)))
def test_any_other_chain_is_refused_in_one_line(value: Any) -> None:
    """A stranger may publish any message."""
    jobs, said = tuple[SpawnedJob, ...](), ""
    try:
        jobs = read(embed={"chain": value})
    except UsageError as err:
        said = str(err)
    assert len(said) < 1000
    assert all(job.own_id for job in jobs)


def test_the_first_one_keeps_the_class_of_its_queue() -> None:
    """The other jobs have the class of their kind, or `normal` if the kind is not known."""
    jobs = with_kinds(read(embed={"chain": steps(add.s(1))}), {}, power=Power.ALWAYS)
    assert [job.power for job in jobs] == [Power.ALWAYS, Power.NORMAL]
