"""The background parts of the gateway, which work independently of requests. `Appliance` in `service.py` makes them.

- `announcements`: watches the folders in which workers publish results, failed attempts and spawned jobs (inotify)
- `settle`: records announced results in the ledger and wakes the requests that wait for them
- `spawned`: takes spawned jobs from their files into the ledger, and removes the files later
- `dependents`: releases jobs that run after other jobs, or ends them if they can never run
- `due`: releases jobs when their time has come; one timer serves all of them
- `release`: decides which jobs the broker gets next: by priority, a few at a time, within the limits of their kinds
- `outbox`: accepts jobs durably and publishes them; owns the ledger's writer, the publisher, retries and deadlines
- `timekeeper`: makes the jobs of schedules when they are due
- `slots`: decides the due slots of one schedule, inside a transaction of the ledger
- `zone_rules`: notices new rules of the time zones, for `timekeeper`
- `routing`: remembers the queue of each kind, and moves messages out of queues that are no longer used
- `retention`: removes the oldest finished jobs, by age and by size
- `copies`: renews the copy of the ledger
- `backlog`: reports the open jobs by kind to the governor and to nodes, to scale workers and to look ahead
- `starts`: predicts when waiting jobs start, on a board that looks ahead
- `journal`: keeps the latest events for the readers of `/v1/events`
- `readers`: manages the connections that read events, each with its filter and its position
- `printed`: makes events of what running programs print, for a reader that asks for `about=output`
- `status_watch`: makes events of changed status files of workers and governor, while somebody reads events
- `activity`: counts jobs that started, ended and waited, for the plots
- `nodes_away`: remembers until when each sleeping node is away
- `sleep`: agrees to a sleep of the board, or gives the reason against it
- `storage_fault`: tracks whether the ledger accepts writes
- `pairing`: gives a token to clients that show a code and are approved
"""
