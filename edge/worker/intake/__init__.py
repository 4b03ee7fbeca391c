"""Messages from the broker, as far as power lets them in.

- `steps`: the bootstep that declares the queues and makes their consumers
- `queue_consumers`: one AMQP consumer a queue, opened and closed as power comes and goes
- `gate`: decides which queues are open now
- `inbox`: the messages in hand, worked off one at a time
"""
