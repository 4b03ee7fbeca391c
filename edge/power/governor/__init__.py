"""The governor: the process that reads the power sources, decides what may run, and reports it.

- `main`: the process: takes its lock, then runs one loop that sleeps until something happens
- `governor`: one turn of the governor: read, decide, report
- `activity`: notices when a body begins or ends, so that its draw is measured
- `sensing`: reads all sources of a board together
- `button`: turns edges of a GPIO line into short presses (pause, resume) and long presses (shutdown, pairing)
- `status_led`: shows the power state on an LED
- `local_time`: local minute of the day; follows a change of the time zone
- `pause`: a pause by hand, which is kept over restarts and power cuts
- `shutdown`: shuts the board down cleanly, at critical power or to sleep
- `persisted_state`: the state of the policy on disk, from which a restarted governor continues
- `planning`: plans ahead for the governor, and saves what was learned of the solar panel
- `elsewhere`: solar forecasts from outside: a file, a program or an MQTT topic
- `history`: the readings of the last day, in tmpfs
- `days`: a summary of each day, on disk
- `replay`: runs a recorded day through the policy again
- `reported_plan`: what `power.json` has of the plan, and if a change of it is worth a write
"""
