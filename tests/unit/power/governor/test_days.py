"""Tests of the summaries of days: kept over restarts, limited in number, and none without a trusted clock."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from edge.model import PowerState
from edge.power import series
from edge.power.governor.days import Day, Days
from tests.unit.power.readings import charge


class TestDays:
    def test_a_day_is_summed_up_and_goes_on_after_a_restart(self, tmp_path: Path) -> None:
        """Seconds in each state, falls, ranges; a new governor adds to the same day."""
        noon = 1_800_000_000.0
        days = Days(tmp_path)
        for n, (state, percent) in enumerate([("normal", 50), ("normal", 40), ("low", 29), ("low", 30)]):
            days.add(n * 10.0, noon + n * 10.0, PowerState(state), (charge(percent),))
        days.flush()
        days = Days(tmp_path)
        days.add(100.0, noon + 100.0, PowerState.LOW, (charge(31),))
        days.flush()
        (file,) = tmp_path.iterdir()
        day = msgspec.json.decode(file.read_bytes(), type=Day)
        assert (day.seconds, day.falls) == ({"normal": 20.0, "low": 10.0}, 1)
        assert (day.ranges["battery/charge"].low, day.ranges["battery/charge"].high) == (29, 50)
        assert day.ranges["battery/charge"].count == 5

    def test_the_time_around_midnight_belongs_to_its_day(self, tmp_path: Path) -> None:
        """The last quarter of an hour of the old day is whole, although the next sample came in the new one."""
        midnight = time.mktime((2027, 1, 16, 0, 0, 0, 0, 0, -1))
        days = Days(tmp_path)
        for n in range(21):
            at = n * 290.0
            days.add(at, midnight - 3000.0 + at, PowerState.NORMAL, (charge(50),))
        days.flush()
        old, new = (msgspec.json.decode((tmp_path / f"2027-01-{day}.json").read_bytes(), type=Day) for day in (15, 16))
        assert (old.seconds, new.seconds) == ({"normal": 3000.0}, {"normal": 2800.0})
        assert old.slots[int(midnight) - 900].seconds == {"normal": 900.0}
        slots = series.read(tmp_path, tmp_path / "none", first=midnight - 3600, last=midnight + 3600)
        assert sum(slot.seconds["normal"] for slot in slots.values()) == 5800.0

    def test_an_unset_clock_belongs_to_no_day(self, tmp_path: Path) -> None:
        """A sample at 1970 makes no file."""
        days = Days(tmp_path)
        days.add(0.0, None, PowerState.NORMAL, (charge(50),))
        days.flush()
        assert list(tmp_path.iterdir()) == []

    def test_a_day_that_cannot_be_written_is_reported_once(self, tmp_path: Path) -> None:
        """If the card is read-only at midnight, that day is lost, and later samples raise no error."""
        folder = tmp_path / "days"
        folder.write_text("in the way")
        days, noon = Days(folder), 1_800_000_000.0
        days.add(0.0, noon, PowerState.NORMAL, (charge(50),))
        with pytest.raises(OSError, match="days"):
            days.add(86_400.0, noon + 86_400.0, PowerState.NORMAL, (charge(50),))
        days.add(86_410.0, noon + 86_410.0, PowerState.NORMAL, (charge(50),))

    def test_old_days_go(self, tmp_path: Path) -> None:
        """Only as many days as configured stay."""
        days = Days(tmp_path, keep=2)
        for n in range(4):
            days.add(n * 86_400.0, 1_800_000_000.0 + n * 86_400.0, PowerState.NORMAL, (charge(50),))
        days.flush()
        assert len(list(tmp_path.iterdir())) == 2

    @pytest.mark.parametrize(
        "content",
        [
            '{"date": "DATE", "more": ' + "[" * 100_000,
            '{"date": "2001-01-01", "falls": 3}',
            '{"date": "../../up"}',
            "",
            "[]",
        ],
    )
    def test_a_damaged_file_of_today_is_begun_anew(self, tmp_path: Path, content: str) -> None:
        """The governor ended at each start, or wrote a file for each sample."""
        folder, noon = tmp_path / "power" / "days", 1_800_000_000.0
        folder.mkdir(parents=True)
        date = time.strftime("%Y-%m-%d", time.localtime(noon))
        (folder / f"{date}.json").write_text(content.replace("DATE", date))
        days = Days(folder)
        for n in range(3):
            days.add(n * 10.0, noon + n * 10.0, PowerState.NORMAL, (charge(50),))
        days.flush()
        (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
        day = msgspec.json.decode(file.read_bytes(), type=Day)
        assert (day.date, day.falls, day.seconds) == (date, 0, {"normal": 20.0})

    def test_the_copy_in_tmpfs_is_never_older_than_the_summary(self, tmp_path: Path) -> None:
        """Plots and statement prefer the copy, which was up to 5 min older after a clean stop of the governor."""
        noon, shown = 1_800_000_000.0, tmp_path / "today.json"
        days = Days(tmp_path / "days", shown=shown)
        for n in range(3):
            days.add(n * 10.0, noon + n * 10.0, PowerState.NORMAL, (charge(50),))
        days.flush()
        (file,) = (tmp_path / "days").iterdir()
        assert shown.read_bytes() == file.read_bytes()
