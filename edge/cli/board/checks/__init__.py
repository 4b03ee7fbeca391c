"""What `edge doctor` looks at.

- `files`: the files that jobs were given
- `finding`: what a check found
- `machine`: versions, clock, disk, memory limits
- `mqtt`: the MQTT broker, and what was left at brokers
- `parts`: broker, governor, workers, gateway
- `state`: folders, secrets, ledger
"""
