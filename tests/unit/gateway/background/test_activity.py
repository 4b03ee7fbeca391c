"""The counts of jobs that started, ended and waited: each job counts once, restarts keep them, files are bounded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.gateway.background.activity import Activity
from edge.model import Failure, FailureCode, JobState, Result
from edge.power.series import SLOT_S, slot_of

_FAILURE = Failure(FailureCode.EXCEPTION, "x")


def result(job_id: str, state: JobState = JobState.SUCCEEDED, *, ago_s: float = 0.0, took_s: float = 1.0) -> Result:
    """Return the result of a job that ended some time ago."""
    now = time.time() - ago_s
    failure = None if state is JobState.SUCCEEDED else _FAILURE
    return Result(job_id, "echo", state, failure=failure, started_at=now - took_s, finished_at=now)


def run(folder: Path, work: Callable[[Activity], None], *, open_jobs: int = 0) -> None:
    """Call `work` with the counts of a gateway, then stop the gateway."""

    async def go() -> None:
        activity = Activity(folder, open_jobs=lambda: open_jobs)
        work(activity)
        await activity.stop()

    asyncio.run(go())


def counts(folder: Path, *, hours: float = 48) -> list[int]:
    """Return the numbers of started, succeeded, failed and cancelled jobs over all slots."""
    slots = Activity(folder, open_jobs=lambda: 0).slots(first=time.time() - hours * 3600, last=time.time() + 60)
    return [
        sum(getattr(slot, name) for slot in slots.values()) for name in ("started", "succeeded", "failed", "cancelled")
    ]


def test_what_ended_is_counted_and_kept(tmp_path: Path) -> None:
    """Ended jobs are counted by their state, and a second gateway adds to the counts of the first."""
    states = [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED]
    run(tmp_path, lambda activity: activity.ended(result(f"a{n}", state) for n, state in enumerate(states)))
    run(tmp_path, lambda activity: activity.ended([result("b")]))
    assert counts(tmp_path) == [4, 2, 1, 1]


def test_a_start_counts_when_it_was(tmp_path: Path) -> None:
    """A start is counted in the slot of its time, even if that was on the day before the end."""
    run(tmp_path, lambda activity: activity.ended([result("a", took_s=86_400.0)]))
    slots = Activity(tmp_path, open_jobs=lambda: 0).slots(first=time.time() - 2 * 86_400, last=time.time())
    (first, started), (last, ended) = ((at, slot) for at, slot in slots.items() if slot.started or slot.succeeded)
    assert last - first in (86_400 - SLOT_S, 86_400, 86_400 + SLOT_S)
    assert (started.started, ended.succeeded) == (1, 1)


def test_a_result_that_is_announced_again_counts_once(tmp_path: Path) -> None:
    """A second announcement of a result is not counted: a worker that gets a copy of a message makes one."""

    def work(activity: Activity) -> None:
        activity.ended([result("a")])
        activity.ended([result("a")])

    run(tmp_path, work)
    assert counts(tmp_path) == [1, 1, 0, 0]


@pytest.mark.parametrize("ago_s", [1.79e9, -1e9, 40 * 86_400.0])
def test_a_job_with_the_time_of_a_wrong_clock_makes_no_file(tmp_path: Path, ago_s: float) -> None:
    """A job that ended in 1970, in the future or too long ago is not counted. Only today's backlog is written."""
    run(tmp_path, lambda activity: activity.ended([result("a", ago_s=ago_s)]))
    assert counts(tmp_path, hours=24 * 50) == [0, 0, 0, 0]
    assert [path.stem for path in tmp_path.iterdir()] == [time.strftime("%Y-%m-%d", time.gmtime())]


def test_the_backlog_is_the_last_and_the_largest(tmp_path: Path) -> None:
    """A slot keeps the last and the largest number of open jobs, which are taken at each change."""
    numbers = iter([5, 9, 2])

    async def go() -> None:
        activity = Activity(tmp_path, open_jobs=lambda: next(numbers))
        for _ in range(2):
            activity.accepted()
        activity.ended([result("a")])
        slots = activity.slots(first=slot_of(time.time()) - SLOT_S, last=time.time())
        last = list(slots.values())[-1]
        assert (last.backlog, max(slot.most for slot in slots.values())) == (2, 9)
        await activity.stop()

    asyncio.run(go())


def test_nothing_is_timed_or_written_while_nothing_happens(tmp_path: Path) -> None:
    """Without changes there is no file and no timer. After a change there is one timer, however many jobs end."""

    def work(activity: Activity) -> None:
        activity.ended([])
        activity.accepted()
        timer = activity._timer
        assert timer is not None
        activity.ended(result(str(n)) for n in range(100))
        assert activity._timer is timer
        assert list(tmp_path.iterdir()) == []

    run(tmp_path / "none", lambda activity: None)
    assert not (tmp_path / "none").exists()
    run(tmp_path, work)
    assert len(list(tmp_path.iterdir())) >= 1


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b'{"slots": {"900": ["x"]}}', b"\xff", b'{"slots": {"901": [1]}}'),
        f'{{"slots": {{"{slot_of(time.time())}": [{"9" * 400}]}}}}'.encode(),
    ],
    ids=range(7),
)
def test_an_odd_file_costs_what_it_held(tmp_path: Path, content: bytes) -> None:
    """A damaged file counts as empty, and the next write replaces it."""
    path = tmp_path / f"{time.strftime('%Y-%m-%d', time.gmtime())}.json"
    path.write_bytes(content)
    run(tmp_path, lambda activity: activity.ended([result("a", took_s=0.0)]))
    assert counts(tmp_path) == [1, 1, 0, 0]


def test_old_files_go(tmp_path: Path) -> None:
    """The files farthest from now are removed, including those in the future that a wrong clock left."""
    for year in range(2030, 2090):
        (tmp_path / f"{year}-01-01.json").write_text("{}")
    run(tmp_path, lambda activity: activity.ended([result("a", took_s=0.0)]))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 40
    assert names[0].startswith(time.strftime("%Y", time.gmtime()))


def test_a_card_that_takes_no_writes_stops_nothing(tmp_path: Path) -> None:
    """A disk that refuses writes does not stop the gateway; the plot gets a gap."""
    (tmp_path / "activity").write_text("in the way")
    run(tmp_path / "activity", lambda activity: activity.ended([result("a")]))
