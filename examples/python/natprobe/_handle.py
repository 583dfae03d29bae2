# SPDX-License-Identifier: MIT
"""The handle of C: made, used by one call at a time, cancelled, freed."""

from __future__ import annotations

import collections
import os
import threading
import warnings
import weakref
from typing import Any, Callable, Deque, Optional

from . import _arguments, _callbacks, _errors
from ._closing import Closing
from ._library import library
from ._values import Status


def _free(library: Any, handle: int, owner: int) -> None:
    """Not in a forked child: it shares the kernel objects behind its copy of the handle with the parent."""
    if os.getpid() == owner:
        library.np_probe_free(handle)


class Handle(Closing):
    """One np_probe, and what makes it safe to use from several threads, from signal handlers, and after a fork."""

    _closed = True  # until the constructor has succeeded

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._library = library()
        handle = self._library.np_probe_new()
        if not handle:
            raise _errors.error(Status.NO_MEMORY)
        self._handle: int = handle
        self._finalizer = weakref.finalize(self, _free, self._library, handle, self._owner)
        self._finalizer.atexit = False  # a daemon thread may still use it then
        self._key = _callbacks.register(self)
        self._told: Deque[_callbacks.Told] = collections.deque()
        # Reentrant, for a signal handler may call cancel() at any moment. Held for moments only.
        self._lock = threading.RLock()
        self._user: Optional[threading.Lock] = None  # of the call in progress, while it is locked
        self._cancelled = False  # since the call in progress began
        self._closed = False

    def close(self) -> None:
        """Frees the probe, and aborts a running check. May be called any number of times.

        From within a callback, or while another thread or task runs the probe, the check is cancelled at once, and the
        probe is freed when that call returns.
        """
        if os.getpid() != self._owner:
            self._closed = True
            return
        with self._lock:
            self._closed = True
            if self._user is not None and self._user.locked():
                self.cancel()
            else:
                self._finalizer()

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    def cancel(self) -> None:
        """Makes the check in progress end with CheckCancelledError at once. Without one it does nothing.

        May be called from any thread, signal handler or callback.
        """
        if os.getpid() != self._owner:
            return
        with self._lock:
            if self._finalizer.alive:
                self._cancelled = True
                self._library.np_probe_cancel(self._handle)

    def __del__(self, _warn: Any = warnings.warn, _getpid: Callable[[], int] = os.getpid) -> None:
        if not self._closed and _getpid() == self._owner:
            _warn(f"unclosed {self!r}", ResourceWarning, source=self)

    def _take(self, token: threading.Lock) -> None:
        """Makes the call that holds the token the only one that may use the handle, or raises BusyError.

        The call is over when it releases the token. A with statement does that in C, where no exception of a signal
        handler can come in between.
        """
        self._require_open()
        with self._lock:
            self._require_open()
            if self._user is not None and self._user.locked():
                raise _errors.error(Status.BUSY)
            self._user, self._cancelled = token, False

    def _leave(self) -> None:
        """Ends the call. close() leaves it to the call in progress to free the handle."""
        with self._lock:
            self._user = None
            if self._closed:
                self._finalizer()

    def _require_open(self) -> None:
        if os.getpid() != self._owner:
            raise _errors.ProbeClosedError("the probe belongs to the parent process", Status.ARGUMENT)
        if self._closed:
            raise _errors.ProbeClosedError("the probe is closed", Status.ARGUMENT)

    def _call_setter(self, what: str, setter: Any, *arguments: Any) -> None:
        _arguments.check(setter(self._handle, *arguments), what)
