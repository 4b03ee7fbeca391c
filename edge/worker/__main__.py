"""`python -m edge.worker`."""

import sys

from edge.worker.main import run

sys.exit(run())
