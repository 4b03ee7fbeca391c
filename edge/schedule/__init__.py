"""Rules for jobs that wait in the ledger and for periodic jobs. No module here uses the ledger or the broker.

- `arguments`: finds and replaces arguments that stand for the result of another job
- `dependencies`: decides when a job that waits for other jobs may run, or that it never will
- `lane`: record of a lane, which is the set of jobs that the gateway releases in one order
- `later`: checks the fields of a submission that make a job wait
- `limits`: computes how many more jobs of a kind may start under its limit
- `release`: computes how many jobs of a lane the broker gets, and which jobs have waited too long
- `cron`: computes the times of a cron expression, with Debian's rules for daylight saving time
- `zone`: finds time zones by name, and the zone of this machine
- `slots`: decides for each due slot of a schedule whether it runs, is skipped or is merged with others
- `timetable`: reads the times of a schedule from its `cron` or `every_s`
- `words`: describes a schedule in plain words, such as `every day at 02:30`
"""
