"""The entry point of `edge worker`: the same worker as `celery -A edge.worker worker`, with log level INFO."""

from __future__ import annotations

import sys
import warnings

from celery.exceptions import SecurityWarning
from celery.utils.nodenames import gethostname

from edge.config import Loaded, load
from edge.core.errors import EdgeError
from edge.worker.celery.app import app


def main(loaded: Loaded, *, loglevel: str = "INFO") -> int:
    """Run a worker until it is stopped. Return the exit code. Raises EdgeError."""
    # Celery's warning about running as root concerns pickled messages. This worker accepts JSON only.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app.use(loaded)
    worker = app.Worker(
        hostname=f"{loaded.config.worker.name}@{gethostname()}", loglevel=loglevel, quiet=True, pool_cls="solo"
    )
    worker.start()
    return worker.exitcode or 0


def run() -> int:
    """Run a worker with the configuration of this process, for `python -m edge.worker`. Return the exit code."""
    try:
        return main(load())
    except EdgeError as err:
        print(f"edge worker: {err}", file=sys.stderr)  # noqa: T201 - a person reads this
        return err.exit_code
