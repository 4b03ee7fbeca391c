"""A time on the command line becomes RFC 3339, in the zone of this computer unless it says which."""

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
    """Today if it is still to come, else tomorrow."""
    wanted = datetime.now().astimezone() + ahead
    at = instant(moment(wanted.strftime("%H:%M")))
    assert 0 < at - time.time() <= 25 * 3600
    assert datetime.fromtimestamp(at).astimezone().strftime("%H:%M") == wanted.strftime("%H:%M")


def test_a_date_is_of_this_computers_zone() -> None:
    """And one with an offset goes to the board as it is."""
    local = datetime(2030, 1, 2, 3, 4).astimezone()
    assert instant(moment("2030-01-02 03:04")) == local.timestamp()
    assert moment("2030-01-02T03:04:00Z") == "2030-01-02T03:04:00Z"


@pytest.mark.parametrize("text", ["25:00", "12:60", "2030-02-30 10:00", "tomorrow", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    """Here, where the person sits."""
    with pytest.raises(click.BadParameter, match="is no time"):
        moment(text)
