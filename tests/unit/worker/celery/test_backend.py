"""Waiting for a result by Celery's `get`."""

from __future__ import annotations

import threading

from celery import Celery

from edge.config import Config
from edge.model import JobState, Result
from edge.results.store import Results
from edge.worker.celery.backend import ResultFiles


class TestWaitFor:
    def test_waits_longer_than_poll_can_count(self, config: Config) -> None:
        """`get(timeout=...)` accepts two months, although poll counts at most 24 days."""
        app = Celery()
        app.edge_config = config
        results = Results(config.layout)
        result = Result("job-1", "solve", JobState.SUCCEEDED, value=42, finished_at=1.0)
        later = threading.Timer(0.3, results.publish, [result])
        later.start()
        assert ResultFiles(app).wait_for("job-1", timeout=60 * 86_400.0)["result"] == 42
        later.join()
