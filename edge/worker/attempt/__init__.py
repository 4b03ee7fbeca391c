"""One attempt at a job: its message, its history, and the decision to run its body.

- `delivery`: reads a message from the broker, without trusting its content
- `attempt`: a delivery with the stage that it has reached
- `admission`: decides what happens to a delivery: ended already, old copy, refused, parked, deferred, or run now
- `deferred`: reads messages of plain Celery that have an eta or begin a chain, and go to the gateway
- `outcome`: the record of how a body ended
- `ending`: decides what follows from an outcome
- `history`: records how earlier attempts ended: by a crash, an interruption or a power cut
- `brownout`: detects jobs whose start is followed by a power cut again and again
- `inputs`: checks that the input files of a job are here; a node fetches them from its head
- `program_locks`: keeps two workers from running the program of one job at the same time
- `head`: the client of a node's head, to which results and attempts go by HTTPS
"""
