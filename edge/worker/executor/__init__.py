"""Runs the body of a job.

- `executor`: what runs bodies, as a protocol
- `main_thread`: one body at a time, in the main thread, with its `Job` and its limits
- `execute`: runs one body and says how it ended
"""
