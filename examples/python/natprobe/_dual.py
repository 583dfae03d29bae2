# SPDX-License-Identifier: MIT
"""Both families at the same time."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any, Iterable, List, NamedTuple, Optional

from . import _errors, _waiting
from ._check import verdict
from ._errors import NatProbeError
from ._probe import Probe
from ._results import Result
from ._settings import DEFAULT_TIMEOUT
from ._values import Family, Scope, Status


class DualResult(NamedTuple):
    """What check_nat_dual() has found out. The `status` of each says whether that family has a verdict."""

    ipv4: Result
    """The result over IPv4."""
    ipv6: Result
    """The result over IPv6."""


def check_nat_dual(
    *,
    servers: Iterable[str] = (),
    source_port: int = 0,
    scope: int = Scope.DEFAULT,
    timeout: float = DEFAULT_TIMEOUT,
    logger: Optional[logging.Logger] = None,
) -> DualResult:
    """Checks over IPv4 and over IPv6 at the same time. Blocks for as long as the slower check.

    Each family has the time, the status and the result that it would have alone. If one is missing or silent, its
    `status` says so, and the other result stands. Signal handlers run meanwhile, and Ctrl-C ends both checks.

    Args:
        servers: Servers to ask instead of the built-in public ones. One given by address is asked by its family alone.
        source_port: Local UDP port to check from, in each family; 0 for any free one.
        scope: Which tests to run.
        timeout: Seconds for each check, name resolution included.
        logger: Gets the log of both, each step at DEBUG.

    Raises:
        NatProbeError: neither family has a verdict. It is that of IPv4, or that of IPv6 if IPv4 has no route or no
            server. `result` has what is known over that family.
    """
    with _Both(servers, source_port, scope, timeout, logger) as both:
        return both.run()


async def check_nat_dual_async(
    *,
    servers: Iterable[str] = (),
    source_port: int = 0,
    scope: int = Scope.DEFAULT,
    timeout: float = DEFAULT_TIMEOUT,
    logger: Optional[logging.Logger] = None,
) -> DualResult:
    """As check_nat_dual(), without blocking the event loop: in asyncio, trio or anyio."""
    with _Both(servers, source_port, scope, timeout, logger) as both:
        return await both.run_async()


class _Both:
    """A probe for each family."""

    def __init__(
        self, servers: Iterable[str], source_port: int, scope: int, timeout: float, logger: Optional[logging.Logger]
    ) -> None:
        self._results: List[Optional[Result]] = [None, None]
        self._probes: List[Probe] = []
        names = list(servers)
        try:
            for family in (Family.IPV4, Family.IPV6):
                self._probes.append(
                    Probe(
                        servers=names,
                        source_port=source_port,
                        family=family,
                        scope=scope,
                        timeout=timeout,
                        logger=logger,
                    )
                )
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> _Both:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for probe in self._probes:
            probe.close()

    def run(self) -> DualResult:
        """One thread waits for both."""
        for index, probe in enumerate(self._probes):
            try:
                probe.start()
            except NatProbeError as error:
                self._results[index] = _outcome(error)
        while self._running():
            _waiting.wait(*(self._ready(index) for index in self._running()))
            for index in self._running():
                self._go_on(index)
        return self._conclude()

    def _running(self) -> List[int]:
        return [index for index, result in enumerate(self._results) if result is None]

    def _ready(self, index: int) -> int:
        probe = self._probes[index]
        ready = probe.wait_handle() if sys.platform == "win32" else probe.fileno()
        assert ready is not None
        return ready

    def _go_on(self, index: int) -> None:
        try:
            self._results[index] = self._probes[index].process()
        except NatProbeError as error:
            self._results[index] = _outcome(error)

    async def run_async(self) -> DualResult:
        """A task for each. If one raises what is no outcome, such as a cancellation, the other ends first."""
        if _waiting.event_loop() == "trio":
            await self._run_in_nursery(sys.modules["trio"])
        else:
            await self._run_in_tasks()
        return self._conclude()

    async def _run_in_tasks(self) -> None:
        tasks: List[asyncio.Task[Any]] = [asyncio.ensure_future(self._run_one(index)) for index in (0, 1)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_in_nursery(self, trio: Any) -> None:
        """What a callback raises comes out by itself, not in a group."""
        raised: List[Exception] = []

        async def run(index: int) -> None:
            try:
                await self._run_one(index)
            except Exception as error:
                raised.append(error)
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, 0)
            nursery.start_soon(run, 1)
        if raised:
            raise raised[0]

    async def _run_one(self, index: int) -> None:
        try:
            self._results[index] = await self._probes[index].run_async()
        except NatProbeError as error:
            self._results[index] = _outcome(error)

    def _conclude(self) -> DualResult:
        ipv4, ipv6 = self._results
        assert ipv4 is not None and ipv6 is not None
        if Status.OK not in (ipv4.status, ipv6.status):
            has_no_ipv4 = ipv4.status in (Status.NETWORK_UNREACHABLE, Status.RESOLVE)
            verdict(ipv6 if has_no_ipv4 else ipv4)
        return DualResult(ipv4, ipv6)


def _outcome(error: _errors.NatProbeError) -> Result:
    """What a check without a verdict has found out. One that could not begin has no result."""
    return error.result if error.result is not None else Result(status=error.status, detail=str(error))
