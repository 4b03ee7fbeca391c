"""The zone of a schedule is read in one way, or refused."""

from __future__ import annotations

import pytest

from edge.core.errors import UsageError
from edge.model import Schedule
from edge.schedule.timetable import Timetable


def test_an_empty_zone_is_no_zone() -> None:
    """An empty zone may come from a template without its value. The zone of the board could be a wrong guess."""
    with pytest.raises(UsageError, match=r"^timezone '': expected the name of a zone"):
        Timetable(Schedule("echo", cron="@daily", timezone=""))


def test_the_stored_zone_counts_if_none_is_submitted() -> None:
    """This includes a schedule that was stored with an empty zone."""
    for asked in (None, ""):
        assert (
            Timetable(Schedule("echo", cron="@daily", timezone=asked), timezone="Asia/Tokyo").zone.key == "Asia/Tokyo"
        )
