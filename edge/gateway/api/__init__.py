"""The routes of `/v1` and their handlers: they read a request, call the appliance, and write the answer.

- `references`: resolves references between the lines of a batch
- `routes`: the table of all routes
- `submit`: accepts one job (`POST /v1/jobs`) or a batch of jobs
- `form`: accepts a job and its files in one request
- `jobs`: lists and shows jobs, waits for results, sends files, cancels and removes
- `output`: sends what the program of a job prints, while it prints
- `nodes`: accepts results, files and failed attempts from nodes, which are boards that work for this one
- `files`: receives input files for jobs, in one request or in parts
- `schedules`: lists, stores, runs and removes periodic jobs
- `about`: answers with tasks, status and health of the board
- `events`: streams changes as server-sent events
- `pairing`: gives access to a machine whose code an admin confirms
- `series`: the last day or month for plots, and the statement of a month
- `in_use`: counts requests as use of the board, which sleeps when nobody uses it
- `metrics`: builds the Prometheus metrics at each scrape
"""
