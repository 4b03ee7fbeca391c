"""Which finished jobs are to go: the oldest first, by age or by the room they take; open jobs never."""

from __future__ import annotations

from edge.config import RetentionConfig
from edge.core import clock
from edge.ledger.reader import LedgerReader
from edge.ledger.rows import JobRow

_DAY_S = 86_400.0
BATCH = 500


def misdated(ledger: LedgerReader, *, now: float) -> list[str]:
    """Of the oldest finished jobs those that ended when the board did not know the time: in 1970, or years ahead.

    `now` is of a clock that somebody vouches for. As they are they would go at once, or keep all behind them for years.
    """
    return [
        job.id
        for job in ledger.finished(limit=BATCH)
        if job.finished_at is None or not clock.plausible(job.finished_at) or job.finished_at > now + _DAY_S
    ]


def overdue(ledger: LedgerReader, config: RetentionConfig, *, finished_bytes: int, now: float | None) -> list[JobRow]:
    """At most `BATCH` jobs to remove, oldest first; `finished_bytes` is what all their results take.

    `now` is None when nobody vouches for the clock (no RTC, no time server yet): then age decides nothing, for a board
    that believes it is 2036 must not throw everything away.
    """
    excess = finished_bytes - config.keep_bytes
    going = []
    for job in ledger.finished(limit=BATCH):
        too_old = now is not None and now - (job.finished_at or now) > config.keep_days * _DAY_S
        if excess <= 0 and not too_old:
            break
        going.append(job)
        excess -= job.size_bytes
    return going
