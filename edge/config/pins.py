"""Converts the name of a pin to a GPIO number. 6, GPIO6, BCM6, BOARD31, J8:31 and WPI22 name the same pin."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

Pin = Annotated[int, Meta(ge=0, le=63)] | Annotated[str, Meta(pattern=r"^[A-Za-z0-9:_-]{1,32}$")]

ALLOWED = "a whole number from 0 to 63, or a name such as GPIO6, BCM6, BOARD31, J8:31 or WPI22"

#: GPIO number by pin of the 40-pin header. The other pins carry power or ground, or are not connected.
_HEADER = {
    3: 2, 5: 3, 7: 4, 8: 14, 10: 15, 11: 17, 12: 18, 13: 27, 15: 22, 16: 23, 18: 24, 19: 10, 21: 9, 22: 25, 23: 11,
    24: 8, 26: 7, 27: 0, 28: 1, 29: 5, 31: 6, 32: 12, 33: 13, 35: 19, 36: 16, 37: 26, 38: 20, 40: 21,
}  # fmt: skip
#: GPIO number by WiringPi number.
_WIRING_PI = {
    0: 17, 1: 18, 2: 27, 3: 22, 4: 23, 5: 24, 6: 25, 7: 4, 8: 2, 9: 3, 10: 8, 11: 7, 12: 10, 13: 9, 14: 11, 15: 14,
    16: 15, 21: 5, 22: 6, 23: 13, 24: 19, 25: 26, 26: 12, 27: 16, 28: 20, 29: 21, 30: 0, 31: 1,
}  # fmt: skip
_NAME = re.compile(r"(?P<family>|GPIO|BCM|BOARD|J8:|P1:|WPI)(?P<number>0|[1-9][0-9]?)")


def gpio_number(pin: int | str) -> int:
    """Return the GPIO number of a pin by any of its names. Raises ValueError if a Raspberry Pi has no such GPIO."""
    match = _NAME.fullmatch(str(pin))
    if match is None:  # 06 is refused too, because it may be meant as octal
        raise ValueError(f"{pin!r} is not a pin: {ALLOWED}")
    number = int(match["number"])
    if match["family"] in {"", "GPIO", "BCM"}:
        gpio = number if number <= 63 else None
    elif match["family"] == "WPI":
        gpio = _WIRING_PI.get(number)
    else:
        gpio = _HEADER.get(number)
    if gpio is None:
        raise ValueError(f"{pin!r} carries no GPIO: {ALLOWED}")
    return gpio
