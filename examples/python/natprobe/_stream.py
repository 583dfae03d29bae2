# SPDX-License-Identifier: MIT
"""The events of a check as an asynchronous iterator."""

from __future__ import annotations

import collections
import threading
from typing import Deque, Optional

from . import _errors
from ._check import Check
from ._events import Event


class EventStream:
    """Runs a check as it is read: what Probe.events() returns.

    It holds the probe only during a step. In between the check just goes on.
    """

    def __init__(self, probe: Check) -> None:
        self._probe = probe
        self._events: Deque[Event] = collections.deque()
        self._failure: Optional[BaseException] = None
        self._state = "new"  # then "running", then "over"
        self._is_awaited = False

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        """The next event."""
        while not self._events and self._state != "over":
            await self._advance()
        if self._events:
            return self._events.popleft()
        failure, self._failure = self._failure, None
        raise failure or StopAsyncIteration

    async def aclose(self) -> None:
        """Aborts the check if it is running. A task that waits for the next event gets CheckCancelledError."""
        if self._is_awaited:
            self._probe.cancel()
        else:
            self._abort()

    def __del__(self) -> None:
        self._abort()

    async def _advance(self) -> None:
        """A turn, after waiting for something to do."""
        probe, token = self._probe, threading.Lock()
        with token:
            probe._take(token)
            try:
                self._is_awaited = True
                if self._state == "new":
                    self._begin()
                else:
                    await probe._wait_async()
                if probe._step() is not None:
                    self._end()
            except _errors.NatProbeError as error:
                self._failure = error
                self._give_up()
            except BaseException:
                self._give_up()
                raise
            finally:
                self._is_awaited = False
                probe._leave()

    def _begin(self) -> None:
        self._probe._require_idle()
        self._state = "running"
        self._probe._stream = self._events
        self._probe._begin()

    def _end(self) -> None:
        self._state = "over"
        if self._probe._stream is self._events:
            self._probe._stream = None

    def _give_up(self) -> None:
        was_running = self._state == "running"
        self._end()
        if was_running:
            self._probe._abandon()

    def _abort(self) -> None:
        if self._state != "running":
            self._state = "over"
            return
        probe, token = self._probe, threading.Lock()
        with token:
            try:
                probe._take(token)
            except (_errors.BusyError, _errors.ProbeClosedError):
                self._end()  # who uses the probe next ends the check
                return
            try:
                self._give_up()
            finally:
                probe._leave()
