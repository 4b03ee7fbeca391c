"""The private RabbitMQ of `edge up`: made, started, checked, repaired.

- `broker`: keeps it running, restarts it on request, sets a dead store aside
- `node`: one RabbitMQ node with its own ports, cookie and store
- `rabbitmq`: where RabbitMQ is installed, and its settings
- `ports`: finds free ports and checks whether a broker answers
- `check`: whether every queue answers: `python -m edge.up.broker.check`
- `declare`: makes the queues: `python -m edge.up.broker.declare`
- `restart_requests`: the folder in which gateway and workers ask for a restart
- `last_words`: why a broker did not start, from its output
"""
