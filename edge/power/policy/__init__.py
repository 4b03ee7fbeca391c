"""Decides what may run: pure functions of rules, readings and time.

- `rules`: the rules of the decision, made from `edge.yaml` and from the criteria of each source
- `policy`: computes the next state from the last state, the readings and the time
- `wording`: explains a state to people: reason, and what ends it
- `floor`: replaces the fixed pause threshold by the lower limit of the planner
- `expected`: computes when normal power is expected to return
- `sampling`: computes the time until the next sample
"""
