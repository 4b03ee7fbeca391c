"""A booted Debian on a separate ext4 with a power that can be cut; data not yet written to the card is then lost."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.deploy.machine import Machine
from tests.deploy.root import debian, suite

_CARD_BYTES = 6 << 30
#: EXT4_IOC_SHUTDOWN stops the file system at once. With NOLOGFLUSH neither data nor journal are written out before.
_SHUTDOWN, _NOLOGFLUSH = 0x8004587D, 2


class Cuttable(Machine):
    """A `Machine` with a root on an ext4 image, as on a board's card."""

    def _insert(self) -> None:
        with self._image.open("wb") as card:
            card.truncate(_CARD_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-d", debian(suite()), self._image], check=True)
        self._mount()
        (self.root / "etc/fstab").write_text("/dev/mmcblk0p2 / ext4 defaults 0 1\n")

    def cut(self) -> None:
        """Cut the power, and mount the card again; ext4 replays its journal at the mount, as at a board's boot."""
        card = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(card, _SHUTDOWN, struct.pack("I", _NOLOGFLUSH))
        finally:
            os.close(card)
        self.kill()
        subprocess.run(["umount", self.root], check=True)
        # The stopped file system ends with its last mount: that of the dead container, a little later, or one in the
        # mount namespace of another program on this machine. A mount before that would show the stopped one again.
        with suppress(TimeoutError):
            self.until(lambda: not subprocess.check_output(["losetup", "--associated", self._image]), 10)
            self._mount()
            return
        copy = self._image.with_suffix(".copy")
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", self._image, copy], check=True)
        self._image.unlink()  # a new file of that name is independent of the old loop device
        copy.rename(self._image)
        self._mount()

    @property
    def _image(self) -> Path:
        return self._folder / "card.img"

    def _mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", self._image, self.root], check=True)
