"""Consumes messages from the broker while power allows it.

- `steps`: the bootstep that declares the queues and makes their consumers
- `queue_consumers`: one AMQP consumer a queue, opened and closed as power comes and goes
- `gate`: a value that holds the queues that may be consumed now
- `pace`: how many messages each queue delivers ahead (prefetch)
- `subscriptions`: opens and closes the consumers by gate and pace
- `window`: the messages in hand whose bodies have not begun, waiting or parked
- `intake`: runs the messages of the window and settles them with the broker
"""
