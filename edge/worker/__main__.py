"""Runs the worker program, for `python -m edge.worker`."""

import sys

from edge.worker.celery.main import run

sys.exit(run())
