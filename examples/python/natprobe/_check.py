# SPDX-License-Identifier: MIT
"""A check, turn by turn: begin, step until there is a result, or abandon."""

from __future__ import annotations

import ctypes
import logging
import sys
from typing import Any, Callable, Deque, Optional

from . import _arguments, _callbacks, _errors, _events, _results, _waiting
from ._events import Event
from ._library import CEvent, CResult, decode
from ._results import Result
from ._settings import Settings
from ._values import LogLevel, Status

_logger = logging.getLogger("natprobe")
_LOGGING_LEVELS = {
    LogLevel.ERROR: logging.ERROR,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.INFO: logging.INFO,
    LogLevel.DEBUG: logging.DEBUG,
}


class Check(Settings):
    """What the ways to run a check share. Only the call in progress, which has taken the handle, calls it."""

    def __init__(self) -> None:
        super().__init__()
        self._running = False  # between np_probe_start() and the end of the check
        self._by_hand = False  # by start(), to be ended by process()
        self._stream: Optional[Deque[Event]] = None  # of events(), which runs the check
        self._calls_back = False  # what C calls may hand something over
        self._ready: Optional[int] = None  # what to wait for, once a check was begun
        self._last_result: Optional[Result] = None

    def _require_idle(self) -> None:
        """Ends a check that was to be aborted, but not to the end, because an exception came in once more."""
        if self._running and not self._by_hand and self._stream is None:
            self._abandon()
        if self._running:
            raise _errors.error(Status.BUSY)

    def _require_open_socket(self) -> None:
        """A descriptor that was closed may belong to something else by now."""
        if self._sock is not None and not isinstance(self._sock, int) and self._sock.fileno() != self._sock_fd:
            raise _errors.error(Status.ARGUMENT, "the socket was closed")

    def _wanted_lines(self) -> int:
        """Up to which level; 0 for none."""
        wanted = 0 if self._on_log is None else int(self._log_level)
        if self._logger is not None:
            enabled = (level for level, number in _LOGGING_LEVELS.items() if self._logger.isEnabledFor(number))
            wanted = max(wanted, *enabled, 0)
        return wanted

    def _prepare(self) -> None:
        """The settings that follow from several properties."""
        self._require_open_socket()
        has_events, lines = self._on_event is not None or self._stream is not None, self._wanted_lines()
        self._calls_back = has_events or lines > 0 or self._sock is not None
        on_event = _callbacks.EVENT if has_events else _callbacks.NO_EVENT
        self._call_setter("events", self._library.np_probe_set_events, on_event, self._key)
        on_log = _callbacks.LOG if lines else _callbacks.NO_LOG
        self._call_setter("log", self._library.np_probe_set_log, lines or LogLevel.ERROR, on_log, self._key)

    def _call(self, function: Any, *arguments: Any) -> int:
        if self._calls_back:
            return _callbacks.call(function, self._handle, *arguments)
        return int(function(self._handle, *arguments))

    def _begin(self) -> None:
        self._by_hand = False
        self._prepare()
        self._running = True  # before it is true, for an interrupt may come in between
        code = self._call(self._library.np_probe_start)
        if code != Status.OK:
            self._running = False
            raise _errors.error(code)
        if self._cancelled:  # while the library did not know of the check yet
            self._library.np_probe_cancel(self._handle)
        self._ready = self._waitable()
        self._tell(self._tell_all)

    def _waitable(self) -> int:
        """A handle on Windows, and elsewhere a descriptor."""
        if sys.platform == "win32":
            return int(self._library.np_probe_wait_handle(self._handle))
        return int(self._library.np_probe_fd(self._handle))

    def _wait(self) -> None:
        assert self._ready is not None
        _waiting.wait(self._ready)

    async def _wait_async(self) -> None:
        assert self._ready is not None
        await _waiting.wait_async(self._ready)

    def _go_on(self) -> Optional[Result]:
        """A turn; the check is aborted if it raises."""
        try:
            return self._step()
        except BaseException:
            self._abandon()
            raise
        finally:
            if not self._running:
                self._by_hand = False

    def _step(self) -> Optional[Result]:
        """A turn: None while the check goes on, then the result, or the exception that says why there is none."""
        raw = CResult()
        result: Optional[Result] = None
        if self._call(self._library.np_probe_process, ctypes.byref(raw)) != Status.PENDING:
            self._running = False
            self._last_result = result = _results.from_c(raw)
        self._tell(self._tell_all)
        return verdict(result) if result is not None else None

    def _abandon(self) -> None:
        """Ends the check in progress, if any, without a result. Only datagrams are still handed over."""
        raw = CResult()
        self._by_hand, self._stream = False, None
        while self._running:
            if self._call(self._library.np_probe_process, ctypes.byref(raw)) != Status.PENDING:
                self._running = False
            else:
                self._library.np_probe_cancel(self._handle)
                _waiting.wait(self._waitable())
        self._tell(self._tell_datagram)

    def _tell(self, tell: Callable[[_callbacks.Told], None]) -> None:
        """Hands on what C has reported to the callbacks."""
        while self._told:
            tell(self._told.popleft())

    def _tell_datagram(self, told: _callbacks.Told) -> None:
        if isinstance(told, _callbacks.Datagram):
            try:
                self._tell_all(told)
            except Exception:
                # What has ended the check is what comes out of the call.
                _logger.exception("on_datagram failed for a datagram that came before the check was aborted")

    def _tell_all(self, told: _callbacks.Told) -> None:
        if isinstance(told, CEvent):
            self._tell_event(_events.from_c(told))
        elif isinstance(told, _callbacks.Datagram):
            assert self._on_datagram is not None
            self._on_datagram(told.payload, _arguments.decode_address(told.sockaddr))
        else:
            self._tell_line(LogLevel(told.level), decode(told.text))

    def _tell_event(self, event: Event) -> None:
        if self._stream is not None:
            self._stream.append(event)
        if self._on_event is not None:
            self._on_event(event)

    def _tell_line(self, level: LogLevel, line: str) -> None:
        if self._on_log is not None and level <= self._log_level:
            self._on_log(level, line)
        if self._logger is not None:
            self._logger.log(_LOGGING_LEVELS.get(level, logging.DEBUG), "%s", line)


def verdict(result: Result) -> Result:
    """The outcome of a check that has ended: what was found out, or the exception that says why not."""
    if result.status != Status.OK:
        raise _errors.error(result.status, result.detail, result)
    return result
