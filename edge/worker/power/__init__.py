"""How power decides about the job that runs or is about to run.

- `power_watcher`: reads the governor's report when it changes
- `feasibility`: whether the board is cool enough and the battery full enough for a job
- `patience`: when a body that may not continue is held: at once, or at its next checkpoint
- `hold`: holds a running body while power is too low
- `freeze`: the worker's side of `running_job: freeze`
- `freezer`: the program that stops and wakes a worker process
- `meter`: the energy that a body takes
"""
