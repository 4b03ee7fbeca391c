"""Checks, copies and rebuilds the ledger.

- `damage`: checks the file and its rows
- `copies`: the ledger's own copy beside it
- `schedules`: takes schedules over into a new ledger
- `rebuild`: a new ledger from the old file, its copy and the results
"""
