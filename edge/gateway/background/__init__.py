"""The background tasks of the gateway. `Appliance.start` (`edge/gateway/service.py`) starts each task.

- `announcements`: receives from inotify what the workers made durable
- `settle`: notes announced results in the ledger and wakes waiting requests
- `spawned`: takes spawned jobs into the ledger and removes their files later
- `due`: lets jobs go whose time has come: one timer for all
- `outbox`: accepts jobs and publishes them: ledger, publisher, retries, deadlines
- `routing`: which queue each kind goes to, and what is moved when that changes
- `retention`: removes the oldest finished jobs
- `copies`: renews the copy of the ledger
- `backlog`: tells the governor of the open jobs by kind, where workers are scaled
- `journal`: keeps the last changes for the readers of events
- `readers`: the readers of events, with the filter and the position of each
- `status_watch`: follows the status files of workers and governor while somebody reads events
- `activity`: how many jobs started, ended and waited, for the plots
- `storage_fault`: tracks whether the ledger accepts writes
- `pairing`: lets in who shows a code
"""
