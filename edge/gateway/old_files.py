"""Removes input files that no open job and no schedule needs, and uploads that were abandoned.

It looks after an upload, after jobs have ended, and when the next file is old enough. Without files it does not wake
up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from edge.config.files import FilesConfig
from edge.core import clock
from edge.core.errors import StorageError
from edge.gateway.files import Files, disk_errors

log = logging.getLogger(__name__)

_SOON_S = 30.0  # many jobs may end at once
_RETRY_S = 600.0
#: Longest time between naming a file and the commit of its job. A file that was named more recently is not removed.
_ON_ITS_WAY_S = 600.0


class OldFiles:
    """Removes old files, until it is cancelled. Runs on the gateway's loop.

    `wanted` returns the hashes of the files that an open job or a schedule still needs.
    """

    def __init__(
        self,
        files: Files,
        limits: FilesConfig,
        wanted: Callable[[], Awaitable[set[str]]],
        *,
        soon_s: float = _SOON_S,
        on_its_way_s: float = _ON_ITS_WAY_S,
    ) -> None:
        self._files, self._limits, self._wanted = files, limits, wanted
        self._soon_s, self._on_its_way_s = soon_s, on_its_way_s
        self._look = asyncio.Event()
        self._any = True  # there may be files
        #: Unwanted files and uploads by name: mtime, and the monotonic time at which this mtime was first seen.
        self._seen: dict[str, tuple[float, float]] = {}

    def uploaded(self) -> None:
        """Note that an upload has begun or ended."""
        self._any = True
        self._look.set()

    def ended(self) -> None:
        """Note that jobs have ended."""
        if self._any:
            self._look.set()

    async def run(self) -> None:
        """Look for old files again and again, until the task is cancelled."""
        while True:
            self._look.clear()
            try:
                next_s = await self.look()
            except Exception as err:  # any error: if this task ended, the card would fill up
                log.error("old files cannot be removed: %s", err, exc_info=not isinstance(err, StorageError))
                next_s = _RETRY_S
            try:
                async with asyncio.timeout(next_s):
                    await self._look.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(self._soon_s)

    async def look(self) -> float | None:
        """Remove files and uploads that are old.

        Returns:
            Seconds until the next file or upload may be old enough, or None if no file is unwanted and no upload is
            unfinished.

        Raises:
            StorageError: the ledger or the disk cannot be read.
        """
        wanted = await self._wanted()
        with disk_errors():
            return await asyncio.to_thread(self._remove, wanted)

    def _remove(self, wanted: set[str]) -> float | None:
        stored, uploads = self._files.inputs.stored(), list(self._files.incoming.all())
        self._any = bool(stored or uploads)
        now, left = clock.vouched_now(), list[float]()
        names = {*stored, *(key for key, _, _ in uploads)}
        self._seen = {name: seen for name, seen in self._seen.items() if name in names - wanted}
        for sha256 in stored:
            if sha256 in wanted:
                continue
            left_s = self._limits.keep_s - self._age_s(sha256, self._files.inputs.path(sha256).stat().st_mtime, now)
            left_s = max(left_s, self._on_its_way_s - self._files.idle_s(sha256))
            if left_s <= 0 and self._files.remove(sha256, unless_used_s=self._on_its_way_s):
                log.info("removed the file %s, which no open job needs", sha256)
            else:
                left.append(left_s)
        for key, _, saved_at in uploads:
            left_s = self._limits.unfinished_s - self._age_s(key, saved_at, now)
            if left_s <= 0 and not self._files.receiving(key):
                self._files.incoming.drop(key)
                log.info("removed the upload %s, which was abandoned", key)
            else:
                left.append(left_s)
        return max(1.0, min(left)) if left else None

    def _age_s(self, name: str, modified_at: float, now: float | None) -> float:
        """Return the age in seconds by the wall clock if it can be trusted, or else since this process first saw it."""
        written_at, since = self._seen.get(name, (modified_at, time.monotonic()))
        if written_at != modified_at:
            since = time.monotonic()
        self._seen[name] = (modified_at, since)
        seen_s = time.monotonic() - since
        if now is None or not clock.plausible(modified_at):
            return seen_s
        return max(seen_s, now - modified_at)
