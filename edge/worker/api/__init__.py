"""What the worker offers to the body of a task.

- `job`: the parameter annotated `Job`: files, checkpoints, progress
- `checkpoint`: saved progress of an unfinished job: `checkpoints/ID.json`
- `spawner`: submits the jobs that a body spawns
- `kind`: a kind of job as the worker sees it, typed
"""
