"""All that knows AMQP outside the worker.

- `border`: what we use of py-amqp and kombu, typed
- `topology`: how to connect, and which queues there are
- `routes`: which queue a job goes to by its kind and class, remembered over restarts
- `coverage`: kinds and power classes that no configured worker takes, as sentences
- `abandoned`: moves messages out of queues that no worker consumes any more
- `message`: a job as a Celery message
- `frames`: a publish as bytes, so that many go out in one write
- `session`: one channel in confirm mode: what was published, what the broker answered
- `publisher`: the thread that publishes the jobs of the ledger
- `refusal`: what a person has to do about a refusal of the broker
- `restart_request`: asks `edge up` or a systemd unit to restart a broker whose queues are dead
"""
