"""Senses power, decides what may run, and reports it in `run/power.json`: sources -> policy -> governor.

- `inputs`: the parts of a power source: readings, quantities, checks, and ways to read values
- `sources`: the kinds of power source, each in one file
- `policy`: pure functions that decide from rules, readings and time what may run
- `forecast`: pure functions that predict from the solar panel's own past what it will deliver
- `planner`: pure functions that choose work, idle or sleep from battery, forecast and open jobs
- `scaling`: pure functions that compute how many workers run, from backlog, learned costs and free resources
- `workers`: decides for each scaled entry of `workers:` which processes run, and requests their start
- `energy`: what the board draws and from which supply; receipts of jobs, and the idle energy of a month
- `sleep`: shuts the board down while nothing may run, and lets it wake by itself
- `governor`: the process that reads the sources, decides and reports
- `series`: means of power readings for each quarter of an hour, for the plots
- `status`: writes and reads `power.json`, the governor's report
- `probe`: finds the power sources of a board and prints their configuration for `edge.yaml`
- `pause_order`: an order to pause or resume, from the gateway to the governor
- `simulate`: sets the state that a simulated source plays
"""
