"""Rules for jobs that wait in the ledger and for periodic jobs. Nothing here touches the ledger or the broker.

- `arguments`: arguments that are the result of another job
- `dependencies`: jobs that run after others
- `lane`: a lane: the jobs that share a queue of the broker
- `later`: checks the fields of a submission that make a job wait
- `limits`: how many jobs of a kind may be at work
- `release`: how many jobs the broker gets at a time, and which have waited too long
- `cron`: the times of a cron expression, with Debian's rules for daylight saving
- `zone`: time zones by name, and the zone of this machine
- `slots`: what becomes of the slots of a schedule that are due
- `timetable`: the times of a schedule, from its `cron` or `every_s`
- `words`: what a schedule means, in plain words
"""
