"""Time zones by name, and the zone of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.core.errors import UsageError
from edge.schedule.zone import board_zone, zone


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/etc/passwd", "Europe", "right/UTC", "Mars/Base", "a\0b", "x" * 9999]
)
def test_an_unknown_zone_gets_one_sentence(name: str) -> None:
    with pytest.raises(UsageError, match="expected the name of a zone"):
        zone(name)


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "US/Eastern", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_zones_are_found(name: str) -> None:
    """Older names are found too, although Debian 13 has them in a package that is not installed by default."""
    assert zone(name).key == name


def test_the_zone_of_a_machine_is_where_its_link_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    assert board_zone(tmp_path / "localtime", tmp_path / "none") == "Asia/Tokyo"


def test_a_machine_that_does_not_tell_its_zone_has_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":/no/zone")
    assert board_zone(tmp_path / "localtime", tmp_path / "none") == "UTC"
