"""Decides how many workers a board runs, from backlog, learned costs and free resources. Pure functions.

- `backlog`: the open jobs with their learned costs, a row for each kind and power class
- `board`: free cores, memory and power of the board, and the states of its workers
- `need`: computes how many workers the backlog needs
- `limits`: computes how many workers the board allows, and which limit is the lowest
- `state`: what one decision remembers for the next
- `decide`: combines state, need, limits and time into the number of workers, with the reason
"""
