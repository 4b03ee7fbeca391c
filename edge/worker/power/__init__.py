"""Decides by power about the job that runs or is about to run, and measures its energy.

- `power_watcher`: reads the governor's report when it changes
- `feasibility`: checks if the board is cool enough and the battery full enough for a job
- `patience`: decides if a body that may not continue is held at once or at its next checkpoint
- `hold`: holds a running body while power is too low
- `freeze`: the worker's side of `running_job: freeze`
- `freezer`: the program that stops and wakes a worker process
- `meter`: measures or estimates the energy that a body uses
"""
