"""What is due, and when. Pure functions: rows, the time, and whether the clock is trusted go in.

- `cron`: the times of a cron expression, with Debian's rules for daylight saving
- `zone`: time zones by name, and the zone of this machine
- `slots`: what becomes of the slots of a schedule that are due
- `words`: what a schedule means, in plain words
"""
