"""The gateway for the LAN: accepts jobs over HTTP, keeps them in the ledger, publishes them, and reports their state.

- `main`: runs the gateway as a process
- `app`: assembles the parts into an aiohttp application
- `page`: the web page of the board, at `/`
- `api`: the routes of `/v1` and their handlers
- `mqtt`: publishes the board to MQTT and Home Assistant
- `http`: HTTP itself: connections, routes as data, authentication, problem documents
- `service`: the operations that the routes call: submit, look up, wait, list; knows no HTTP
- `drafts`: checks a submission and turns it into a job
- `endings`: cancels open jobs and removes ended jobs
- `background`: tasks that run without a request: settle, publish, retry, retain, copy
- `schedules`: the operations on periodic jobs that the routes call
- `views`: builds the answer record of a job from its ledger row
- `waiting`: writes the sentence that says why a job waits
- `board`: reads power, workers and free disk space for a request
- `files`: receives and stores the input files of jobs
- `old_files`: removes input files that no open job needs
- `node_output`: keeps what programs print on nodes while they run
- `kinds`: loads the catalogue of the kinds of job and reloads it
- `series`: power and jobs of the last day or month, in equal steps
- `costs`: learns from receipts what a job of each kind costs
- `receipts`: sums the time and energy of ended jobs for the metrics
"""
