"""Accounts for the energy that the board draws: its sources, the share of each job, and the board at rest.

- `draw`: watts that the board draws according to its readings, and their shares from sun, battery and mains
- `bodies`: counts the running bodies that have a worker process to themselves
- `drawn`: energy that the board drew over a day, by source, in total and while no job ran
- `calibration`: the file with the learned watts of the board at rest and of a busy core
- `load`: keeps cores busy for a calibration
- `calibrate`: measures the board at rest and with busy cores
- `statement`: energy of the jobs and of the board at rest in a month
"""
