"""Records of earlier deliveries survive a restart, and are removed with the result."""

from __future__ import annotations

from edge.config import Config
from edge.model import Attempts
from edge.results.attempts import AttemptsStore


def test_a_record_reads_back_until_it_is_forgotten(config: Config) -> None:
    """A record can be written, read, replaced and removed. Removing it twice is not an error."""
    store = AttemptsStore(config.layout)
    assert store.read("job-1") is None
    store.write(Attempts(id="job-1", deliveries=1))
    store.write(Attempts(id="job-1", deliveries=2, crashes=1, ended=("crash",), last_error="signal 9"))
    assert store.read("job-1") == Attempts(id="job-1", deliveries=2, crashes=1, ended=("crash",), last_error="signal 9")
    assert list(store.ids()) == ["job-1"]
    store.forget("job-1")
    store.forget("job-1")
    assert store.read("job-1") is None


def test_a_damaged_record_counts_as_none(config: Config) -> None:
    """A file that cannot be decoded does not stop a job. The counts start again."""
    store = AttemptsStore(config.layout)
    store.write(Attempts(id="job-1"))
    (config.layout.attempts / "job-1.json").write_bytes(b"\xff{")
    assert store.read("job-1") is None
