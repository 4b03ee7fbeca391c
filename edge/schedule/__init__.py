"""What waits in the ledger, and what is due: pure functions of rows, the time, and whether the clock can be right.

- `instant`: a moment as text, RFC 3339 with an offset
- `later`: what a submission says about waiting, checked
- `cron`: the times of a cron expression, with Debian's rules for daylight saving
- `zone`: time zones by name, and the zone of this machine
- `words`: what a schedule means, in plain words
"""
