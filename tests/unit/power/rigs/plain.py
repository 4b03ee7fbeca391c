"""The input of a source of kind `plain`."""

from __future__ import annotations

from edge.power.inputs.source import Source
from edge.power.sources.plain import Plain, PlainConfig
from tests.unit.power.rigs.rig import Rig, Values


class PlainRig(Rig):
    main = "supply"

    def open(self) -> Source:
        return Plain(PlainConfig())

    def good(self) -> Values:
        return {"supply": (1.0, "")}


RIGS: dict[str, type[Rig]] = {"plain": PlainRig}
