"""Running counts of open jobs by kind."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.ledger import open_kinds
from edge.ledger.open_kinds import OpenKind
from edge.ledger.rows import NewJob
from edge.ledger.writer import LedgerWriter
from edge.model import Power

_STATES = ("accepted", "queued", "retrying", "succeeded", "failed")
_CHANGES = st.lists(
    st.one_of(
        st.tuples(
            st.just("INSERT INTO job (id, task, power, state) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"),
            st.tuples(st.integers(1, 6), st.sampled_from("ab"), st.sampled_from(list(Power)), st.sampled_from(_STATES)),
        ),
        st.tuples(
            st.just("UPDATE job SET state = ? WHERE id = ?"), st.tuples(st.sampled_from(_STATES), st.integers(1, 6))
        ),
        st.tuples(
            st.just("UPDATE job SET power = ? WHERE id <= ?"),
            st.tuples(st.sampled_from(list(Power)), st.integers(1, 6)),
        ),
        st.tuples(st.just("DELETE FROM job WHERE id = ?"), st.tuples(st.integers(1, 6))),
    ),
    max_size=40,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(before=_CHANGES, after=_CHANGES)
def test_the_counts_are_those_of_a_look_at_the_whole_table(
    before: list[tuple[str, tuple[object, ...]]], after: list[tuple[str, tuple[object, ...]]]
) -> None:
    """This holds after any changes, and for rows that existed before the counting began."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE job (id INTEGER UNIQUE, task TEXT, power TEXT, state TEXT)")
    for sql, values in before:
        db.execute(sql, values)
    open_kinds.start_counting(db)
    for sql, values in after:
        db.execute(sql, values)
        rows = db.execute(
            "SELECT task, power, count(*) FROM job WHERE state IN ('accepted', 'queued') GROUP BY task, power"
        )
        assert set(open_kinds.counted(db)) == {OpenKind(*row) for row in rows}
    db.close()


def test_a_ledger_counts_them_only_where_it_is_asked_to(tmp_path: Path) -> None:
    """Boards without scaling do not pay for the counts. A failed transaction undoes its counts."""
    for by_kind, counts in ((True, (OpenKind("nap", "normal", 1),)), (False, ())):
        with LedgerWriter.open(tmp_path / f"{by_kind}.sqlite", by_kind=by_kind) as ledger:
            with ledger.transaction(durable=False):
                ledger.add(_job("1"), now=0.0)
            try:
                with ledger.transaction(durable=False):
                    ledger.add(_job("2"), now=0.0)
                    raise ValueError
            except ValueError:
                pass
            assert ledger.connection.open_kinds == counts
            # The reader queries the table, so it needs no running counts.
            assert ledger.reader.open_kinds() == (OpenKind("nap", "normal", 1),)


def _job(job_id: str) -> NewJob:
    return NewJob(
        id=job_id,
        task="nap",
        args=[],
        kwargs={},
        power=Power.NORMAL,
        retries=0,
        time_limit_s=None,
        submitter="",
        fingerprint=b"",
    )
