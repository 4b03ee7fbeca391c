"""All that knows AMQP outside the worker.

- `border`: what we use of py-amqp and kombu, typed
- `topology`: how to connect, and which queues there are
- `routes`: which queue a job goes to by its kind and class, remembered over restarts
- `coverage`: kinds and power classes that no worker of the configuration takes, in words
- `abandoned`: moves what lies in queues that no worker takes any more
- `message`: a job as a Celery message
- `frames`: a publish as bytes, so that many go out in one write
- `session`: one channel in confirm mode: what was published, what the broker answered
- `publisher`: the thread that carries jobs from the ledger to the queues
- `refusal`: what cures a refusal of the broker, in words
- `restart_request`: asks whoever keeps the broker to restart it: its queues are dead
"""
