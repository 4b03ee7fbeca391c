"""Runs the body of a job.

- `executor`: the protocol `Executor`, which the two executors implement
- `main_thread`: the executor that runs one body at a time, in the main thread
- `threads`: the executor that runs many bodies at once, each in its own thread
- `body`: one body in a thread: its limits, its holds, and how it is ended
- `bodies`: all bodies of a worker of threads; its status shows them
- `interrupt`: raises an exception in another thread, if that is safe
- `thread_pool`: threads that start when they are needed and end when they idle
- `job_maker`: makes the `Job` of a body and decides on its time limit
- `spawners`: makes the `Spawner` of each attempt
- `execute`: runs one body and returns how it ended
"""
