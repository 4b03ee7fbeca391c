"""A plain Celery worker with default settings, a classic queue, and files written without a sync.

`python -m tests.bench.programs.plain [--pool solo]` is the worker. BENCH_BROKER, BENCH_QUEUE and BENCH_RESULTS name the
broker, the queue and the folder of the files.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from celery import Celery

app = Celery("plain", broker=os.environ.get("BENCH_BROKER"))
app.conf.task_ignore_result = True
app.conf.task_default_queue = os.environ.get("BENCH_QUEUE", "plain")
_RESULTS = Path(os.environ.get("BENCH_RESULTS", "."))


@app.task(name="plain.echo")  # type: ignore[untyped-decorator]
def echo(message_id: int, message: str) -> None:
    """Write the message to a file, without a sync."""
    (_RESULTS / f"{message_id}-response.txt").write_text(f"{message_id}: {message}")


if __name__ == "__main__":
    app.worker_main(["worker", "--loglevel", "info", *sys.argv[1:]])
