"""What `edge doctor` looks at.

- `finding`: what a check found
- `machine`: versions, clock, disk, memory limits
- `parts`: broker, governor, workers, gateway
- `state`: folders, secrets, ledger
"""
