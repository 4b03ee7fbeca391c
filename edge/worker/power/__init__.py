"""What power means for the job that runs or is about to.

- `power_watcher`: tells the loop or a running body when the governor wrote
- `feasibility`: whether a job fits the heat and the battery of now
- `hold`: stops a running body in place, and lets it go on
- `freeze`: the process that may freeze this one
- `freezer`: `python -m` program that stops and wakes a worker
- `meter`: what a body takes from the battery
"""
