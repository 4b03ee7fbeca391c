"""Commands about jobs.

- `submit`: `edge submit`
- `run`: `edge run`
- `awake`: `--when-awake`
- `status`: `edge status`
- `files`: files of a job, uploaded before it is handed over
- `tree`: the jobs that a job spawned, for `edge status ID --tree`
- `wait`: `edge wait`
- `result`: `edge result`
- `many`: `edge list`, `edge cancel`, `edge rm`, `edge reprioritise`
- `tasks`: `edge tasks`
- `watch`: `edge watch`
- `live`: draws `edge watch` in a terminal
- `lines`: prints `edge watch` into a pipe or a log
- `progress`: waiting for a job in front of a person
"""
