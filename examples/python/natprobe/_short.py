# SPDX-License-Identifier: MIT
"""A check in one call."""

from __future__ import annotations

import logging
from typing import Iterable, Optional

from ._probe import Probe
from ._results import Result
from ._settings import DEFAULT_TIMEOUT
from ._values import Family, Scope


def check_nat(
    source_ip: Optional[str] = None,
    source_port: int = 0,
    *,
    servers: Iterable[str] = (),
    family: int = Family.ANY,
    scope: int = Scope.DEFAULT,
    timeout: float = DEFAULT_TIMEOUT,
    logger: Optional[logging.Logger] = None,
) -> Result:
    """Finds out the NAT type. Blocks for a few round trips, at most for `timeout` seconds.

    The type is NatType.CONE or NatType.NO_NAT if no server can show the filtering.

    Args:
        source_ip: Local IP address to check from, None for any address of either family.
        source_port: Local UDP port to check from, 0 for any free one.
        servers: Servers to ask instead of the built-in public ones.
        family: IPv4, IPv6, or either.
        scope: Which tests to run.
        timeout: Seconds for the whole check, name resolution included.
        logger: Gets the log, each step at DEBUG.

    Raises:
        NatProbeError: there is no verdict. The class says why, and `result` has what is known.
    """
    with Probe(
        servers=servers,
        source_ip=source_ip,
        source_port=source_port,
        family=family,
        scope=scope,
        timeout=timeout,
        logger=logger,
    ) as probe:
        return probe.run()


async def check_nat_async(
    source_ip: Optional[str] = None,
    source_port: int = 0,
    *,
    servers: Iterable[str] = (),
    family: int = Family.ANY,
    scope: int = Scope.DEFAULT,
    timeout: float = DEFAULT_TIMEOUT,
    logger: Optional[logging.Logger] = None,
) -> Result:
    """As check_nat(), without blocking the event loop: in asyncio, trio or anyio."""
    with Probe(
        servers=servers,
        source_ip=source_ip,
        source_port=source_port,
        family=family,
        scope=scope,
        timeout=timeout,
        logger=logger,
    ) as probe:
        return await probe.run_async()
