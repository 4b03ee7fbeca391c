"""Fixtures of the tests of power: the rigs of all kinds of source (see `tests/unit/power/rigs`) and a layout."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config.kinds import built_in_kinds
from edge.core.layout import Layout
from tests.unit.power.rigs.rig import Rig

#: Every kind of source must have a module with its rigs, so that the contract of all sources is tested on each kind.
RIGS: dict[str, type[Rig]] = {
    name: rig
    for kind in built_in_kinds()
    for name, rig in importlib.import_module(f"tests.unit.power.rigs.{kind}").RIGS.items()
}


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Each kind of source in turn."""
    if request.param == "psutil_battery":
        monkeypatch.setattr("psutil._pslinux.POWER_SUPPLY_PATH", str(tmp_path))
    made = RIGS[request.param](tmp_path)
    made.source = made.open()
    yield made
    made.source.close()
    made.close()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """The layout of a board in a temporary folder, with a run folder."""
    (tmp_path / "run").mkdir()
    return Layout(tmp_path, tmp_path / "run")
