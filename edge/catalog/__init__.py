"""Holds the kinds of job, and the arguments that each takes.

- `signature`: reads the arguments of a task from its type hints, and makes a schema and a check of them
- `quick`: accepts most valid arguments fast, without the general validator
- `judge`: the general validator, which explains why an argument does not fit
- `commands`: makes the signatures of the programs that the owner allows
- `inputs`: checks the input files of a job against those that its kind takes
- `catalogue`: holds all kinds of job, which another process reads from the task modules
"""
