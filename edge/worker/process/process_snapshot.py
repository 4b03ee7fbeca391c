"""Restores the state of the process that a body changed, before the next body runs and before a file is written."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
from collections.abc import Callable, Collection
from contextlib import suppress
from importlib import import_module
from types import FrameType

_LIMITS = tuple({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")})
_STANDARD = (0, 1, 2)
Handler = Callable[[int, FrameType | None], object] | int | None
#: `signal.getsignal` without its costly conversion to an enum: it is called for 62 signals after each job.
_handler: Callable[[int], Handler] = import_module("_signal").getsignal
_set_mask: Callable[[int, Collection[int]], object] = import_module("_signal").pthread_sigmask
#: Lowest descriptor for copies of the standard streams. A body that closes low descriptors in a loop does not reach it.
_FIRST_SAVED = 64


class ProcessSnapshot:
    """Remembers signals, mask, limits, umask, working folder and standard streams as they are at its construction.

    A blocked signal mask would keep cancels and stops from the worker. A limit on file sizes would block every result,
    and a umask could make results unreadable. If stderr were closed, log lines would go into the next file that gets
    its number. For the main thread only.
    """

    def __init__(self, *vital: int) -> None:
        """Remember the state. `vital` are descriptors without which the process cannot work; see `restore`."""
        self._handlers = {int(number): _handler(number) for number in signal.valid_signals()}
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._limits = {kind: resource.getrlimit(kind) for kind in _LIMITS}
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._folder = _folder()
        self._saved = {fd: _copy(fd) for fd in _STANDARD}
        self._identities = {fd: _identity(fd) for fd in (*vital, *_STANDARD, *self._saved.values()) if fd is not None}
        self._vital = vital

    def restore(self) -> bool:
        """Restore what was changed. Return False if that is impossible, so that the process must end.

        It is impossible if a vital descriptor or the copy of a standard stream was closed, or if a hard limit cannot be
        raised again.
        """
        self._signals()
        os.umask(self._umask)
        if self._folder and _folder() != self._folder:
            with suppress(OSError):
                os.chdir(self._folder)
        for kind, limit in self._limits.items():
            if resource.getrlimit(kind) != limit:
                try:
                    resource.setrlimit(kind, limit)
                except (OSError, ValueError):  # only root can raise a hard limit again
                    return False
        for fd, copy in self._saved.items():
            if copy is None or self._same(fd):
                continue
            if not self._same(copy):
                return False
            os.dup2(copy, fd)
        return all(self._same(fd) for fd in self._vital)

    def _signals(self) -> None:
        for number, handler in self._handlers.items():
            if handler is not None and _handler(number) != handler:
                with suppress(OSError, ValueError):  # SIGKILL and SIGSTOP cannot be set
                    signal.signal(number, handler)
        _set_mask(signal.SIG_SETMASK, self._mask)

    def _same(self, fd: int) -> bool:
        return _identity(fd) == self._identities.get(fd)


def allow_files(count: int) -> None:
    """Allow this process `count` open files, up to its hard limit. The soft limit of systemd is only 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        count = min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < count:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        state = os.fstat(fd)
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _copy(fd: int) -> int | None:
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_SAVED)
    except OSError:  # closed before the worker started
        return None


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - called after each job
    except OSError:
        return ""
