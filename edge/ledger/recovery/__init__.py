"""A ledger that is damaged or gone: checked, copied, rebuilt.

- `damage`: can the file be trusted, and which rows cannot be read
- `copies`: the ledger's own copy beside it
- `rebuild`: a new ledger from the old file, its copy and the results
"""
