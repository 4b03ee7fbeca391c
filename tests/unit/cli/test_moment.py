"""A time on the command line becomes RFC 3339. Without an offset it is in this computer's time zone."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import click
import pytest

from edge.cli.moment import Moment
from edge.core import rfc3339


def instant(text: str) -> float:
    return rfc3339.parsed(text, name="x").timestamp()


def moment(text: str) -> str:
    return Moment().convert(text, None, None)


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(minutes=-5)])
def test_a_time_of_the_day_is_the_next_one(ahead: timedelta) -> None:
    """A time of day is the next one: today if it is still to come, else tomorrow."""
    wanted = datetime.now().astimezone() + ahead
    at = instant(moment(wanted.strftime("%H:%M")))
    assert 0 < at - time.time() <= 25 * 3600
    assert datetime.fromtimestamp(at).astimezone().strftime("%H:%M") == wanted.strftime("%H:%M")


def test_a_date_is_of_this_computers_zone() -> None:
    """A date without an offset is in this computer's time zone. A time with an offset is passed on unchanged."""
    local = datetime(2030, 1, 2, 3, 4).astimezone()
    assert instant(moment("2030-01-02 03:04")) == local.timestamp()
    assert moment("2030-01-02T03:04:00Z") == "2030-01-02T03:04:00Z"


@pytest.mark.parametrize("text", ["25:00", "12:60", "2030-02-30 10:00", "tomorrow", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    """Text that is not a time is refused by the command itself, without a request to the board."""
    with pytest.raises(click.BadParameter, match="is not a time"):
        moment(text)
