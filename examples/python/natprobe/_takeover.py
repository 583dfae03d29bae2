# SPDX-License-Identifier: MIT
"""What takes a probe over and goes on by itself: a watch, a survey. One thread or task at a time iterates over it."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from typing import Any, Generic, Optional, Type, TypeVar

from . import _callbacks, _errors, _waiting
from ._closing import Closing
from ._library import library
from ._probe import Probe
from ._values import Status

_Self = TypeVar("_Self", bound="Takeover[Any]")
_Report = TypeVar("_Report")


def _free(function: Any, handle: int, owner: int) -> None:
    """Not in a forked child: it shares the kernel objects behind its copy of the handle with the parent."""
    if os.getpid() == owner:
        function(handle)


class Takeover(Closing, Generic[_Report]):
    """The handle of C, and what makes it safe to use from several threads, from signal handlers, and after a fork."""

    _kind: str  # its functions of C are called np_KIND_...

    def __init__(self, probe: Probe) -> None:
        self._owner = os.getpid()
        self._library = library()
        # Around each call of C, so that other threads may make one in between. Reentrant, for signal handlers.
        self._lock = threading.RLock()
        self._user: Optional[threading.Lock] = None
        self._started = self._over = self._closed = False
        token = threading.Lock()
        with token:
            probe._take(token)
            try:
                probe._require_idle()
                probe._prepare()
                handle = self._function("new")(probe._handle)
                if not handle:
                    raise _errors.error(Status.NO_MEMORY)
                probe._finalizer.detach()
                probe._closed = True
            finally:
                probe._leave()
        self._probe = probe  # C hands over to its callbacks
        self._handle: int = handle
        self._finalizer = weakref.finalize(self, _free, self._function("free"), handle, self._owner)
        self._finalizer.atexit = False

    def _function(self, name: str) -> Any:
        return getattr(self._library, f"np_{self._kind}_{name}")

    def _require_open(self) -> None:
        if self._closed or os.getpid() != self._owner:
            raise _errors.ProbeClosedError(f"the {self._kind} is closed", Status.ARGUMENT)

    def _enter(self, token: threading.Lock) -> None:
        with self._lock:
            self._require_open()
            if self._user is not None and self._user.locked():
                raise _errors.error(Status.BUSY)
            self._user = token

    def _leave(self) -> None:
        with self._lock:
            self._user = None
            if self._closed:
                self._finalizer()

    def close(self) -> None:
        """Frees it. From within a callback, or while another thread or task waits for it, it is cancelled at once, and
        freed when that call returns.
        """
        with self._lock:
            self._closed = True
            if os.getpid() != self._owner:
                return
            if self._user is not None and self._user.locked():
                self.cancel()
            else:
                self._finalizer()

    def cancel(self) -> None:
        """Ends it, and with it the iteration. process() of a watch raises CheckCancelledError."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            if self._finalizer.alive:
                self._function("cancel")(self._handle)

    def _call(self, name: str) -> int:
        with self._lock:
            code = _callbacks.call(self._function(name), self._handle)
        self._probe._tell(self._probe._tell_all)
        return code

    def _begin(self) -> None:
        code = self._call("start")
        if code != Status.OK:
            raise _errors.error(code)
        self._started = True

    def _waitable(self) -> int:
        """A handle on Windows, and elsewhere a descriptor."""
        return int(self._function("wait_handle" if sys.platform == "win32" else "fd")(self._handle))

    def _advance(self, end: Type[Exception]) -> Optional[_Report]:
        """What comes next, or None if it has to be waited for. Raises `end` when nothing more comes."""
        raise NotImplementedError

    def __iter__(self: _Self) -> _Self:
        return self

    def __next__(self) -> _Report:
        token = threading.Lock()
        with token:
            self._enter(token)
            try:
                while True:
                    report = self._advance(StopIteration)
                    if report is not None:
                        return report
                    _waiting.wait(self._waitable())
            finally:
                self._leave()

    def __aiter__(self: _Self) -> _Self:
        return self

    async def __anext__(self) -> _Report:
        token = threading.Lock()
        with token:
            self._enter(token)
            try:
                while True:
                    report = self._advance(StopAsyncIteration)
                    if report is not None:
                        return report
                    await _waiting.wait_async(self._waitable())
            finally:
                self._leave()
