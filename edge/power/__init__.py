"""Senses power, decides what may run, and says so in `run/power.json`: sources -> policy -> governor.

- `inputs`: what a source is made of: readings, quantities, and ways to read them
- `sources`: one kind of source a file
- `policy`: pure functions: rules, readings, time -> what may run
- `scaling`: pure functions: backlog, learned costs, what is left -> how many workers
- `governor`: the process that senses, decides and tells
- `series`: what power was like, a quarter of an hour at a time
- `status`: `power.json`: written by the governor, read by everyone
- `probe`: looks at what the board has and says how `edge.yaml` would name it
- `simulate`: sets what a simulated source says
"""
