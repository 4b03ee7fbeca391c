"""How the board spends its energy, decided by pure functions: work, idle or sleep, and how low the battery may go.

- `records`: what a plan is made from: battery, board, open jobs, settings
- `path`: along the forecast: when the sun is back, when the battery holds enough
- `plan`: all of these + a forecast + time -> the plan
- `lookahead`: learns from what the board measures, and plans by it
- `starts`: when a job that waits is going to start
- `whatif`: recorded days run once more with another battery or panel
- `told`: the file by which others look ahead, too
"""
