"""Commands about periodic jobs.

- `schedule`: the group `edge schedule`
- `preview`: `edge schedule next`: when an expression would be due
"""
