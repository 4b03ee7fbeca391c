"""The command line `edge`. A person uses it on a board, or on a laptop that reaches the board by HTTP.

- `main`: the table of commands, and the one place that turns an error into a line and an exit code
- `session`: the options that all commands share, such as the gateway's address and the configuration file
- `output`: writes values, tables and times for people, and JSON for programs
- `moment`: the type of an option that is a time of day, or a date with a time
- `number`: the type of an option that is a finite number
- `completion`: `edge completion`, and the values that the shell's Tab key offers
- `jobs`: commands about jobs
- `schedules`: commands about periodic jobs
- `board`: commands about one board; most run on the board itself
- `lan`: commands that find, install and pair boards on the network
"""
