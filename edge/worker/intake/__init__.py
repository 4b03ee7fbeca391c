"""Messages from the broker, as far as power lets them in.

- `steps`: the bootstep that declares the queues and makes their consumers
- `queue_consumers`: one AMQP consumer a queue, opened and closed as power comes and goes
- `gate`: what may be consumed now, as a value
- `pace`: how many messages a queue hands out ahead of their turn
- `subscriptions`: opens and closes the consumers, as gate and pace say
- `window`: the messages in hand, waiting or parked
- `intake`: the loop, which works off the window and settles it with the broker
"""
