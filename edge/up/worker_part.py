"""Makes the part that keeps a worker running."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from functools import partial

from edge.config import Config
from edge.model import RETIRED_EXIT
from edge.up import readiness
from edge.up.child import Child
from edge.up.lines import StackLog
from edge.up.part import Part


def worker_part(config: Config, name: str, *, env: Mapping[str, str], lines: StackLog) -> Part:
    """Return the part for the worker of this name, not started yet. Its entry in `workers` decides what it takes."""

    def launch() -> Child:
        argv = [sys.executable, "-m", "edge.worker"]
        return Child(argv, env={**env, "EDGE_WORKER_NAME": name}, output=subprocess.PIPE)

    return Part(
        "worker" if name == config.worker.name else f"worker {name}",
        launch,
        partial(readiness.worker, config, name=name),
        lines=lines,
        grace_s=config.worker.stop_grace_s + 5.0,
        began=partial(readiness.worker_began, config, name=name),
        retired_codes=(RETIRED_EXIT,),
    )
