"""Backs up the state of a whole board into one file, and restores it.

- `archive`: the file of a backup: a tar whose last member lists every other member with its SHA-256
- `pack`: packs the state of a board, in an order that is consistent while everything runs
- `restore`: unpacks and checks a backup next to the old state, then exchanges them
"""
