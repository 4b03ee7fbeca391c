"""One attempt at a job: what is known of it, and whether its body runs.

- `delivery`: a message as it came, read without trusting it
- `attempt`: a delivery on its way, and the stage it has reached
- `admission`: is the job over, an old copy, beyond help, parked, or to be run now
- `outcome`: how a body ended
- `ending`: what follows from that
- `history`: earlier attempts: crashes, interruptions, power cuts
- `brownout`: jobs whose start is soon followed by a power cut, again and again
- `head`: a node's head: results and attempts go there by HTTPS
"""
