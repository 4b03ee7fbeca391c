"""Lets the board sleep while no job may run. A wake alarm or a UPS wakes it.

- `decide`: decides from power, workers and times whether the board sleeps, for how long, or why not (pure functions)
- `moments`: computes the time until a time of day (pure functions)
- `costs`: watts and seconds that a sleep costs and saves, configured or learned
- `means`: checks whether this board can wake by itself, and sets its wake alarm
- `worker_activity`: tells from the status files of the workers whether a job runs
- `light`: switches light sleep on and off, by a file that a unit of systemd watches
- `order`: the record by which the sleeper orders the governor to shut down
- `sleeper`: runs the decision in the governor's loop, and gets the agreement of the gateway
"""
