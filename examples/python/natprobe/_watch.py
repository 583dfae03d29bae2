# SPDX-License-Identifier: MIT
"""The watch: a check that is made again whenever its result may no longer hold."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import sys
import threading
import weakref
from types import TracebackType
from typing import Any, Optional, Type, TypeVar

from . import _arguments, _callbacks, _errors, _results, _waiting
from ._library import CWatchStatus, library
from ._probe import Probe
from ._results import Result
from ._values import Status, WatchChange, WatchReason

DEFAULT_WATCH_INTERVAL = 7200
"""Default of Watch(interval=...), in seconds."""

_Self = TypeVar("_Self", bound="Watch")


@dataclasses.dataclass(frozen=True)
class WatchStatus:
    """What a watch knows."""

    result: Result
    """What holds now. A result without a verdict is no exception here: its status says why."""
    reason: WatchReason
    """Why the latest check was made."""
    changed: WatchChange
    """What was different when a change was last reported."""
    last_status: Status
    """How the latest check ended; `result` may be of one before."""
    is_checking: bool
    """Whether a check is being made."""
    age: Optional[float]
    """Seconds since `result` was measured; None if there is none."""
    filtering_age: Optional[float]
    """Seconds since its filtering was measured; None if it is not known."""
    next_check: Optional[float]
    """Seconds to the next check if nothing changes; None if none is planned."""
    checks: int
    """Checks made so far, the one being made included."""
    changes: int
    """What was reported so far: the first outcome, and each difference since."""


def _seconds(ms: int) -> Optional[float]:
    return ms / 1000 if ms >= 0 else None


def _from_c(raw: CWatchStatus) -> WatchStatus:
    return WatchStatus(
        result=_results.from_c(raw.result),
        reason=WatchReason(raw.reason),
        changed=WatchChange(raw.changed),
        last_status=Status(raw.last_error),
        is_checking=raw.is_checking != 0,
        age=_seconds(raw.age_ms),
        filtering_age=_seconds(raw.filtering_age_ms),
        next_check=_seconds(raw.next_check_ms),
        checks=raw.checks,
        changes=raw.changes,
    )


def _free(native: Any, handle: int, owner: int) -> None:
    """Not in a forked child: it shares the kernel objects behind its copy of the handle with the parent."""
    if os.getpid() == owner:
        native.np_watch_free(handle)


class Watch:
    """Tells when the type, the mapping, the filtering or the external address changes.

    It is made of a probe with its settings and callbacks, and takes it over: the probe is closed from then on.

        async with Watch(Probe(servers=["stun.example.org"])) as watch:
            async for status in watch:
                print(status.reason, status.result.nat_type, status.result.external)

    The first status comes after the first check, whatever that found. `for` works as well as `async for`, and blocks
    in between. Any other event loop calls start(), and then process() whenever fileno() is readable.

    One thread or task at a time iterates or calls process(). cancel(), close(), status() and note_failure() may come
    from others meanwhile. Callbacks are those of the probe, and fork is as for it.
    """

    def __init__(self, probe: Probe, *, interval: int = DEFAULT_WATCH_INTERVAL) -> None:
        if not 0 <= interval <= 0xFFFFFFFF:
            raise _errors.error(Status.ARGUMENT, "interval")
        self._owner = os.getpid()
        self._library = library()
        # Around each call of C, so that other threads may make one in between. Reentrant, for signal handlers.
        self._lock = threading.RLock()
        self._user: Optional[threading.Lock] = None
        self._started = self._over = self._closed = False
        self._seen = 0
        token = threading.Lock()
        with token:
            probe._take(token)
            try:
                probe._require_idle()
                probe._prepare()
                handle = self._library.np_watch_new(probe._handle)
                if not handle:
                    raise _errors.error(Status.NO_MEMORY)
                probe._finalizer.detach()
                probe._closed = True
            finally:
                probe._leave()
        self._probe = probe  # C hands over to its callbacks
        self._handle: int = handle
        self._finalizer = weakref.finalize(self, _free, self._library, handle, self._owner)
        self._finalizer.atexit = False
        _arguments.check(self._library.np_watch_set_interval(handle, interval), "interval")

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    async def __aenter__(self: _Self) -> _Self:
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _require_open(self) -> None:
        if self._closed or os.getpid() != self._owner:
            raise _errors.ProbeClosedError("the watch is closed", Status.ARGUMENT)

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
        """Frees the watch. From within a callback, or while another thread or task waits for it, it is cancelled at
        once, and freed when that call returns.
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
        """Ends the watch: the iteration ends, and process() raises CheckCancelledError."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            if self._finalizer.alive:
                self._library.np_watch_cancel(self._handle)

    def _call(self, function: Any) -> int:
        with self._lock:
            code = _callbacks.call(function, self._handle)
        self._probe._tell(self._probe._tell_all)
        return code

    def _begin(self) -> None:
        code = self._call(self._library.np_watch_start)
        if code != Status.OK:
            raise _errors.error(code)
        self._started = True

    def _turn(self) -> Optional[WatchStatus]:
        """A turn: the status, if there is a new one."""
        code = self._call(self._library.np_watch_process)
        if code != Status.PENDING:
            self._over = True
            raise _errors.error(code)
        status = self._read()
        if status.changes == self._seen:
            return None
        self._seen = status.changes
        return status

    def _read(self) -> WatchStatus:
        raw = CWatchStatus()
        self._library.np_watch_read(self._handle, ctypes.byref(raw))
        return _from_c(raw)

    def _waitable(self) -> int:
        """A handle on Windows, and elsewhere a descriptor."""
        if sys.platform == "win32":
            return int(self._library.np_watch_wait_handle(self._handle))
        return int(self._library.np_watch_fd(self._handle))

    def start(self) -> None:
        """Begins to watch, in an event loop of any kind.

        Raises:
            BusyError: it was started already.
            NatProbeError: it cannot begin.
        """
        token = threading.Lock()
        with token:
            self._enter(token)
            try:
                if self._started:
                    raise _errors.error(Status.BUSY)
                self._begin()
            finally:
                self._leave()

    def fileno(self) -> int:
        """The descriptor that is readable whenever process() has something to do; -1 before start().

        On Windows there is no such descriptor: it is always -1, and wait_handle() has the handle.
        """
        self._require_open()
        return -1 if sys.platform == "win32" or not self._started else self._waitable()

    def wait_handle(self) -> Optional[int]:
        """On Windows, in place of fileno(): the handle that is signalled whenever process() has something to do.

        None on other systems, and before start(). Wait for it, never set, reset or close it.
        """
        self._require_open()
        return self._waitable() if sys.platform == "win32" and self._started else None

    def process(self) -> Optional[WatchStatus]:
        """Goes on as far as it can without waiting. Returns the status if there is something new to tell.

        Raises:
            CheckCancelledError: after cancel().
            NatProbeError: the watch has ended.
        """
        token = threading.Lock()
        with token:
            self._enter(token)
            try:
                return self._turn()
            finally:
                self._leave()

    def status(self) -> WatchStatus:
        """What the watch knows now, with its age. From any thread, also while the watch is iterated over."""
        with self._lock:
            self._require_open()
            return self._read()

    def note_failure(self) -> None:
        """Says that a connection failed that the result had promised: a check follows.

        From any thread, also while the watch is iterated over.

        Raises:
            InvalidArgumentError: the watch was not started.
        """
        with self._lock:
            self._require_open()
            code = self._library.np_watch_note_failure(self._handle)
        if code != Status.OK:
            raise _errors.error(code)

    def __iter__(self: _Self) -> _Self:
        return self

    def __next__(self) -> WatchStatus:
        token = threading.Lock()
        with token:
            self._enter(token)
            try:
                while True:
                    status = self._advance(StopIteration)
                    if status is not None:
                        return status
                    _waiting.wait(self._waitable())
            finally:
                self._leave()

    def __aiter__(self: _Self) -> _Self:
        return self

    async def __anext__(self) -> WatchStatus:
        token = threading.Lock()
        with token:
            self._enter(token)
            try:
                while True:
                    status = self._advance(StopAsyncIteration)
                    if status is not None:
                        return status
                    await _waiting.wait_async(self._waitable())
            finally:
                self._leave()

    def _advance(self, end: Type[Exception]) -> Optional[WatchStatus]:
        if self._over:
            raise end
        if not self._started:
            self._begin()
        try:
            return self._turn()
        except _errors.CheckCancelledError:
            raise end from None
