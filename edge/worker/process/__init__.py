"""The worker's process.

- `control`: how a running body is interrupted: cancelled, timed out, stopped
- `head_backlog`: asks the head of a node what there is to do, so that the node scales its workers
- `log_lines`: the log lines of short jobs, written together
- `process_snapshot`: restores signals, limits and open files after each body
- `retirement`: whether the governor wants this worker to end
- `status`: writes `run/worker-NAME.json`
- `threads_status`: the same for a worker that runs many bodies
- `watchdog`: pings systemd's watchdog while the worker makes progress
"""
