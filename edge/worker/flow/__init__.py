"""The path of every message: admit it, run its body, make its result durable, and only then acknowledge it.

- `flow`: moves an attempt on from stage to stage
- `batch`: collects ended attempts, whose results become durable together
- `blocked`: keeps attempts that a disk error or the head stopped, until their next try
- `running`: the ids of the jobs that run in this worker now; a cancel looks here first
- `late_acks`: delays the acknowledgements of single jobs, to send several together
- `settlement`: acknowledges messages, or gives them back
"""
