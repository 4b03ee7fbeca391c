"""Tests of the pause by hand: its clocks and its file."""

from __future__ import annotations

from pathlib import Path

from edge.power.governor import pause


class TestPause:
    def test_a_pause_ends_by_the_monotonic_clock_of_its_boot(self) -> None:
        """Within a boot a wall clock that jumps changes nothing."""
        asked = pause.Pause(3600.0, "hand", wall=1e9, monotonic=100.0, boot_id="a")
        for wall in (0.0, 1e9, 2e9):
            assert asked.left_s(wall=wall, monotonic=1100.0, boot="a") == 2600.0

    def test_a_pause_outlives_a_power_cut(self) -> None:
        """In a later boot the wall clock gives the time that is left. If that clock is in the past, all is left."""
        asked = pause.Pause(3600.0, "hand", wall=1000.0, monotonic=100.0, boot_id="a")
        assert asked.left_s(wall=2000.0, monotonic=5.0, boot="b") == 2600.0
        assert asked.left_s(wall=9000.0, monotonic=5.0, boot="b") == -4400.0
        assert asked.left_s(wall=0.0, monotonic=5.0, boot="b") == 3595.0

    def test_set_read_and_clear(self, tmp_path: Path) -> None:
        """A pause is in force after `set_pause`, and no longer after `clear`."""
        path = tmp_path / "power" / "pause.json"
        assert pause.current(path) is None
        pause.set_pause(path, for_s=100.0)
        found = pause.current(path)
        assert found is not None
        assert 99.0 < (found[1] or 0.0) <= 100.0
        assert pause.clear(path)
        assert not pause.clear(path)
        assert pause.current(path) is None

    def test_a_torn_file_pauses_without_end(self, tmp_path: Path) -> None:
        """Somebody wanted a pause, and only its length is lost."""
        (tmp_path / "pause.json").write_bytes(b'{"for_s": 3')
        found = pause.current(tmp_path / "pause.json")
        assert found is not None
        assert found[1] is None
