"""The board in MQTT: a device in Home Assistant, its values, and jobs by topic. Loaded only if `mqtt` is configured.

- `bridge`: connects to the MQTT broker, announces the board and publishes changed values
- `entities`: defines the topics, the entities in Home Assistant and the discovery document
- `snapshot`: reads the present values of all entities
- `pace`: decides when a changed value is published
- `announced`: remembers what MQTT brokers keep of this board, so that it can be removed later
- `withdraw`: removes retained messages of this board from a broker
- `commands`: carries out pause and resume
- `submit`: accepts jobs from a topic and answers them
- `log_limit`: limits the log to one line a minute about bad messages
"""
