# SPDX-License-Identifier: MIT
"""The watch: a check that is made again whenever its result may no longer hold."""

from __future__ import annotations

import ctypes
import dataclasses
import sys
import threading
from typing import Optional, Type

from . import _arguments, _errors, _results
from ._library import CWatchStatus
from ._probe import Probe
from ._results import Result
from ._takeover import Takeover
from ._values import Status, WatchChange, WatchReason

DEFAULT_WATCH_INTERVAL = 7200
"""Default of Watch(interval=...), in seconds."""


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


class Watch(Takeover[WatchStatus]):
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

    _kind = "watch"

    def __init__(self, probe: Probe, *, interval: int = DEFAULT_WATCH_INTERVAL) -> None:
        if not 0 <= interval <= 0xFFFFFFFF:
            raise _errors.error(Status.ARGUMENT, "interval")
        self._seen = 0
        super().__init__(probe)
        _arguments.check(self._library.np_watch_set_interval(self._handle, interval), "interval")

    def _turn(self) -> Optional[WatchStatus]:
        """A turn: the status, if there is a new one."""
        code = self._call("process")
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

    def _advance(self, end: Type[Exception]) -> Optional[WatchStatus]:
        if self._over:
            raise end
        if not self._started:
            self._begin()
        try:
            return self._turn()
        except _errors.CheckCancelledError:
            raise end from None
