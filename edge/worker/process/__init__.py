"""The process of a worker: its signals, status file, log, watchdog and retirement.

- `control`: interrupts a running body on a cancel, at its time limit, or when the worker stops
- `head_backlog`: asks a node's head for its open jobs, so that the node can scale its workers
- `log_lines`: groups the log lines of short jobs into one write
- `process_snapshot`: restores signals, limits and open files after each body
- `retirement`: checks if the governor wants this worker to end
- `status`: writes `run/worker-NAME.json`
- `threads_status`: writes that file for a worker that runs many bodies
- `watchdog`: pings systemd's watchdog while the worker makes progress
"""
