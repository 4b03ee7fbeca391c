"""The private RabbitMQ of `edge up`: made, started, checked, repaired.

- `broker`: keeps it running, restarts it on request, sets a dead store aside
- `node`: one RabbitMQ node with ports, cookie and store of its own
- `rabbitmq`: where RabbitMQ is installed, and its settings
- `ports`: ports free or not, and whether a broker answers
- `check`: does every queue answer? `python -m edge.up.broker.check`
- `declare`: makes the queues: `python -m edge.up.broker.declare`
- `restart_requests`: the folder in which gateway and workers ask for a restart
- `last_words`: what a broker that did not come up logged last
"""
