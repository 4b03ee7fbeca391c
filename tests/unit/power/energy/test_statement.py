"""The statement of a month, also from damaged files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.cli.main import cli
from edge.core.errors import UsageError
from edge.core.layout import Layout
from edge.model import Energy, Metering, Took
from edge.power.energy import statement
from edge.power.energy.drawn import Drawn


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A board with the files of one day in November and one in December, and two damaged files."""
    layout = Layout(tmp_path / "root", tmp_path / "run")
    for folder in (layout.days, layout.activity):
        folder.mkdir(parents=True)
    drawn = [7200.0, 3600.0, 3600.0, 3600.0, 0.0, 86_400.0, 80_000.0, 0.0]
    took = [2, 100.0, 90.0, 3400.0, 100.0, 0.0, 1700.0, 1800.0, 0.0]
    (layout.days / "2026-11-03.json").write_text(json.dumps({"date": "2026-11-03", "drawn": drawn}))
    for date in ("2026-11-03", "2026-12-01"):
        receipts = {date: {"solve": {"laptop": took}, "=cmd": {"": [1, *[0.0] * 8]}}}
        (layout.activity / f"{date}.json").write_text(json.dumps({"slots": {}, "receipts": receipts}))
    (layout.activity / "2026-11-04.json").write_text('{"slots": {}, "receipts": 7')
    (layout.activity / "2026-11-05.json").write_text(
        json.dumps({"receipts": {"2026-11-05": {"a": {"b": [-1, 1e300]}}}})
    )
    return layout


def test_a_month_has_its_days_alone(layout: Layout) -> None:
    """The statement has only days of that month. Torn files and files with impossible numbers are left out."""
    made = statement.of_month(layout, "2026-11")
    assert [day.name for day in made.days] == ["2026-11-03"]
    day = made.days[0]
    assert (day.jobs, day.jobs_wh, day.measured_wh, day.idle_wh, day.board_wh) == (3, 0.9722, 0.9444, 1.0, 2.0)
    assert (day.sun_wh, day.battery_wh, day.left_percent) == (0.4722, 0.5, 1.4)
    assert [line.name for line in made.kinds] == ["solve", "=cmd"]
    assert [line.name for line in made.submitters] == ["laptop", ""]
    assert made.unreadable == ("activity/2026-11-04.json", "activity/2026-11-05.json")


def test_the_total_is_the_sum_of_its_days() -> None:
    """A day without a monitor has an estimated idle energy. Its jobs do not count against the energy of other days."""
    took = Took()
    took.add(Energy(10_000.0, 9000.0, 18_000.0, Metering.ESTIMATED))
    receipts = {f"2026-11-0{day}": {"solve": {"laptop": took}} for day in (1, 2, 3, 4)}
    drawn = {
        "2026-11-01": Drawn(joules=50_000.0, idle_joules=32_050.0, seconds=80_000.0, idle_seconds=70_000.0),
        "2026-11-02": Drawn(idle_seconds=70_000.0, unmeasured_seconds=80_000.0),
        "2026-11-03": Drawn(
            joules=20_000.0, idle_joules=20_000.0, seconds=40_000.0, idle_seconds=70_000.0, unmeasured_seconds=40_000.0
        ),
        "2026-11-04": Drawn(joules=100.0, seconds=60.0),
    }
    made = statement.made("2026-11", drawn, receipts, idle_watts=1.2)
    assert [day.left_percent for day in made.days] == [-0.1, None, None, None]
    assert made.total.left_percent == -0.1
    for name in ("jobs_wh", "idle_wh", "board_wh"):
        days = [getattr(day, name) for day in made.days]
        assert getattr(made.total, name) == pytest.approx(sum(day or 0.0 for day in days), abs=0.001)


@pytest.mark.parametrize(("today_s", "joules"), [(100.0, 7200.0), (90_000.0, 50.0)])
def test_of_today_the_newer_record_counts(layout: Layout, today_s: float, joules: float) -> None:
    """After a clean stop the copy in tmpfs was older than the summary of the day, and was used all the same."""
    layout.today.parent.mkdir(parents=True)
    drawn = [50.0, 50.0, 0.0, 0.0, 0.0, today_s, 0.0, 0.0]
    layout.today.write_text(json.dumps({"date": "2026-11-03", "drawn": drawn}))
    assert statement.of_month(layout, "2026-11").total.board_wh == pytest.approx(joules / 3600, abs=0.001)


@pytest.mark.parametrize(
    ("name", "cell"), [("\t=1", "'\t=1"), (" =1", "' =1"), ("-1", "'-1"), ("a-1", "a-1"), ("\r@x", "'\\x0d@x")]
)
def test_a_name_is_never_a_formula(layout: Layout, config: Path, name: str, cell: str) -> None:
    receipts = {"2026-11-09": {name: {"laptop": [1, *[0.0] * 8]}}}
    (layout.activity / "2026-11-09.json").write_text(json.dumps({"receipts": receipts}))
    argv = ["power", "statement", "--month", "2026-11", "--config", str(config), "--by", "kind", "--csv"]
    assert cell in [row[0] for row in csv.reader(CliRunner().invoke(cli, argv).stdout.splitlines())]


@pytest.mark.parametrize("month", ["2026-13", "2026", "../../x", "2026-11-01", ""])
def test_a_text_that_is_no_month_is_refused(layout: Layout, month: str) -> None:
    with pytest.raises(UsageError, match="expected a year and a month, such as 2026-11"):
        statement.of_month(layout, month)


def test_a_board_without_a_monitor_has_receipts_alone() -> None:
    """Without a power monitor there are only receipts. After a calibration, the idle energy is estimated."""
    took = Took()
    took.add(Energy(10.0, 9.0, 36.0, Metering.ESTIMATED))
    receipts = {"2026-11-03": {"solve": {"laptop": took}}}
    drawn = {"2026-11-03": Drawn(idle_seconds=3600.0, unmeasured_seconds=3600.0)}
    line = statement.made("2026-11", drawn, receipts).total
    assert (line.jobs_wh, line.idle_wh, line.board_wh) == (0.01, None, None)
    assert statement.made("2026-11", drawn, receipts, idle_watts=1.5).total.idle_wh == 1.5


@pytest.fixture
def config(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of a board whose gateway does not answer."""
    monkeypatch.setenv("EDGE_URL", "http://127.0.0.1:9")
    path = tmp_path / "edge.yaml"
    path.write_text(f"root: {layout.root}\nrun: {layout.run}\n")
    return path


def test_a_table_and_a_sheet(config: Path) -> None:
    """Without a gateway the command reads the files. A name that a spreadsheet would execute as a formula is quoted."""
    argv = ["power", "statement", "--month", "2026-11", "--config", str(config)]
    result = CliRunner().invoke(cli, argv)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[1].split() == [
        "2026-11-03",
        "3",
        "0.97",
        "0.94",
        "0.47",
        "0.50",
        "0.00",
        "1.00",
        "2.00",
        "1.4",
    ]
    assert result.stderr == "2 files are damaged and left out: activity/2026-11-04.json, activity/2026-11-05.json\n"
    result = CliRunner().invoke(cli, [*argv, "--by", "kind", "--csv"])
    assert result.stderr.startswith("2 files are damaged")
    assert result.stdout.splitlines() == [
        "kind,seconds,jobs,jobs_wh,measured_wh,sun_wh,battery_wh,mains_wh",
        "solve,100.0000,2,0.9722,0.9444,0.4722,0.5000,0.0000",
        "'=cmd,0.0000,1,0.0000,0.0000,0.0000,0.0000,0.0000",
    ]
    result = CliRunner().invoke(cli, [*argv, "--json"])
    assert json.loads(result.output)["total"]["jobs"] == 3


def test_a_bad_month_is_one_line(config: Path) -> None:
    result = CliRunner().invoke(cli, ["power", "statement", "--month", "november", "--config", str(config)])
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == "--month 'november': expected a year and a month, such as 2026-11"
