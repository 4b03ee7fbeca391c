"""The one way of every message: admitted or not, its body run, its result durable, and only then acknowledged.

- `flow`: moves an attempt on from stage to stage
- `batch`: attempts that wait to become durable together
- `blocked`: attempts that the disk or the head refuses, and when they are tried again
- `running`: which jobs run here now, for whoever cancels one
- `late_acks`: acknowledgements of single jobs, which wait for others
- `settlement`: what the broker is told: acknowledged, or given back
"""
