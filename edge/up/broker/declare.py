"""Declares the queues: `python -m edge.up.broker.declare`, a separate process so that `edge up` does not load kombu."""

from __future__ import annotations

import sys

from edge.broker.routes import known_queues
from edge.broker.topology import depths
from edge.config import load
from edge.core.errors import EdgeError

if __name__ == "__main__":
    try:
        config = load().config
        depths(config.broker, more=known_queues(config))
    except EdgeError as err:
        sys.exit(str(err))
