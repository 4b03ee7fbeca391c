"""What the panel is expected to give, decided by pure functions from its own past.

- `sun`: where the sun stands, and what a clear sky gives
- `hours`: readings of the panel, gathered into whole hours
- `place`: where the panel is, from its first and last light
- `memory`: what was learned of the panel
- `learn`: memory + one more hour -> memory
- `predict`: memory -> what the panel is expected to give
- `outside`: a forecast that somebody else made
- `outlook`: expected watts of the next hours, with the bounds of what is likely
"""
