"""A disk with a volatile write cache: unflushed data may be lost, kept in part or torn at a power cut."""

from __future__ import annotations

import os
import random
from enum import StrEnum
from itertools import groupby

PAGE = 4096
SECTOR = 512


class Keep(StrEnum):
    """How much of the unflushed pages a cut keeps."""

    NONE = "none"
    ALL = "all"
    SUBSET = "subset"  # each page is kept whole or lost
    TORN = "torn"  # like subset, but some pages mix old and new sectors


class Pages:
    """The cache over the backing file `fd`. Reads see it; only `flush` or a cut writes it out. Not thread-safe."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.dirty: dict[int, bytes] = {}

    def read(self, offset: int, size: int) -> bytes:
        """Return the newest data, flushed or not."""
        first, last = offset // PAGE, -(-(offset + size) // PAGE)
        if not self.dirty:
            return self._old(offset, size)
        whole = bytearray(self._old(first * PAGE, (last - first) * PAGE))
        for number in range(first, last):
            if (page := self.dirty.get(number)) is not None:
                at = (number - first) * PAGE
                whole[at : at + PAGE] = page
        start = offset - first * PAGE
        return bytes(whole[start : start + size])

    def write(self, offset: int, data: bytes) -> None:
        """Take `data` into the cache."""
        if offset % PAGE or len(data) % PAGE:  # the loop device writes whole blocks, but other callers need not
            first = offset // PAGE * PAGE
            end = -(-(offset + len(data)) // PAGE) * PAGE
            around = bytearray(self.read(first, end - first))
            around[offset - first : offset - first + len(data)] = data
            offset, data = first, bytes(around)
        number = offset // PAGE
        for at in range(0, len(data), PAGE):
            self.dirty[number] = data[at : at + PAGE]
            number += 1

    def flush(self) -> int:
        """Write every cached page to the backing file; return how many bytes that were."""
        if not self.dirty:
            return 0
        written = len(self.dirty) * PAGE
        self._store(self.dirty)
        self.dirty = {}
        return written

    def cut(self, rng: random.Random) -> tuple[Keep, int, int]:
        """Cut the power; `rng` decides what is kept.

        Returns:
            The way of keeping, the number of pages kept whole or in part, and the number of unflushed pages before.
        """
        keep = rng.choice(list(Keep))
        at_stake = len(self.dirty)
        kept: dict[int, bytes] = {}
        share = 1.0 if keep is Keep.ALL else 0.0 if keep is Keep.NONE else rng.choice((0.1, 0.5, 0.9))
        for number in sorted(self.dirty):
            page = self.dirty[number]
            if keep is Keep.TORN and rng.random() < 0.3:
                kept[number] = self._torn(number, page, rng)
            elif rng.random() < share:
                kept[number] = page
        self._store(kept)
        self.dirty = {}
        return keep, len(kept), at_stake

    def _torn(self, number: int, new: bytes, rng: random.Random) -> bytes:
        old = self._old(number * PAGE, PAGE)
        parts = (rng.choice((old, new))[at : at + SECTOR] for at in range(0, PAGE, SECTOR))
        return b"".join(parts)

    def _old(self, offset: int, size: int) -> bytes:
        data = os.pread(self._fd, size, offset)
        return data if len(data) == size else data.ljust(size, b"\0")

    def _store(self, pages: dict[int, bytes]) -> None:
        numbers = sorted(pages)
        for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
            together = [number for _, number in run]
            for start in range(0, len(together), 512):  # IOV_MAX is 1024
                part = together[start : start + 512]
                os.pwritev(self._fd, [pages[number] for number in part], part[0] * PAGE)
