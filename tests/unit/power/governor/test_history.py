"""Tests of the history of samples: limited in size, and with complete lines only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.core.errors import UsageError
from edge.power.governor import history
from edge.power.governor.history import ReadingHistory, Sample
from tests.unit.power.readings import charge


class TestHistory:
    def test_samples_come_back_as_written(self, tmp_path: Path) -> None:
        """Samples are read oldest first, and an incomplete last line is left out."""
        kept = ReadingHistory(tmp_path / "history.jsonl")
        samples = [Sample(float(n), (charge(50 + n),), at=1.7e9 + n, minute=3) for n in range(5)]
        for sample in samples:
            kept.append(sample)
        with (tmp_path / "history.jsonl").open("ab") as file:
            file.write(b'{"now": 7, "rea')
        assert list(history.read(tmp_path / "history.jsonl")) == samples

    def test_bytes_and_hours_are_bounded(self, tmp_path: Path) -> None:
        """There are at most two files. Together they exceed the limit by one line at most."""
        kept = ReadingHistory(tmp_path / "history.jsonl", hours=1.0, max_bytes=20_000)
        for n in range(2000):
            kept.append(Sample(n * 1.0, (charge(50),)))
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 20_400
        assert {file.name for file in tmp_path.iterdir()} <= {"history.jsonl", "history.1.jsonl"}
        kept.append(Sample(1e6, (charge(50),)))
        kept.append(Sample(1e6 + 1, (charge(50),)))
        assert len(list(history.read(tmp_path / "history.jsonl"))) == 1

    def test_half_a_line_is_taken_back(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """If tmpfs is full in the middle of a line, the next line and the replay must still be readable."""
        kept, sample = ReadingHistory(tmp_path / "history.jsonl"), Sample(0.0, (charge(50),))
        write = os.write
        kept.append(sample)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, data: write(fd, data[:10]))
            kept.append(sample)
        kept.append(sample)
        assert list(history.read(tmp_path / "history.jsonl")) == [sample, sample]

    def test_a_folder_that_cannot_be_written_stops_nothing(self, tmp_path: Path) -> None:
        """If tmpfs is full, the history ends, but the governor goes on."""
        ReadingHistory(tmp_path / "missing" / "history.jsonl").append(Sample(0.0, (charge(50),)))

    def test_a_bad_line_is_named(self, tmp_path: Path) -> None:
        """The error names the file, the line and the fault."""
        (tmp_path / "h").write_text('{"now": 1, "readings": []}\nnonsense\n')
        with pytest.raises(UsageError, match=r"h:2: not a sample"):
            list(history.read(tmp_path / "h"))
