"""Commands about periodic jobs.

- `schedule`: the command group `edge schedule`
- `show`: `edge schedule list` and `show`
- `change`: `edge schedule add`, `rm`, `run`, `pause` and `resume`
- `apply`: `edge schedule apply` changes the schedules of a board to those in a file
- `preview`: `edge schedule next` shows the next times of a cron expression
"""
