"""Senses power, decides what may run, and says so in `run/power.json`: sources -> policy -> governor.

- `inputs`: what a source is made of: readings, quantities, and ways to read them
- `sources`: one kind of source a file
- `policy`: pure functions: rules, readings, time -> what may run
- `forecast`: pure functions: the panel's own past -> what it is expected to give
- `planner`: pure functions: battery, forecast, open jobs -> work, idle or sleep
- `scaling`: pure functions: backlog, learned costs, what is left -> how many workers
- `workers`: which workers of scaled entries run, and which are to run
- `energy`: what the board draws and from what, receipts and idle of a month
- `sleep`: lets the board go down while nothing may run, and wake by itself
- `governor`: the process that senses, decides and tells
- `series`: what power was like, a quarter of an hour at a time
- `status`: `power.json`: written by the governor, read by everyone
- `probe`: looks at what the board has and says how `edge.yaml` would name it
- `pause_order`: a wish to pause or resume, from the gateway to the governor
- `simulate`: sets what a simulated source says
"""
