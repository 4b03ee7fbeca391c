"""Tests of the means for each quarter of an hour: kept over restarts, limited in number, and safe to read."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core import durable
from edge.model import PowerState, Reading
from edge.power import series
from edge.power.governor.days import Days
from edge.power.series import MOST_SLOTS, SLOT_S
from tests.unit.power.readings import charge

_NOON = 1_800_000_000.0 // SLOT_S * SLOT_S
_NOWHERE = Path("/nowhere")


def days_of(folder: Path) -> Days:
    """Return summaries of days as the governor uses them, with a copy of today's file."""
    return Days(folder, shown=folder.parent / "today.json")


def found(folder: Path, *, newest: Path = _NOWHERE, hours: float = 24) -> dict[int, series.PowerSlot]:
    """Return all slots around noon."""
    return series.read(folder, newest, first=_NOON - hours * 3600, last=_NOON + hours * 3600)


def test_samples_become_means_and_seconds(tmp_path: Path) -> None:
    """A sample counts in its own slot. The time between two samples counts in each slot that it covers."""
    folder = tmp_path / "days"
    days = days_of(folder)
    for n, percent in enumerate([50, 40, 30]):
        state = PowerState.LOW if percent == 30 else PowerState.NORMAL
        days.add(n * 600.0, _NOON + n * 600.0, state, (charge(percent), Reading("r", "watts", n + 1.0, "W")))
    days.flush()
    first, second = found(folder).values()
    assert (first.charge.value, first.watts.value, first.seconds) == (45.0, 1.5, {"normal": 900.0})
    assert (second.charge.value, second.seconds, second.temperature.value) == (30.0, {"normal": 300.0}, None)


def test_a_restarted_governor_goes_on_in_the_same_slot(tmp_path: Path) -> None:
    """The samples before and after the restart make one mean."""
    folder = tmp_path / "days"
    for at, percent in ((0.0, 50), (10.0, 40)):
        days = days_of(folder)
        days.add(at, _NOON + at, PowerState.NORMAL, (charge(percent),))
        days.flush()
    (slot,) = found(folder).values()
    assert slot.charge.value == 45.0


def test_the_card_is_written_every_two_hours_and_tmpfs_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day of samples makes 12 small writes and one at midnight. The copy in tmpfs is a few minutes old at most."""
    folder, sizes = tmp_path / "days", list[int]()
    write = durable.replace

    def counted(path: Path, data: bytes) -> None:
        sizes.append(len(data))
        write(path, data)

    monkeypatch.setattr(durable, "replace", counted)
    days = days_of(folder)
    for n in range(0, 86_400, 30):
        days.add(float(n), _NOON + n, PowerState.NORMAL, (charge(50),))
    assert 11 <= len(sizes) <= 13
    assert max(sizes) < 12_000
    newest = max(found(folder, newest=tmp_path / "today.json", hours=48))
    assert newest >= _NOON + 86_400 - SLOT_S - 300


def test_a_clock_that_jumps_leaves_a_limited_number_of_files(tmp_path: Path) -> None:
    """The files of the true days stay, and those of years far ahead are removed."""
    folder = tmp_path / "days"
    days = Days(folder, keep=3)
    for n in range(6):
        days.add(n * 10.0, _NOON + n * 86_400 * 4000, PowerState.NORMAL, (charge(50),))
    for n in range(2):
        days.add(100.0 + n, _NOON + n * 86_400, PowerState.NORMAL, (charge(50),))
    days.flush()
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 3
    assert names[:2] == [f"{time.strftime('%Y-%m-%d', time.localtime(_NOON + n * 86_400))}.json" for n in range(2)]


@given(st.lists(st.integers(0, 86_399), max_size=60))
@settings(max_examples=30, deadline=None)
def test_seconds_of_a_slot_never_exceed_it_while_the_clock_runs_on(gaps: list[int]) -> None:
    """This holds for any time between two samples. Gaps longer than an hour do not count."""
    with tempfile.TemporaryDirectory() as name:
        days, at = Days(Path(name)), 0
        for gap in gaps:
            at += gap
            days.add(float(at), _NOON + at, PowerState.NORMAL, (charge(50),))
        days.flush()
        for path in Path(name).iterdir():
            slots = msgspec.json.decode(path.read_bytes())["slots"]
            assert len(slots) <= MOST_SLOTS
            assert all(0 <= slot[4].get("normal", 0) <= SLOT_S + 1 for slot in slots.values())


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=100, deadline=None)
def test_any_file_is_read_or_left_out(content: bytes) -> None:
    """A file that is torn, or that another program wrote, is not an error."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"{time.strftime('%Y-%m-%d', time.localtime(_NOON))}.json"
        path.write_bytes(content)
        assert found(Path(name)) == {}


@pytest.mark.parametrize("cut", [1, 40, 100, 160])
def test_of_several_files_only_the_torn_one_is_lost(tmp_path: Path, cut: int) -> None:
    """The files of other days are read."""
    folder = tmp_path / "days"
    days = days_of(folder)
    for n in range(2):
        days.add(n * 10.0, _NOON + n * 86_400, PowerState.NORMAL, (charge(50),))
    days.flush()
    torn = max(folder.iterdir())
    torn.write_bytes(torn.read_bytes()[:cut])
    assert len(found(folder, hours=48)) == 1


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """The governor writes no such file, and it may be larger than the memory."""
    (tmp_path / f"{time.strftime('%Y-%m-%d', time.localtime(_NOON))}.json").write_bytes(b" " * (300 << 10) + b"{}")
    assert found(tmp_path) == {}


def test_slots_that_cannot_be_are_left_out(tmp_path: Path) -> None:
    """A slot outside the span, or one that does not begin at a quarter of an hour, is left out."""
    slots = {str(int(_NOON) + 1): [], str(int(_NOON) - 10 * 86_400): [], str(int(_NOON)): [[1.0, 0], [5.0, -1]]}
    name = f"{time.strftime('%Y-%m-%d', time.localtime(_NOON))}.json"
    (tmp_path / name).write_bytes(msgspec.json.encode({"slots": slots}))
    (slot,) = found(tmp_path).values()
    assert (slot.charge.value, slot.watts.value) == (None, None)


@pytest.mark.parametrize("mean", [(1e308, 1), (-1e308, 1), (1.0, 10**400), (1e12, 1), (5.0, 0), (5.0, -1)])
def test_a_mean_of_impossible_numbers_is_none(mean: tuple[float, int]) -> None:
    """A file may have any number, and the plots cannot show such values."""
    assert series.Mean(*mean).value is None
