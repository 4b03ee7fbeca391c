"""Which kinds of job there are, and what each takes.

- `signature`: what a task takes, read from its type hints: a schema and a check
- `quick`: a fast check for arguments that fit, before the general validator
- `judge`: the general validator, and what it says of an argument that does not fit
- `commands`: the signatures of programs that the owner allows
- `catalogue`: all kinds of job, read by another process
"""
