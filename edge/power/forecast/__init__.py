"""Forecasts the power of the solar panel from its own past. Pure functions.

- `sun`: position of the sun, and irradiance under a clear sky
- `hours`: combines readings of the panel into means of whole hours
- `place`: computes the location of the panel from its first and last light
- `memory`: records of all that was learned about the panel
- `learn`: updates the memory with one more hour
- `predict`: computes the forecast from the memory
- `outside`: reads a forecast of another program or service, and decides whether it is better
- `outlook`: expected watts of the next hours, with their likely bounds
"""
