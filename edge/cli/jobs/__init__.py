"""Commands about jobs.

- `submit`: `edge submit`
- `status`: `edge status`
- `tree`: the jobs that a job spawned, for `edge status ID --tree`
- `wait`: `edge wait`
- `result`: `edge result`
- `many`: `edge list`, `edge cancel`, `edge rm`
- `tasks`: `edge tasks`
- `watch`: `edge watch`; `live` draws it in a terminal, `lines` prints it elsewhere
- `progress`: waiting for a job in front of a person
"""
