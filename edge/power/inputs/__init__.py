"""The parts of a power source. The sources in `edge/power/sources` and those of other packages use them.

- `source`: the configuration record of a kind of source, and the protocol of an open source
- `reading`: makes readings, with a value or unknown
- `quantity`: the quantities that sources report: unit, effect on the decision, and text for people
- `limits`: levels of power, and the limits of a quantity that separate them
- `battery`: the meaning of volts by chemistry and number of cells; finds charge and volts that contradict each other
- `doubt`: finds values that jump, sensors that are frozen, and a charge that falls while a supply is reported
- `command`: runs a program and returns its output without blocking the caller
- `sysfs`: reads numbers and text from the kernel's files
- `gpio`: GPIO input lines that report edges
"""
