"""The ledger: every accepted job, in one SQLite file that the gateway writes.

- `schema`: tables, and the way from each earlier version
- `rows`: the records that go in and come out
- `reader`: a read-only connection: lists, counts, what waits
- `connection`: the one writing connection: what a commit is, what follows a disk error
- `writer`: every change of a row, inside a transaction
- `commit_thread`: one thread writes; concurrent callers share a commit
- `checkpointer`: brings the write-ahead log into the file, in a thread
- `totals`: running counts by state, kept in memory
- `recovery`: a ledger that is damaged or gone
"""
