"""A restore checks the ledger of the backup, and prepares it for another broker."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from edge.backup.archive import BadArchive
from edge.backup.restore import _prepare
from edge.ledger.rows import NewJob
from edge.ledger.writer import LedgerWriter
from edge.model import JobState, Power


def _ledger(path: Path) -> None:
    with closing(LedgerWriter.open(path)) as ledger, ledger.transaction(durable=True):
        for number in range(200):
            ledger.add(NewJob(f"job-{number}", "t", ["x" * 500], {}, Power.NORMAL, 0, None, "me", b""), now=1.0)
        ledger.mark_queued([(1, 0, "normal")])


def test_every_open_job_counts_as_not_with_the_broker(tmp_path: Path) -> None:
    """The broker of this board may not have its message."""
    path = tmp_path / "ledger.sqlite"
    _ledger(path)
    _prepare(tmp_path / "b.tar", path)
    with closing(LedgerWriter.open(path)) as ledger:
        assert ledger.reader.get("job-0").state is JobState.ACCEPTED


def test_a_ledger_with_a_broken_page_is_refused(tmp_path: Path) -> None:
    """SQLite can open such a file, and fails only later."""
    path = tmp_path / "ledger.sqlite"
    _ledger(path)
    content = bytearray(path.read_bytes())
    content[20 * 1024 : 60 * 1024] = b"\xff" * (40 * 1024)
    path.write_bytes(content)
    with pytest.raises(BadArchive, match="its ledger is broken"):
        _prepare(tmp_path / "b.tar", path)
