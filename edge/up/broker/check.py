"""Checks that every queue answers: `python -m edge.up.broker.check` exits with 3 if the store of the broker is damaged.

On an appliance, a unit runs it after each start of the broker and before the start of the worker. A queue that lost its
leader in a power cut accepts declarations, but never answers anything else.
"""

from __future__ import annotations

import sys

from edge.broker.routes import known_queues
from edge.broker.topology import check_queues
from edge.config import load
from edge.core.errors import EdgeError, QueueSilent

#: Limit for each answer. On a Pi Zero, the first answer after a boot takes seconds.
ANSWER_S = 30.0

if __name__ == "__main__":
    try:
        config = load().config
        check_queues(config.broker, more=known_queues(config), timeout_s=ANSWER_S)
    except EdgeError as err:
        sys.stderr.write(f"broker check: {err}\n")
        # If the broker is away or refuses the connection, nothing is known about its store.
        sys.exit(err.exit_code if isinstance(err, QueueSilent) else 1)
