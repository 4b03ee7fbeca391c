"""Commands about jobs.

- `submit`: `edge submit`
- `status`: `edge status`
- `tree`: the jobs that a job spawned, for `edge status ID --tree`
- `wait`: `edge wait`
- `result`: `edge result`
- `many`: `edge list`, `edge cancel`, `edge rm`
- `tasks`: `edge tasks`
- `progress`: waiting for a job in front of a person
"""
