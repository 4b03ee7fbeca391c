"""The workers of scaled entries: which run, which are to run, and who is asked to start them.

- `by_hand`: counts that a person set, kept over restarts and ended by time
- `decided`: reads what the scaler wrote
- `living`: what the workers say of themselves
- `left`: the memory and the watts that are left for further workers
- `roster`: the names of one entry's processes: who is started, who retires, who crashes again and again
- `scaler`: runs the rule for each scaled entry and writes what it decides
"""
