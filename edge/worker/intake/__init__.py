"""Messages from the broker, as far as power lets them in.

- `steps`: the bootstep that declares the queues and makes their consumers
- `queue_consumers`: one AMQP consumer a queue, opened and closed as power comes and goes
- `gate`: what may be consumed now, as a value
- `pace`: how many messages a queue hands out ahead of their turn
- `intake`: the messages in hand, worked off one after another
"""
