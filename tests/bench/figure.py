"""Defines a figure: how a module of `figures/` measures, prints, and says whether this machine can measure it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.bench.plan import Plan
from tests.bench.sides.appliance import Appliance
from tests.bench.starts import Starts

#: Simulated power: a change takes effect at once, power may rise any number of times, and idle governors cost nothing.
PLAYED: dict[str, Any] = {
    "sources": [{"kind": "simulated", "start": "surplus"}],
    "policy": {"max_rises_per_hour": 1000},
}


class Bench:
    """One run of the bench: its folder, its plan, and an appliance that several figures share."""

    def __init__(self, folder: Path, plan: Plan, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.plan = plan
        self.say = say
        self.starts = Starts(folder / "starts")  # of bodies of the kind `stamp` on the shared appliance
        self._began = time.monotonic()
        self._open = ExitStack()
        self._appliance: Appliance | None = None

    @property
    def left_s(self) -> float:
        """Seconds until the time limit of the plan; infinite if it has none."""
        within_s = self.plan.within_s
        return float("inf") if within_s is None else within_s - (time.monotonic() - self._began)

    @property
    def appliance(self) -> Appliance:
        """The shared appliance, on a simulated supply that `pause` changes; started at the first use."""
        if self._appliance is None:
            self.say("start an appliance")
            env = {"BENCH_STARTS": str(self.starts.path)}
            self._appliance = Appliance(self.folder / "appliance", settings={"power": PLAYED}, env=env)
            self._open.callback(self._appliance.stop)
        return self._appliance

    def close(self) -> None:
        """Stop the shared appliance."""
        self._appliance = None
        self._open.close()


def _nothing() -> str:
    return ""


@dataclass(frozen=True)
class Figure:
    """One section of `bench.json`, under the key `name`.

    Attributes:
        name: Key in `bench.json` and in `--only`.
        about: One line for the log.
        measure: Returns a value that JSON can hold. It may raise any error; the other figures are still measured.
        tables: Makes tables of the value that `measure` returned.
        missing: Returns why this machine cannot measure the figure, or an empty text.
        quick_s: About how long it takes in a quick run. None if a quick run leaves it out.
    """

    name: str
    about: str
    measure: Callable[[Bench], Any]
    tables: Callable[[Any], list[Table]]
    missing: Callable[[], str] = field(default=_nothing)
    quick_s: float | None = None
