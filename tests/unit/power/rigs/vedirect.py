"""The input of a source of kind `vedirect`."""

from __future__ import annotations

import os
import pty
from pathlib import Path

from edge.power.inputs.source import Source
from edge.power.sources.vedirect import VeDirect, VeDirectConfig
from tests.unit.power.rigs.rig import Rig, Values


def frame(*fields: tuple[str, str]) -> bytes:
    """A VE.Direct text frame with its checksum."""
    body = b"".join(f"\r\n{key}\t{value}".encode() for key, value in fields) + b"\r\nChecksum\t"
    return body + bytes([-sum(body) % 256])


GOOD_FRAME = frame(
    ("PID", "0xA053"), ("V", "13150"), ("I", "1200"), ("VPV", "18600"), ("PPV", "16"), ("CS", "3"), ("ERR", "0")
)


class VeDirectRig(Rig):
    """A pty in the place of the serial line, under a name that can be unplugged."""

    main = "volts"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.device = folder / "ttyUSB0"
        self.master = self.slave = -1
        self.plug()
        self.faults = {
            "missing": self.unplug,
            "silent": lambda: None,
            "bad checksum": lambda: self.send(GOOD_FRAME[:-1] + bytes([(GOOD_FRAME[-1] + 1) % 256])),
            "noise": lambda: self.send(bytes(range(256)) * 4),
            "words": lambda: self.send(frame(("V", "thirteen"), ("CS", "3"))),
            "zero": lambda: self.send(frame(("V", "0"), ("CS", "3"))),
            "absurd": lambda: self.send(frame(("V", "999999999"), ("CS", "3"))),
        }

    def plug(self) -> None:
        self.master, self.slave = pty.openpty()
        os.set_blocking(self.master, False)
        self.device.symlink_to(os.ttyname(self.slave))

    def unplug(self) -> None:
        self.device.unlink()
        os.close(self.master)
        os.close(self.slave)
        self.master = self.slave = -1

    def send(self, data: bytes) -> None:
        os.write(self.master, data)

    def open(self) -> Source:
        return VeDirect(VeDirectConfig(device=self.device))

    def good(self) -> Values:
        if self.master < 0:
            self.plug()
        self.send(GOOD_FRAME)
        return {"volts": (13.15, "V"), "amps": (1.2, "A"), "solar_watts": (16.0, "W"), "phase": (3.0, "")}

    def close(self) -> None:
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)


RIGS: dict[str, type[Rig]] = {"vedirect": VeDirectRig}
