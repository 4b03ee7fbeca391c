"""One attempt at a job: its message, its history, and whether its body runs.

- `delivery`: a message from the broker, read without trusting it
- `attempt`: a delivery, and the stage it has reached
- `admission`: decides: already ended, old copy, refused, parked, or to be run now
- `handed`: messages of plain Celery that are for later, or begin a chain
- `outcome`: how a body ended
- `ending`: what follows from that
- `history`: earlier attempts: crashes, interruptions, power cuts
- `brownout`: jobs that are cut again and again soon after their start
- `inputs`: the files that a job is given: there, or fetched from the head
- `program_locks`: keeps two workers from running the program of one job at the same time
- `head`: a node's head: results and attempts go there by HTTPS
"""
