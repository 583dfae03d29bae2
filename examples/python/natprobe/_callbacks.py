# SPDX-License-Identifier: MIT
"""The functions that C calls.

They only note what C reports. The probe hands it on once C has returned, so the user's functions may raise, may be
interrupted, and may take their time. C gets the same functions for all probes, and the probe's key as `user`. So there
is no cycle of references through ctypes, and no function that C may still call is ever freed.
"""

from __future__ import annotations

import ctypes
import itertools
import signal
import sys
import threading
import weakref
from typing import Any, Deque, NamedTuple, Optional, Protocol, Union

from ._library import CEvent, DatagramFn, EventFn, LogFn


class Line(NamedTuple):
    """A line of the log."""

    level: int
    text: bytes


class Datagram(NamedTuple):
    """A datagram that came to the caller's socket and is not for the library."""

    payload: bytes
    sockaddr: bytes


Told = Union[Line, CEvent, Datagram]


class Listener(Protocol):
    """What C reports to."""

    _told: Deque[Told]


_listeners: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_keys = itertools.count(1)


def register(listener: Listener) -> int:
    """The key that C has to pass on for this listener, as long as it lives."""
    key = next(_keys)
    _listeners[key] = listener
    return key


def _on_log(level: int, message: bytes, user: int) -> None:
    _listeners[user]._told.append(Line(level, message))


def _on_event(event: Any, user: int) -> None:
    _listeners[user]._told.append(CEvent.from_buffer_copy(event.contents))


def _on_datagram(data: Optional[int], size: int, address: int, address_size: int, user: int) -> None:
    payload = ctypes.string_at(data, size) if data and size else b""
    _listeners[user]._told.append(Datagram(payload, ctypes.string_at(address, address_size)))


LOG, NO_LOG = LogFn(_on_log), LogFn()
EVENT, NO_EVENT = EventFn(_on_event), EventFn()
DATAGRAM, NO_DATAGRAM = DatagramFn(_on_datagram), DatagramFn()

# Those for which programs have handlers that may raise, and that the system has.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2")
_HELD_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


def call(function: Any, *arguments: Any) -> int:
    """Calls a function of C that calls back, and makes signals wait until it has returned.

    Python runs signal handlers in its main thread, as soon as there is Python code to run: at the very beginning of a
    callback. What the handler raises there, ctypes can only print, so a KeyboardInterrupt would be lost. In a program
    with several threads it is still lost if the system gives the signal to another thread in this fraction of a
    millisecond. Windows cannot hold signals back, so that there the same is possible in every program.
    """
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return int(function(*arguments))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_SIGNALS)
        return int(function(*arguments))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
