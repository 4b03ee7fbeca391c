"""The names of a GPIO pin."""

from __future__ import annotations

import pytest
from gpiozero.pins.mock import MockFactory

from edge.config.pins import gpio_number


def test_the_names_are_those_of_gpiozero() -> None:
    """Every name that gpiozero knows for a pin of the header means the same pin here."""
    factory = MockFactory()
    names = 0
    for gpio in range(28):
        for name in factory.pin(gpio).info.names:
            assert gpio_number(name) == gpio, name
            names += 1
    assert names > 28 * 5


@pytest.mark.parametrize("name", ["06", "GPIO06", "gpio6", "BOARD1", "BOARD41", "WPI17", "64", "J8:6", "", "six", -1])
def test_what_is_no_pin_is_refused(name: str | int) -> None:
    """A wrong pin is refused by the check of the configuration, not only at the start of the governor."""
    with pytest.raises(ValueError, match="GPIO6, BCM6, BOARD31"):
        gpio_number(name)
