"""Commands about periodic jobs.

- `schedule`: the group `edge schedule`
- `show`: `edge schedule list`, `show`
- `change`: `edge schedule add`, `rm`, `run`, `pause`, `resume`
- `apply`: `edge schedule apply`: brings a board to what a file says
- `preview`: `edge schedule next`: when an expression would be due
"""
