"""What may run, decided by pure functions from rules, readings and time.

- `rules`: the numbers of `edge.yaml` that decide
- `policy`: previous state + readings + time -> next state
- `wording`: what was decided, in words for people
- `floor`: the rules with a limit of the planner in place of the fixed one
- `expected`: when normal power is expected back
- `sampling`: how soon to look again
"""
