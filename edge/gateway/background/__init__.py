"""The background tasks of the gateway. `Appliance.start` (`edge/gateway/service.py`) starts each task.

- `announcements`: receives from inotify what the workers made durable
- `settle`: notes announced results in the ledger and wakes waiting requests
- `spawned`: takes spawned jobs into the ledger and removes their files later
- `dependents`: lets jobs go that run after others, or ends them
- `due`: lets jobs go whose time has come: one timer for all
- `release`: which jobs the broker gets next: by priority, few at a time, within limits
- `outbox`: accepts jobs and publishes them: ledger, publisher, retries, deadlines
- `timekeeper`: makes the jobs of schedules when they are due
- `slots`: decides the due slots of one schedule, inside a transaction
- `routing`: which queue each kind goes to, and what is moved when that changes
- `retention`: removes the oldest finished jobs
- `copies`: renews the copy of the ledger
- `backlog`: tells the governor of the open jobs by kind, where workers are scaled
- `starts`: when waiting jobs are going to start, on a board that looks ahead
- `journal`: keeps the last changes for the readers of events
- `readers`: the readers of events, with the filter and the position of each
- `printed`: what programs print, for a reader of events that asks for it
- `status_watch`: follows the status files of workers and governor while somebody reads events
- `activity`: how many jobs started, ended and waited, for the plots
- `nodes_away`: what nodes said when they went to sleep
- `sleep`: agrees to a sleep of the board, or says what speaks against it
- `storage_fault`: tracks whether the ledger accepts writes
- `pairing`: lets in who shows a code
"""
