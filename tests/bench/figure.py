"""What one module of `figures/` brings: how to measure, how to print, and whether this machine can."""

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

#: Power as the bench plays it: it obeys at once, may rise as often as it likes, and costs an idle governor nothing.
PLAYED: dict[str, Any] = {
    "sources": [{"kind": "simulated", "start": "surplus"}],
    "policy": {"max_rises_per_hour": 1000},
}


class Bench:
    """One run: where it may write, how much it measures, and an appliance that several figures share."""

    def __init__(self, folder: Path, plan: Plan, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.plan = plan
        self.say = say
        self.starts = Starts(folder / "starts")  # of the kind `stamp` on the shared appliance
        self._began = time.monotonic()
        self._open = ExitStack()
        self._appliance: Appliance | None = None

    @property
    def left_s(self) -> float:
        """Seconds until the plan says that the run has ended; infinite where it says nothing."""
        within_s = self.plan.within_s
        return float("inf") if within_s is None else within_s - (time.monotonic() - self._began)

    @property
    def appliance(self) -> Appliance:
        """An appliance on a supply that `pause` may play with, started when it is first asked for."""
        if self._appliance is None:
            self.say("start an appliance")
            env = {"BENCH_STARTS": str(self.starts.path)}
            self._appliance = Appliance(self.folder / "appliance", settings={"power": PLAYED}, env=env)
            self._open.callback(self._appliance.stop)
        return self._appliance

    def close(self) -> None:
        """End what is shared."""
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
        measure: Returns what JSON can hold. Raises whatever it likes; the other figures go on.
        tables: What `measure` returned, for a person.
        missing: Why this machine cannot measure it; empty when it can.
        quick_s: About how long it takes in a quick run; None: a quick run leaves it out.
    """

    name: str
    about: str
    measure: Callable[[Bench], Any]
    tables: Callable[[Any], list[Table]]
    missing: Callable[[], str] = field(default=_nothing)
    quick_s: float | None = None
