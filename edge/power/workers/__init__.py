"""Decides which workers of the scaled entries of `workers:` run, and requests their start.

- `by_hand`: numbers of workers that a person set for a time; they are kept over restarts
- `decided`: reads the scaler's last decision
- `living`: reads the status of the workers that run
- `left`: measures what is left for more workers: cores, memory and watts
- `roster`: chooses by name which processes of an entry start and which retire; finds those that keep crashing
- `scaler`: applies the rule of scaling to each entry, and writes the decisions
"""
