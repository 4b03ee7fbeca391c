"""Tests of the source of kind `undervoltage`."""

from __future__ import annotations

import time
from pathlib import Path

from edge.model import Verdict
from edge.power.sources.undervoltage import Undervoltage, UndervoltageConfig
from tests.source_inputs import program, read, tree


def test_an_active_alarm_reads_as_low(tmp_path: Path) -> None:
    """An alarm that is active now reads as low by all three values of `via`."""
    tree(tmp_path, {"hwmon0/name": "rpi_volt", "hwmon0/in0_lcrit_alarm": "1", "throttled": "50005"})
    fake = program(tmp_path / "vcgencmd", "echo throttled=0x50005")
    for source in (
        Undervoltage(UndervoltageConfig(hwmon_root=tmp_path)),
        Undervoltage(UndervoltageConfig(via="get_throttled", get_throttled=tmp_path / "throttled")),
        Undervoltage(UndervoltageConfig(via="vcgencmd", vcgencmd=fake)),
    ):
        assert (read(source)["undervoltage"].value, read(source)["undervoltage"].verdict) == (1.0, Verdict.LOW)


def test_a_board_without_a_detector_is_unknown(tmp_path: Path) -> None:
    """The reason says which boards have no detector."""
    assert "Zero boards" in read(Undervoltage(UndervoltageConfig(hwmon_root=tmp_path)))["undervoltage"].reason


def test_hwmon_renumbered_is_found_again(tmp_path: Path) -> None:
    """Each read looks up the chip by its name."""
    tree(tmp_path, {"hwmon1/name": "rpi_volt", "hwmon1/in0_lcrit_alarm": "0"})
    source = Undervoltage(UndervoltageConfig(hwmon_root=tmp_path))
    assert read(source)["undervoltage"].value == 0.0
    (tmp_path / "hwmon1").rename(tmp_path / "hwmon4")
    tree(tmp_path, {"hwmon1/name": "nvme"})
    assert read(source)["undervoltage"].value == 0.0


def test_a_slow_vcgencmd_does_not_block_and_its_answer_is_returned_later(tmp_path: Path) -> None:
    """If the program needs longer than the read waits, the reading is unknown, and a later read has the answer."""
    source = Undervoltage(
        UndervoltageConfig(via="vcgencmd", vcgencmd=program(tmp_path / "v", "sleep 0.5; echo throttled=0x1"))
    )
    started = time.monotonic()
    assert read(source, 0.0)["undervoltage"].verdict is Verdict.UNKNOWN
    assert time.monotonic() - started < 0.45
    deadline = time.monotonic() + 10
    while (seen := read(source, 1.0)["undervoltage"]).value is None:
        assert time.monotonic() < deadline
    assert seen.value == 1.0
    source.close()
