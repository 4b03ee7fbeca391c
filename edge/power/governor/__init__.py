"""The process that senses, decides and tells.

- `main`: the process: one lock, one loop that sleeps until something happens
- `governor`: one turn: sense, decide, tell
- `sensing`: all sources of a board, read together
- `button`: short press pauses or resumes, long press shuts down
- `status_led`: shows the state to whoever stands before the board
- `local_time`: the clock on the wall, in the zone that holds now
- `pause`: a pause by hand, kept over restarts and power cuts
- `shutdown`: going down cleanly at critical power
- `persisted_state`: what a restarted governor goes on with
- `planning`: looks ahead for the governor, and keeps what was learned of the panel
- `elsewhere`: the forecast of somebody else: a file, a program, an MQTT topic
- `history`: the last day's readings, in tmpfs
- `days`: a summary of each day, on disk
- `replay`: a recorded day run through the policy again
"""
