"""Runs the private RabbitMQ of `edge up`: makes, starts, checks and repairs it.

- `broker`: keeps it running, restarts it on request, and replaces a store that does not work
- `node`: one RabbitMQ node with its own ports, cookie and store
- `rabbitmq`: finds the installed RabbitMQ, and makes its settings
- `ports`: finds free ports, and checks whether a broker answers
- `check`: checks that every queue answers: `python -m edge.up.broker.check`
- `declare`: declares the queues: `python -m edge.up.broker.declare`
- `restart_requests`: watches the folder in which gateway and workers request a restart
- `last_words`: finds in the output of RabbitMQ why it did not start
"""
