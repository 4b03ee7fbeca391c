"""`--when-awake` tries again until a sleeping board answers, for a limited time."""

from __future__ import annotations

import pytest

from edge.cli.jobs.awake import when_awake
from edge.core.errors import Asleep, Unreachable, UsageError


class Played:
    """Simulates a board that answers after some tries, and the time that passes meanwhile."""

    def __init__(self, *answers: Exception | str) -> None:
        self.answers, self.at, self.pauses = list(answers), 0.0, list[float]()

    def work(self) -> str:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.at += seconds

    def run(self, within_s: float) -> str:
        return when_awake(self.work, within_s=within_s, sleep=self.sleep, now=lambda: self.at)


def test_it_tries_again_until_the_board_answers(capsys: pytest.CaptureFixture[str]) -> None:
    """After `Asleep` the next try comes after 5 s, after no answer it comes after 30 s. A reason is written once."""
    away = Unreachable("cannot reach the gateway")
    played = Played(Asleep(awake_at=1_795_880_137.0), away, away, "taken")
    assert played.run(3600) == "taken"
    assert played.pauses == [5.0, 30.0, 30.0]
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 2
    assert printed[0].count("awake again") == 1
    assert "is awake again at 2026-11-28" in printed[0]
    assert printed[1] == "cannot reach the gateway; trying again for up to 60 min"


def test_it_gives_up_in_time() -> None:
    """After the given time the error is raised."""
    played = Played(Unreachable("away"))
    with pytest.raises(Unreachable, match="away"):
        played.run(75)
    assert played.pauses == [30.0, 30.0, 15.0]


def test_what_is_no_absence_is_told_at_once() -> None:
    """An error of a board that answers is raised at once."""
    played = Played(UsageError("no such task"))
    with pytest.raises(UsageError):
        played.run(3600)
    assert played.pauses == []
