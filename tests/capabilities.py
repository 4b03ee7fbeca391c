"""Runs a test without the privilege to ignore file modes, even if root runs the tests."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import ParamSpec

P = ParamSpec("P")

_VERSION_3 = 0x20080522
#: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: a thread that has them may ignore the modes of files.
_FILES = 1 << 1 | 1 << 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Set(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def bound_by_file_modes(test: Callable[P, None]) -> Callable[P, None]:
    """Run `test` in a separate thread that has dropped root's rights over files but keeps its user.

    Changing the user would not work, because the folder of a test, and so every path in it, belongs to root alone.
    """

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with ThreadPoolExecutor(1, initializer=_give_up) as thread:
            thread.submit(test, *args, **kwargs).result()

    return run


def _give_up() -> None:
    """Drop both capabilities permanently, because access(2) checks root's permitted set, not the effective one."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = _Header(_VERSION_3, 0)
    sets = (_Set * 2)()  # capabilities 0 to 31, and 32 to 63
    _check(libc.capget(ctypes.byref(header), sets))
    sets[0].effective &= ~_FILES
    sets[0].permitted &= ~_FILES
    _check(libc.capset(ctypes.byref(header), sets))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
