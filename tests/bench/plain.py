"""The seed's worker: plain Celery with its default pool, a file written without a sync, settings as they come.

`python -m tests.bench.plain` is its worker; BENCH_BROKER and BENCH_RESULTS say where.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from celery import Celery

app = Celery("plain", broker=os.environ.get("BENCH_BROKER"))
app.conf.task_ignore_result = True
_RESULTS = Path(os.environ.get("BENCH_RESULTS", "."))


@app.task(name="plain.echo")  # type: ignore[untyped-decorator]
def echo(message_id: int, message: str) -> None:
    """Write the message to a file, as the seed did."""
    (_RESULTS / f"{message_id}-response.txt").write_text(f"{message_id}: {message}")


if __name__ == "__main__":
    app.worker_main(["worker", "--loglevel", "info", *sys.argv[1:]])
