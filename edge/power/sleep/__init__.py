"""The board goes down while nothing may run; its alarm or its UPS wakes it.

- `decide`: pure: what is known of power, workers and times -> sleep, for how long, or why not
- `moments`: pure: how long until a time of day
- `costs`: what a sleep costs and saves, configured or learned
- `means`: whether this board can wake by itself
- `busy`: who works now
- `light`: asks for light sleep, and takes it back
- `order`: the order to go down and sleep
- `sleeper`: asks the gateway, and then the governor's own way down
"""
