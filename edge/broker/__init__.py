"""All code outside the worker that uses AMQP.

- `border`: types for the parts of py-amqp and kombu that edge uses
- `topology`: connects to the broker, declares its queues and checks them
- `routes`: chooses the queue of a job by its kind and power class
- `coverage`: finds kinds of job and power classes that no configured worker takes
- `abandoned`: moves messages out of queues that no worker consumes any more
- `message`: encodes a job as a Celery message
- `frames`: encodes a publish as bytes, so that many go out in one write
- `session`: one channel in confirm mode, which tracks the confirm of each publish
- `publisher`: the thread that publishes the jobs of the ledger
- `refusal`: tells what a person must do if the broker refuses a connection or a queue
- `restart_request`: asks `edge up` or a systemd unit to restart a broker that does not work
"""
