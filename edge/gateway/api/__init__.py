"""The routes of `/v1`: what they take and what they answer.

- `references`: lines of a batch that name other lines
- `routes`: the table of all routes
- `submit`: `POST /v1/jobs` and its batch
- `form`: a job and its files in one request
- `jobs`: list, show, wait, fetch files, cancel, remove
- `output`: what the program of a job prints, as it comes
- `nodes`: uploads of boards that work for this one (nodes)
- `files`: files for jobs: uploads in one request or in parts
- `schedules`: periodic jobs
- `about`: tasks, status, health
- `events`: changes as they happen
- `pairing`: letting in who shows a code
- `series`: the last day or month, for plots
- `in_use`: notes who uses the board, where it sleeps while nobody does
- `metrics`: Prometheus metrics, made at each scrape
"""
