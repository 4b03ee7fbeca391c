"""A durable Celery worker as a careful person writes it by hand, without code of the appliance.

The queue is a quorum queue. Each publish waits for the broker's confirm. A message is acknowledged after its result
file and the folder are synced, and one message is in hand at a time. `python -m tests.bench.programs.durable` is the
worker; its environment variables are those of `plain`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from celery import Celery

app = Celery("durable", broker=os.environ.get("BENCH_BROKER"))
app.conf.update(
    task_ignore_result=True,
    task_default_queue=os.environ.get("BENCH_QUEUE", "durable"),
    task_default_queue_type="quorum",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_concurrency=1,
    worker_pool="solo",
    broker_transport_options={"confirm_publish": True},
    # Celery declares 28 queues for delays in addition to a quorum queue. They are unused; classic ones cost nothing.
    broker_native_delayed_delivery_queue_type="classic",
)
_RESULTS = Path(os.environ.get("BENCH_RESULTS", "."))


@app.task(name="durable.echo")  # type: ignore[untyped-decorator]
def echo(message_id: int, message: str) -> None:
    """Write the message to a file; it survives a power cut after this returns."""
    with (_RESULTS / f"{message_id}-response.txt").open("w") as file:
        file.write(f"{message_id}: {message}")
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(_RESULTS, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


if __name__ == "__main__":
    app.worker_main(["worker", "--loglevel", "info", *sys.argv[1:]])
