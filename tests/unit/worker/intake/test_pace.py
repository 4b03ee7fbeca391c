"""A queue delivers more at a time only while its jobs are short, and few if others consume it too."""

from __future__ import annotations

from edge.worker.intake.pace import FEW, MANY, ONE, Pace


def _short(pace: Pace, count: int = 4) -> Pace:
    for _ in range(count):
        pace.began("q", short=True)
    return pace


def test_a_queue_gives_many_after_some_short_jobs_in_a_row() -> None:
    """It does not before, and short jobs of another queue do not count."""
    pace = _short(Pace(), 3)
    assert pace.prefetch("q") == ONE
    pace.began("q", short=True)
    assert (pace.prefetch("q"), pace.prefetch("other")) == (MANY, ONE)


def test_one_long_job_ends_the_row() -> None:
    """The messages in hand wait for it, and no other worker can run them."""
    pace = _short(Pace())
    pace.began("q", short=False)
    assert pace.prefetch("q") == ONE
    assert _short(pace, 3).prefetch("q") == ONE


def test_a_queue_that_others_consume_gives_few() -> None:
    """This holds while they consume it."""
    pace = _short(Pace())
    pace.counted("q", 2)
    assert pace.prefetch("q") == FEW
    pace.counted("q", 1)
    assert pace.prefetch("q") == MANY


def test_a_worker_that_takes_one_at_a_time_does() -> None:
    """The duration of its jobs does not matter."""
    assert _short(Pace(most=1), 50).prefetch("q") == ONE
