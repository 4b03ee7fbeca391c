"""What the body of a task may ask of its worker.

- `job`: the parameter annotated `Job`: files, checkpoints, progress
- `checkpoint`: saved progress of an unfinished job: `checkpoints/ID.json`
- `spawner`: hands in the jobs that a body spawns
- `kind`: a kind of job as the worker sees it, typed
"""
