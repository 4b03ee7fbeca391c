"""A worker as a part that is kept running."""

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
    """The worker of that name, which takes what its entry in `workers` says; not started yet."""

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
        leaves=(RETIRED_EXIT,),
    )
