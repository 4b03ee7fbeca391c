"""The MQTT client of gateway and governor: a connection with one thread, which sleeps while nothing happens.

- `connection`: connects to a broker, subscribes, publishes, and reconnects after an outage
- `payload`: reads a number or a switch state from a received message, which is plain text or JSON
"""
