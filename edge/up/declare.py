"""`python -m edge.up.declare`: makes the queues, in a process of its own so that the supervisor loads no kombu."""

from __future__ import annotations

import sys

from edge.config import load
from edge.errors import EdgeError
from edge.jobs.broker import depths

if __name__ == "__main__":
    try:
        depths(load().config.broker)
    except EdgeError as err:
        sys.exit(str(err))
