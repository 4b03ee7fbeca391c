"""The page at `/`: the board for a person with a browser, made on the server.

Only `routes`, `visit`, `sessions`, `throttle` and `problems_as_page` are loaded at the start of the gateway. `site` and
all that it imports, jinja2 among it, come with the first view: a board that nobody looks at does not pay for them.

- `routes`: the addresses, who may use each, and what is checked before a handler runs
- `visit`: one request of a person: who it is, and what they may do
- `sessions`: the signed cookie that stands for a token
- `throttle`: slows down an address that sends wrong tokens
- `problems_as_page`: a problem document as a page, for a browser
- `site`: all views, made at the first visit
- `rendering`: templates to answers, with the headers that every page has
- `recent`: a value that several looks share for a moment
- `texts`: numbers, times and states in words
- `assets`: style sheet, script and icon
- `login`: in with a token, and out
- `board`: power, what runs, what waits and why
- `filters`: which jobs a list shows, from the address and back
- `jobs`: the list of jobs, and what acts on all that a filter finds
- `job`: one job with its whole story
- `schedules`: periodic jobs: next times, last ones, run now, pause
- `form`: fields from the schema of a kind, and arguments from what was filled in
- `submit`: hands in a job
- `sent_files`: the files in such a form
- `kinds`: the kinds of job, with what they take
- `doctor`: the findings of `edge doctor`
- `history`: the last day or month
- `plots`: such a span as SVG, with tables
- `pairing`: a visitor's code, and the form where an admin types it
"""
