"""Where the joules go, and where they come from: pure functions and the sums of a day.

- `draw`: what the board draws by its readings, and from what it draws it
- `bodies`: how many bodies run alone in their worker now
- `drawn`: what the board drew over a day, by source and by whether a body ran
- `calibration`: what the board learned of its own watts
- `load`: keeps cores busy for a calibration
- `calibrate`: measures the board at rest and with busy cores
- `statement`: receipts and idle of a month, put together
"""
