"""The path of every message: admit it, run its body, make its result durable, and only then acknowledge it.

- `flow`: moves an attempt on from stage to stage
- `batch`: ended attempts that become durable together
- `blocked`: attempts that failed on a disk error or at the head, and their next try
- `running`: which jobs run in this worker now, for cancels
- `late_acks`: acknowledgements of single jobs, which wait for more
- `settlement`: acknowledges messages, or gives them back
"""
