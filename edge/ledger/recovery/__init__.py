"""Checks, copies and rebuilds the ledger.

- `damage`: checks the file and its rows for damage
- `copies`: makes a copy of the ledger on the same disk
- `schedules`: copies schedules from a broken ledger into a new one
- `rebuild`: makes a new ledger from the old file, its copy and the results
"""
