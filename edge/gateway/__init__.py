"""The gateway for the LAN: takes jobs in over HTTP, keeps them in the ledger, publishes them, tells how they stand.

- `main`: the gateway as a process
- `app`: puts the parts together as an aiohttp application
- `page`: the page at `/`
- `api`: the routes of `/v1`
- `mqtt`: the board in MQTT and Home Assistant
- `http`: HTTP itself: connections, routes as data, who asks, problems
- `service`: the appliance as the routes see it; knows no HTTP
- `drafts`: what is asked for becomes a job, or a sentence on why not
- `endings`: how people end jobs: cancel, remove
- `background`: what is done without being asked: settle, publish, retry, retain, copy
- `schedules`: periodic jobs as the routes see them
- `views`: from a ledger row to what a person sees
- `waiting`: why a job waits, as one sentence
- `board`: power, workers and room as a request finds them
- `files`: the input files of jobs: uploads, what jobs name
- `old_files`: removes those that no open job wants
- `kinds`: the kinds of job, loaded and kept current
- `series`: the last day or month: power and jobs in equal steps
- `costs`: what a job of each kind costs, learned from the receipts
- `receipts`: what ended jobs took, summed up for metrics
"""
