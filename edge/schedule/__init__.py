"""What waits in the ledger, and what is due: pure functions of rows, the time, and whether the clock can be right.

- `arguments`: arguments that are the result of another job
- `dependencies`: jobs that run after others
- `instant`: a moment as text, RFC 3339 with an offset
- `lane`: jobs that share a queue, and a limit
- `later`: what a submission says about waiting, checked
- `limits`: how many jobs of a kind may be at work
- `release`: how many jobs the broker gets at a time, and which have waited too long
- `cron`: the times of a cron expression, with Debian's rules for daylight saving
- `zone`: time zones by name, and the zone of this machine
- `slots`: what becomes of the slots of a schedule that are due
- `timetable`: from what somebody asked for to times
- `words`: what a schedule means, in plain words
"""
