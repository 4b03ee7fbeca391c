"""The door for the LAN: takes jobs in over HTTP, keeps them in the ledger, publishes them, tells how they stand."""
