"""Tests of the numbers of workers that a person set."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from edge.core.errors import StorageError
from edge.power.workers import by_hand
from edge.power.workers.by_hand import ByHand


def test_a_count_is_kept_and_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "power" / "scale.json"
    by_hand.put(path, "extra", 2, for_s=60.0)
    by_hand.put(path, "io", 1, for_s=60.0)
    assert {name: each.count for name, each in by_hand.current(path).items()} == {"extra": 2, "io": 1}
    assert by_hand.take_away(path, "extra")
    assert not by_hand.take_away(path, "extra")
    assert list(by_hand.current(path)) == ["io"]


@pytest.mark.parametrize(
    ("wall_s", "for_s", "holds"),
    [(-50.0, 60.0, True), (-70.0, 60.0, False), (+1e6, 1e9, True)],
    ids=["still", "over", "a clock that went back"],
)
def test_it_goes_on_in_a_later_boot_by_the_wall_clock(tmp_path: Path, wall_s: float, for_s: float, holds: bool) -> None:
    path = tmp_path / "scale.json"
    path.write_bytes(msgspec.json.encode({"extra": ByHand(2, for_s, time.time() + wall_s, 0.0, "another boot")}))
    assert ("extra" in by_hand.current(path)) is holds
    by_hand.forget(path)
    assert ("extra" in msgspec.json.decode(path.read_bytes())) is holds


@pytest.mark.parametrize("content", [b"", b"{", b'{"extra": 2}', b"\xff"])
def test_a_broken_file_sets_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scale.json"
    path.write_bytes(content)
    assert by_hand.current(path) == {}


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"scale\.json"):
        by_hand.put(tmp_path / "file" / "scale.json", "extra", 1, for_s=60.0)
