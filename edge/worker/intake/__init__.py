"""Takes messages from the broker, as far as power allows.

- `steps`: the bootstep that declares the queues and makes their consumers
- `queue_consumers`: one AMQP consumer a queue, opened and closed as power comes and goes
- `gate`: which queues may be consumed now, as a value
- `pace`: how many messages each queue delivers ahead (prefetch)
- `subscriptions`: opens and closes the consumers by gate and pace
- `window`: the messages in hand, waiting or parked
- `intake`: runs the messages of the window and settles them with the broker
"""
