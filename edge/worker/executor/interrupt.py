"""Raises an exception in another thread, if that is safe for the other threads.

CPython raises it at the thread's next instruction of Python code. A call into C is not interrupted. An exception inside
`logging`, an import or a queue could leave a lock taken that all threads need. So it is raised only if none of the
frames that the body has called belongs to such code. Otherwise the caller tries again later.
"""

from __future__ import annotations

import ctypes
import sys

from edge.worker.process.control import JobControl, enter

_set_async = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_async.argtypes = (ctypes.c_ulong, ctypes.py_object)
_set_async.restype = ctypes.c_int
#: `clear(ident, None)` drops the exception that is about to be raised in the caller's own thread. It is not a Python
#: function, because the exception would be raised at the start of a Python function.
clear = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)
#: Packages whose code takes locks that other threads need. `edge` is one of them.
_SHARED = frozenset(
    {"_frozen_importlib", "_frozen_importlib_external", "celery", "concurrent", "contextlib", "edge", "importlib"}
    | {"kombu", "logging", "multiprocessing", "queue", "subprocess", "tempfile", "threading", "weakref"}
)


def raise_in(ident: int, why: JobControl) -> bool:
    """Raise `why` in the thread `ident`, unless the thread runs code of `_SHARED`. Return True if it will be raised.

    The caller makes sure that the thread does not leave its body meanwhile.
    """
    frame = sys._current_frames().get(ident)  # noqa: SLF001 - documented for such use
    while frame is not None and frame.f_code is not enter.__code__:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in _SHARED:
            return False
        frame = frame.f_back
    if frame is None:  # the body has not begun
        return False
    text = str(why)

    class Raised(type(why)):  # type: ignore[misc]
        """The class that the interpreter instantiates without arguments, with the text of `why`."""

        def __init__(self) -> None:
            super().__init__(text)

    Raised.__name__ = Raised.__qualname__ = type(why).__name__
    Raised.__module__ = type(why).__module__
    return bool(_set_async(ident, Raised) == 1)
