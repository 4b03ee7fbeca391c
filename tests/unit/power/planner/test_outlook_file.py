"""The file with the forecast: what the gateway takes from it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edge.core.host import boot_id
from edge.power.forecast.outlook import Outlook, Step
from edge.power.planner import outlook_file
from edge.power.planner.records import BoardModel

VIEW = Outlook(1_796_000_400.0, 3600.0, (Step(0, 0, 0), Step(5, 10, 12)), days_learned=20)
REPORT = outlook_file.OutlookReport(boot_id(), VIEW, BoardModel(), 37.0, outlook_file.ForecastScores(20))


def test_what_the_governor_wrote_is_read(tmp_path: Path) -> None:
    for report in (REPORT, msgspec.structs.replace(REPORT, outlook=None)):
        outlook_file.write(tmp_path / "outlook.json", report)
        assert outlook_file.read(tmp_path / "outlook.json") == report


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(msgspec.structs.replace(REPORT, boot_id="another"), id="another boot"),
        pytest.param(msgspec.structs.replace(REPORT, battery_wh=-1.0), id="battery"),
        pytest.param(msgspec.structs.replace(REPORT, board=BoardModel(busy_w=1e300)), id="board"),
        pytest.param(msgspec.structs.replace(REPORT, outlook=Outlook(0.0, 0.0, (Step(0, 0, 0),))), id="no step"),
        pytest.param(msgspec.structs.replace(REPORT, outlook=Outlook(0.0, 1e300, (Step(0, 0, 0),))), id="no end"),
        pytest.param(msgspec.structs.replace(REPORT, outlook=Outlook(0.0, 3600.0, (Step(0, -5, 0),))), id="watts"),
    ],
)
def test_numbers_that_no_board_has_are_left_out(tmp_path: Path, report: outlook_file.OutlookReport) -> None:
    """A step of 0 s would be an error for each submit, and a forecast without an end a loop."""
    outlook_file.write(tmp_path / "outlook.json", report)
    assert outlook_file.read(tmp_path / "outlook.json") is None
