"""MQTT as the gateway and the governor speak it: one connection, one thread that sleeps while nothing happens.

- `connection`: connects, subscribes, publishes, and comes back after an outage
- `payload`: values in messages of others: plain, or somewhere in JSON
"""
