"""The worker's process.

- `control`: how a running body is interrupted: cancelled, timed out, stopped
- `process_snapshot`: what a body may have changed of its process, restored afterwards
- `status`: `run/worker-NAME.json`: what the worker tells
- `threads_status`: the same for a worker that runs many bodies
- `watchdog`: pings systemd's watchdog while the worker makes progress
"""
