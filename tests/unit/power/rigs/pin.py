"""The input of a source of kind `pin`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpiozero import Device, DigitalInputDevice
from gpiozero.pins.mock import MockFactory, MockPin

from edge.power.inputs.source import Source
from edge.power.sources.pin import PinConfig, PinSource
from tests.unit.power.rigs.rig import Rig, Values


class PinRig(Rig):
    """gpiozero's own mock pins, on a chip that can be taken away."""

    main = "supply"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        rig = self

        class Fragile(MockPin):  # type: ignore[misc] # gpiozero has no types
            def _get_state(self) -> Any:
                if rig.gone:
                    raise OSError(19, "No such device")
                return super()._get_state()

            state = property(lambda self: self._get_state(), MockPin.state.fset)

        self.gone = False
        self.other: Any = None
        self.factory = Device.pin_factory = MockFactory(pin_class=Fragile)
        self.faults = {"missing": self.vanish, "owned by another": self.occupy}

    def open(self) -> Source:
        return PinSource(PinConfig(pin=6))

    def good(self) -> Values:
        self.gone = False
        if self.other is not None:
            self.other.close()
        self.factory.pin(6).drive_high()
        return {"supply": (1.0, "")}

    def vanish(self) -> None:
        self.gone = True

    def occupy(self) -> None:
        self.source.close()
        self.other = DigitalInputDevice(6, pull_up=None, active_state=True)

    def close(self) -> None:
        if self.other is not None:
            self.other.close()
        self.factory.reset()
        Device.pin_factory = None


RIGS: dict[str, type[Rig]] = {"pin": PinRig}
