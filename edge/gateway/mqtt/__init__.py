"""The board in MQTT: a device in Home Assistant, its values, and jobs by topic. Loaded where `mqtt` is configured.

- `bridge`: holds it together: connects, announces, publishes what changed
- `entities`: what Home Assistant shows, and the document by which it learns of it
- `snapshot`: the values of all entities now
- `pace`: when a changed value goes out
- `announced`: what MQTT brokers keep of this board, remembered so that it can be removed
- `withdraw`: removes what a broker keeps and should not any more
- `commands`: pause and resume
- `submit`: jobs by topic
- `log_limit`: one line a minute about what others send
"""
