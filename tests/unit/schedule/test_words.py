"""Descriptions of schedules in plain words."""

from __future__ import annotations

import pytest

from edge.schedule import words
from edge.schedule.cron import Cron
from edge.schedule.zone import zone


@pytest.mark.parametrize(
    ("expression", "description"),
    [
        ("30 2 * * *", "every day at 02:30"),
        ("0 8,20 * * *", "every day at 08:00 and 20:00"),
        ("0 8 * * MON-FRI", "every Monday to Friday at 08:00"),
        ("0 8 * * 0,7,3", "every Sunday and Wednesday at 08:00"),
        ("0 0 1,15 * *", "every month on day 1 and 15 at 00:00"),
        ("0 9 L * *", "every month on the last day at 09:00"),
        ("@yearly", "every year on 1 January at 00:00"),
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("@hourly", "every hour"),
        ("7 * * * *", "every hour at minute 7"),
        ("0 0 * * 5#2", "at 00:00 on the second Friday of the month"),
    ],
)
def test_an_expression_in_words(expression: str, description: str) -> None:
    assert words.of_cron(Cron(expression, zone("UTC"))) == description


@pytest.mark.parametrize(
    ("every_s", "description"),
    [(1, "every second"), (90, "every 90 seconds"), (600, "every 10 minutes"), (86_400, "every day")],
)
def test_an_interval_in_words(every_s: int, description: str) -> None:
    assert words.of_interval(every_s) == description
