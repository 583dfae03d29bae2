# SPDX-License-Identifier: MIT
"""Waiting for a handle of Windows."""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Optional

assert sys.platform == "win32"

IS_DESCRIPTOR = False
_SLICE_MS = 50
_INFINITE = 0xFFFFFFFF
_TIMEOUT = 258
_FAILED = 0xFFFFFFFF

_handle, _number, _flag = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int32
_kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
_kernel32.WaitForMultipleObjects.argtypes = (_number, ctypes.POINTER(_handle), _flag, _number)
_kernel32.WaitForMultipleObjects.restype = _number
_kernel32.CreateEventW.argtypes = (ctypes.c_void_p, _flag, _flag, ctypes.c_wchar_p)
_kernel32.CreateEventW.restype = _handle
_kernel32.SetEvent.argtypes = _kernel32.CloseHandle.argtypes = (_handle,)


def _last_error() -> OSError:
    return ctypes.WinError(ctypes.get_last_error())


def wait(*handles: int) -> None:
    """Blocks until one is signalled. Python runs signal handlers, that of Ctrl-C among them, in between the slices."""
    array = (ctypes.c_void_p * len(handles))(*handles)
    while True:
        outcome = _kernel32.WaitForMultipleObjects(len(handles), array, False, _SLICE_MS)
        if outcome == _FAILED:
            raise _last_error()
        if outcome != _TIMEOUT:
            return


async def wait_trio(lowlevel: Any, handle: int) -> None:
    """Waits in trio."""
    await lowlevel.WaitForSingleObject(handle)


class Wait:
    """A wait that another thread can end."""

    def __init__(self, handle: int) -> None:
        self._end: Optional[int] = _kernel32.CreateEventW(None, True, False, None)
        if self._end is None:
            raise _last_error()
        self._handles = (ctypes.c_void_p * 2)(handle, self._end)

    def __enter__(self) -> Wait:
        return self

    def __exit__(self, *exc_info: object) -> None:
        _kernel32.CloseHandle(self._end)

    def until_ready(self) -> None:
        """Blocks until the handle is signalled, or until end()."""
        if _kernel32.WaitForMultipleObjects(2, self._handles, False, _INFINITE) == _FAILED:
            raise _last_error()

    def end(self) -> None:
        """Makes until_ready() return, now or when it is called."""
        _kernel32.SetEvent(self._end)
