"""The checks of `edge doctor`. Each check is a function that yields findings.

- `files`: checks the input files of jobs: none is lost, and they leave room on the disk
- `finding`: the record of one finding, with its severity and an advice
- `machine`: checks versions, clock, disk, memory limits and the sandbox for programs
- `mqtt`: checks the login at the MQTT broker, and topics that were left at former brokers
- `parts`: checks the running parts: broker, governor, workers, head and gateway
- `state`: checks the files of the board: folders, secrets, ledger, schedules and stores that were set aside
"""
