"""The ledger: every accepted job, in one SQLite file that the gateway writes.

- `schema`: tables, and the way from each earlier version
- `rows`: the records that go in and come out
- `connection`: one connection: how it is opened, what a commit is, what follows a disk error
- `reader`: questions over a connection: lists, counts, what waits
- `writer`: changes over the one connection that writes, inside a transaction
- `commit_thread`: one thread writes; concurrent callers share a commit
- `wal`: how long the write-ahead log is, and which checkpoint may start
- `checkpointer`: brings the write-ahead log into the file, in a thread
- `totals`: running counts by state, kept in memory
- `recovery`: a ledger that is damaged or gone
"""
