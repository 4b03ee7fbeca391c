"""The rigs of all kinds of source, see `tests/unit/power/rigs`, and what more than one part of power uses."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config.kinds import own_kinds
from edge.core.layout import Layout
from tests.unit.power.rigs.rig import Rig

#: Every kind has a module with its rigs: whoever adds a kind adds that, and the contract of all sources holds for it.
RIGS: dict[str, type[Rig]] = {
    name: rig
    for kind in own_kinds()
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
    """A state root with its run folder."""
    (tmp_path / "run").mkdir()
    return Layout(tmp_path, tmp_path / "run")
