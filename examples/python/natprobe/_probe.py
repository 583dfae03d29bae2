# SPDX-License-Identifier: MIT
"""The probe: a check with all its settings, to run any number of times."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Iterable, Optional, Union

from . import _errors
from ._arguments import HasFileno
from ._check import Check
from ._results import Result
from ._settings import DEFAULT_LIFETIME_LIMIT, DEFAULT_TIMEOUT, OnDatagram, OnEvent, OnLog
from ._stream import EventStream
from ._values import Family, LogLevel, Scope, Status


class Probe(Check):
    """A check in preparation, running or done. It may run any number of times.

    Every keyword argument is also a property, which may be set whenever no check is running. By default the probe asks
    the built-in public servers from any free port, runs all tests, and has no callbacks.

    There are four ways to run it:

    * `run()` blocks. Signal handlers run meanwhile, and Ctrl-C ends it.
    * `await run_async()`, in asyncio, trio or anyio.
    * `async for event in events()`, likewise, for programs that want to see what happens.
    * `start()`, then `process()` whenever `fileno()` is readable, for any other event loop.
      On Windows, whenever `wait_handle()` is signalled.

    Callbacks are plain functions. They are called in the thread that runs the probe, and should be quick. A callback
    may call `cancel()`, `close()`, `fileno()` and `wait_handle()` on its probe, nothing else. An exception from a callback aborts the
    check and comes out of the call that runs it. After that only datagrams are still handed over.

    Different probes are independent, in any number of threads. One probe does one thing at a time: while a call on it
    is in progress, every other call raises BusyError, except `cancel()`, `close()`, `fileno()` and `wait_handle()`. A
    probe made before os.fork() belongs to the parent: in the child, cancel() and close() do nothing, and other calls
    raise ProbeClosedError.

    Close the probe when it is no longer needed: with `close()`, `with` or `async with`. Python warns of a probe that
    was never closed (ResourceWarning), and frees it.
    """

    def __init__(
        self,
        *,
        servers: Iterable[str] = (),
        source_ip: Optional[str] = None,
        source_port: int = 0,
        interface: Optional[str] = None,
        sock: Union[HasFileno, int, None] = None,
        on_datagram: Optional[OnDatagram] = None,
        family: int = Family.ANY,
        scope: int = Scope.DEFAULT,
        timeout: float = DEFAULT_TIMEOUT,
        response_timeout: Optional[float] = None,
        lifetime_limit: int = DEFAULT_LIFETIME_LIMIT,
        on_event: Optional[OnEvent] = None,
        on_log: Optional[OnLog] = None,
        log_level: int = LogLevel.INFO,
        logger: Optional[logging.Logger] = None,
    ) -> None:
        super().__init__()
        try:
            self.source_ip = source_ip
            self.source_port = source_port
            self.interface = interface
            self.on_datagram = on_datagram
            self.sock = sock
            self.family = family
            self.scope = scope
            self.timeout = timeout
            self.response_timeout = response_timeout
            self.lifetime_limit = lifetime_limit
            self.on_event = on_event
            self.on_log = on_log
            self.log_level = log_level
            self.logger = logger
            self.servers = servers
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        state = "closed" if self._closed else "running" if self._running else "idle"
        return f"<natprobe.Probe {state}, servers={list(self._servers)}>"

    @property
    def last_result(self) -> Optional[Result]:
        """What the last check that ended has found out, with a verdict or without; None before the first."""
        return self._last_result

    def run(self) -> Result:
        """Runs the check and blocks until it is done, cancelled or out of time.

        Other Python threads go on meanwhile. In the main thread signal handlers run as well. What they raise, such as
        KeyboardInterrupt, aborts the check and comes out here.

        Raises:
            NatProbeError: there is no verdict. The class says why, and `result` has what is known.
        """
        token = threading.Lock()
        with token:
            self._take(token)
            try:
                return self._run()
            finally:
                self._leave()

    def _run(self) -> Result:
        self._require_idle()
        try:
            self._begin()
            while True:
                result = self._step()
                if result is not None:
                    return result
                self._wait()
        except BaseException:
            self._abandon()
            raise

    async def run_async(self) -> Result:
        """Runs the check as a coroutine of asyncio, trio or anyio. Any number of probes may run at once.

        Cancelling the task aborts the check at once, so asyncio.wait_for() and the like work as expected.

        Raises:
            NatProbeError: as run().
        """
        token = threading.Lock()
        with token:
            self._take(token)
            try:
                return await self._run_async()
            finally:
                self._leave()

    async def _run_async(self) -> Result:
        self._require_idle()
        try:
            self._begin()
            while True:
                result = self._step()
                if result is not None:
                    return result
                await self._wait_async()
        except BaseException:
            self._abandon()
            raise

    def events(self) -> EventStream:
        """Runs the check, and yields what happens as it happens: `async for event in probe.events()`.

        After the last event, an EndedEvent, `last_result` has the result. Leaving the loop early aborts the check.

        Raises:
            NatProbeError: there is no verdict. Comes after the last event, as from run().
        """
        return EventStream(self)

    def start(self) -> None:
        """Begins a check in an event loop of any kind: call process() whenever fileno() is readable.

        Raises:
            BusyError: a check is running already.
            NatProbeError: it cannot begin. process() reports whatever goes wrong later.
        """
        token = threading.Lock()
        with token:
            self._take(token)
            try:
                self._start()
            finally:
                self._leave()

    def _start(self) -> None:
        self._require_idle()
        try:
            self._begin()
            self._require_open()  # a callback may have closed it
            self._by_hand = True
        except BaseException:
            self._abandon()
            raise

    def fileno(self) -> int:
        """The descriptor that is readable whenever process() has something to do; -1 before the first check.

        Watch it level-triggered and for reading only. Never read, write or close it. It stays the same until close():
        stop watching it before that.

        On Windows there is no such descriptor: it is always -1, and wait_handle() has the handle.
        """
        self._require_open()
        if sys.platform == "win32" or self._ready is None:
            return -1
        return self._ready

    def wait_handle(self) -> Optional[int]:
        """On Windows, in place of fileno(): the handle that is signalled whenever process() has something to do.

        None on other systems, and before the first check. Wait for it, never set, reset or close it. It stays the same
        until close().
        """
        self._require_open()
        return self._ready if sys.platform == "win32" else None

    def process(self) -> Optional[Result]:
        """Goes on with a check that was started, as far as it can without waiting. Calling it too often does no harm.

        Returns:
            None while the check goes on; then, once, the result. The probe is then free for another run.

        Raises:
            InvalidArgumentError: nothing was started.
            NatProbeError: as run().
        """
        token = threading.Lock()
        with token:
            self._take(token)
            try:
                if self._running and self._stream is not None:
                    raise _errors.error(Status.BUSY)
                if not self._by_hand:
                    raise _errors.error(Status.ARGUMENT, "no check was started")
                result = self._go_on()
                if result is None:
                    self._require_open()
                return result
            finally:
                self._leave()
