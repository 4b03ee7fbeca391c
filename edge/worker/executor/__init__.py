"""Runs the body of a job.

- `body`: the body with its `Job`, its limits and the process around it
- `execute`: runs one body and says how it ended
"""
