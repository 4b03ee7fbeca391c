"""What a job is made of at rest: its ledger row, its message, its attempts, its result."""
