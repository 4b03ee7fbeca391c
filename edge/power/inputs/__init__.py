"""What a power source is made of. A source in `edge/power/sources`, or from elsewhere, builds on these.

- `source`: the record of a kind, and the protocol of what it opens
- `reading`: makes readings, known and unknown
- `quantity`: what a reading is about, how it decides and how people read it
- `limits`: levels of power, and the band of values between them
- `battery`: what volts mean by chemistry and cells, and when charge and volts contradict each other
- `doubt`: jumps, frozen sensors, and a charge that falls while the supply is said to be there
- `command`: a program asked for a number
- `sysfs`: numbers out of the kernel's files
- `gpio`: lines with edges
"""
