"""The input of a source of kind `nut`."""

from __future__ import annotations

from pathlib import Path

from edge.power.inputs.source import Source
from edge.power.sources.nut import Nut, NutConfig
from tests.unit.power.rigs.rig import Rig, Values, program


class NutRig(Rig):
    """A program in the place of upsc; the real one against a real upsd is in tests/integration."""

    main = "supply"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "upsc"
        self.faults = {
            "missing": self.path.unlink,
            "stale": lambda: program(self.path, "echo 'Error: Data stale' >&2; exit 1"),
            "refused": lambda: program(self.path, "echo 'Error: Connection failure: Connection refused' >&2; exit 1"),
            "garbled": lambda: program(self.path, "echo 'ups.status: ?'"),
            "empty": lambda: program(self.path, ":"),
            "contradicts itself": lambda: program(self.path, "echo 'ups.status: OL OB'"),
            "hangs": lambda: program(self.path, "exec sleep 60"),
        }

    def open(self) -> Source:
        return Nut(NutConfig(ups="test@localhost", upsc=str(self.path)))

    def good(self) -> Values:
        program(
            self.path,
            "echo 'Init SSL without certificate database' >&2\n"
            "printf 'battery.charge: 64\\nbattery.runtime: 1080\\nups.realpower: 7.5\\nups.status: OB DISCHRG\\n'",
        )
        return {
            "supply": (0.0, ""), "low_battery": (0.0, ""), "charge": (64.0, "%"), "runtime": (1080.0, "s"),
            "watts": (7.5, "W"),
        }  # fmt: skip


RIGS: dict[str, type[Rig]] = {"nut": NutRig}
