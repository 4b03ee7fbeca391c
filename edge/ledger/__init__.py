"""Stores every accepted job in the ledger, one SQLite file that only the gateway writes.

- `schema`: the tables, and the upgrade from each earlier version
- `rows`: the records of a new job and of a stored row
- `connection`: one connection: opening, commits, recovery from a disk error
- `reader`: queries: lists, counts, pending jobs
- `search`: searches for a person with filters and a time limit; counts by class and kind
- `writer`: changes, inside a transaction of the one connection that writes
- `schedules`: periodic jobs, and the record of their slots
- `commit_thread`: the one thread that writes; concurrent callers share a commit
- `wal`: the length of the write-ahead log, and which checkpoint may start
- `checkpointer`: the thread that checkpoints the write-ahead log
- `totals`: running counts by state, kept in memory
- `open_kinds`: running counts of open jobs by kind, on boards that scale their workers
- `recovery`: repairs or rebuilds a damaged or missing ledger
"""
