"""`edge`: what a person asks of a board, from a laptop or on it.

- `main`: the commands, and where an error becomes a line and an exit code
- `session`: what one run of a command was told
- `output`: values, tables and times for people, JSON for programs
- `moment`: a time of the day, or a date with a time
- `number`: a number on the command line
- `completion`: `edge completion`
- `jobs`: commands about jobs
- `schedules`: commands about periodic jobs
- `board`: commands about the board itself
- `lan`: commands that find and set up boards
"""
