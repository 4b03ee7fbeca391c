"""The web page at `/` shows the board to a person with a browser. The server makes all of its HTML.

Only `routes`, `visit`, `sessions`, `throttle` and `problems_as_page` are loaded when the gateway starts. `site` and
everything that it imports, jinja2 included, are loaded at the first visit. A board without viewers does not pay for
them.

- `routes`: the URL paths, the scopes that each one needs, and the checks before a handler runs
- `visit`: one request to the page: its caller, the caller's rights, the query and the form
- `sessions`: signed session cookies, each of which stands for a token
- `throttle`: makes an address wait after several wrong tokens
- `problems_as_page`: a middleware that turns problem documents into HTML for browsers
- `site`: holds all views; made at the first visit
- `rendering`: renders templates into responses, with the headers that every page has
- `recent`: a value that is computed once and reused for some seconds
- `texts`: filters of the templates, which write numbers, times and states for people
- `assets`: serves style sheets, scripts and the icon
- `login`: logs a person in with a token, and out
- `board`: the start page: power, running and waiting jobs, workers and nodes
- `filters`: the filters of the job list, read from the query of an address and written into one
- `jobs`: the list of jobs, and the actions on all jobs that a filter finds
- `job`: the page of one job: state, attempts, arguments, result and files
- `schedules`: periodic jobs: next times, last slots, run now, pause, remove
- `form`: makes form fields from the JSON Schema of a kind, and arguments from a filled-in form
- `submit`: the form that submits a job
- `sent_files`: stores the files that come with this form
- `kinds`: the kinds of job, with their mean run time and energy
- `doctor`: runs `edge doctor` and shows its findings
- `history`: plots of the last day or month
- `plots`: draws these plots as SVG, each with a table
- `pairing`: shows a visitor the code of a pairing request, and lets an admin confirm one
"""
