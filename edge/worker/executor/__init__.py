"""Runs the body of a job.

- `executor`: what runs bodies, as a protocol
- `main_thread`: one body at a time, in the main thread, with its `Job` and its limits
- `threads`: many bodies at once, in a thread each
- `body`: one of them: its limits, its holds, and how it is brought to its end
- `bodies`: all of them, as the status needs them
- `interrupt`: raises an exception in another thread, where that breaks nothing
- `thread_pool`: threads that start when they are needed and end when they idle
- `job_maker`: makes the `Job` that a body is given
- `spawners`: makes the `Spawner` of each attempt
- `execute`: runs one body and says how it ended
"""
