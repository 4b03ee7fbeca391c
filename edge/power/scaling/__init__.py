"""How many workers a board is to run, decided by pure functions from backlog, learned costs and what is left.

- `backlog`: what there is to do, a row for each kind of job
- `board`: what the board has left, and what its workers do
- `need`: how many workers the backlog asks for
- `limits`: how many the board allows, and which limit is the nearest
- `state`: what the rule remembers from one decision to the next
- `decide`: previous state + need + limits + time -> how many, and why
"""
