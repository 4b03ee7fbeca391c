"""A whole board in one file, and back.

- `archive`: the file: a tar whose last member lists every other with its SHA-256
- `pack`: what goes in, in an order that is consistent while everything runs
- `restore`: unpacked and checked beside what is there, then exchanged
"""
