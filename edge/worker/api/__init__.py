"""The interface of the worker for the body of a task.

- `job`: the class `Job`, by which a body gets files, saves checkpoints, reports progress and spawns jobs
- `checkpoint`: saves and reads the progress of an unfinished job, in `checkpoints/ID.json`
- `spawner`: submits the jobs that a body spawns
- `handed`: reads which input files a body hands on to the job that it spawns
- `kind`: the type of a kind of job inside the worker
"""
