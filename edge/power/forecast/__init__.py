"""What the panel is expected to give, decided by pure functions from its own past.

- `outlook`: expected watts of the next hours, with the bounds of what is likely
"""
