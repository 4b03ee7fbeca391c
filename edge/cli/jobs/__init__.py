"""Commands about jobs.

- `submit`: `edge submit` submits a job
- `run`: `edge run` runs a program with local files
- `awake`: `edge submit --when-awake` tries again until a sleeping board answers
- `status`: `edge status` shows the board or one job
- `files`: `--file` uploads the input files of a job before it is submitted
- `tree`: `edge status ID --tree` shows the jobs that a job spawned and those that run after it
- `wait`: `edge wait` waits until jobs have ended
- `result`: `edge result` prints the value of a job and fetches its files
- `many`: `edge list`, `edge cancel`, `edge rm` and `edge reprioritise`
- `tasks`: `edge tasks` lists and explains the kinds of job
- `watch`: `edge watch` shows what happens on the board
- `live`: draws `edge watch` in a terminal
- `lines`: prints `edge watch` as lines, for a pipe or a log
- `progress`: waits for a job and shows its progress on stderr
"""
