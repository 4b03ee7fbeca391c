"""What the gateway does without being asked. `Appliance.start` (`edge/gateway/service.py`) starts each task.

- `announcements`: what the workers made durable, as inotify tells it
- `settle`: carries announced results into the ledger and wakes who waits
- `outbox`: accepts jobs and sees that the broker gets them: ledger, publisher, retries, deadlines
- `routing`: which queue each kind goes to, and what is moved when that changes
- `retention`: which finished jobs are to go, and asks for their removal
- `copies`: keeps the ledger's copy young
- `journal`: the last changes, for who reads events
- `readers`: who reads events, with which filter, and how far each one is
- `status_watch`: what workers and governor write of themselves, while somebody reads events
- `storage_fault`: tracks whether the ledger accepts writes
"""
