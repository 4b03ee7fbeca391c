"""`edge`: what a person asks of a board, from a laptop or on it."""
