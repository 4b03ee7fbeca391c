"""Runs the body of a job.

- `executor`: what runs bodies, as a protocol
- `main_thread`: one body at a time, in the main thread, with its `Job` and its limits
- `threads`: many bodies at once, in a thread each
- `body`: one body in a thread: its limits, its holds, and how it is ended
- `bodies`: all bodies of a worker of threads, for its status
- `interrupt`: raises an exception in another thread, where that is safe
- `thread_pool`: threads that start when they are needed and end when they idle
- `job_maker`: makes the `Job` that a body is given
- `spawners`: makes the `Spawner` of each attempt
- `execute`: runs one body and returns how it ended
"""
