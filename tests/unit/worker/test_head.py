"""Results of a board without a broker: each worker keeps its own until the head has them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from edge.layout import Layout
from edge.model import JobState, Result
from edge.worker.head import Head, HeadResults


class Taker:
    """Stands where the head does; remembers what it was handed."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, ...]] = []

    def put(self, *path: str, **_: object) -> None:
        """As the head's."""
        self.taken.append(path)


def test_a_worker_that_starts_leaves_the_files_of_another_alone(tmp_path: Path) -> None:
    """They were gone from its result, in silence; what it left itself, a crash ago, goes."""
    layout, head = Layout(tmp_path / "state", tmp_path / "run"), Taker()
    first, second = (HeadResults(layout, cast("Head", head), name) for name in ("one", "two"))
    staging, stale = first.stage("job-1"), second.stage("job-2")
    staging.file("digits.txt").write_text("3628800")
    stale.file("digits.txt").write_text("36")
    second.recover()
    first.publish(Result("job-1", "factorial", JobState.SUCCEEDED), staging)
    assert head.taken == [("jobs", "job-1", "files", "digits.txt"), ("jobs", "job-1", "result")]
    assert [path.name for path in layout.results.rglob("*") if path.is_file()] == []
