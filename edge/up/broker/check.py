"""`python -m edge.up.broker.check`: exits with 3 when a queue does not answer, so the broker's store is damaged.

A board's unit runs it after each start of the broker and before the worker's: a queue that lost its leader in a power
cut accepts declares and answers nothing for ever.
"""

from __future__ import annotations

import sys

from edge.broker.routes import known_queues
from edge.broker.topology import check_queues
from edge.config import load
from edge.core.errors import EdgeError, QueueSilent

#: A Pi Zero's first answer after a boot takes seconds.
ANSWER_S = 30.0

if __name__ == "__main__":
    try:
        config = load().config
        check_queues(config.broker, more=known_queues(config), timeout_s=ANSWER_S)
    except EdgeError as err:
        sys.stderr.write(f"broker check: {err}\n")
        # A broker that is away or refuses us says nothing about its store.
        sys.exit(err.exit_code if isinstance(err, QueueSilent) else 1)
