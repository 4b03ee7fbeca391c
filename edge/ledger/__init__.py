"""The ledger: every accepted job, in one SQLite file that the gateway writes.

- `schema`: tables, and the upgrade from each earlier version
- `rows`: the records that go in and come out
- `connection`: one connection: opening, commits, recovery from a disk error
- `reader`: queries: lists, counts, pending jobs
- `search`: lists for a person: filters, bounded in time; counts by class and kind
- `writer`: changes, inside a transaction of the one writing connection
- `schedules`: periodic jobs, and the record of their slots
- `commit_thread`: one thread writes; concurrent callers share a commit
- `wal`: the length of the write-ahead log, and which checkpoint may start
- `checkpointer`: the thread that checkpoints the write-ahead log
- `totals`: running counts by state, kept in memory
- `open_kinds`: running counts of open jobs by kind, where workers are scaled
- `recovery`: repairs a damaged or missing ledger
"""
