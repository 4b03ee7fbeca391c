"""Decides how the board spends its energy: work, idle or sleep, and how low the battery may go.

- `records`: inputs of a plan: battery, board, open jobs, settings
- `path`: computes times and energy along a forecast: when the sun is back, when the battery holds enough
- `plan`: makes the plan from these inputs, a forecast and the time (pure function)
- `lookahead`: learns from the measurements of the board, and keeps forecast and plan up to date
- `starts`: estimates when a waiting job starts
- `whatif`: replays recorded days with another battery or panel
- `outlook_file`: reads and writes the file by which the gateway gets the forecast of the governor
"""
