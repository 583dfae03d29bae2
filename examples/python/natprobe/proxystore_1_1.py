# SPDX-License-Identifier: MIT
"""Stands in for `proxystore.p2p.nat` of proxystore 1.1: `from natprobe.proxystore_1_1 import check_nat`.

Names, values, defaults, signatures, levels of the log and kinds of exceptions are those of the original, and
check_nat() is a coroutine for asyncio. `natprobe.proxystore` stands in for releases up to 1.0.0.

What is different:

* The check ends as soon as the mapping is known. The original waits for every server, 2 s for one that is dead.
* Both the address and the port must be the host's own for NatMapping.NoNat. The original compares the address alone.
* One server that sees the host's own address and port is enough for NatMapping.NoNat. The original needs two answers.
* `timeout` includes the name resolution.
* An IPv6 literal as the source checks IPv6.
* The logger is called "natprobe.proxystore_1_1".
"""

from __future__ import annotations

import asyncio
import enum
import logging
import operator
import socket
from typing import Dict, NamedTuple

import natprobe
from natprobe import Behaviour, LogLevel, NatProbeError, Scope

from .proxystore import _PORT_MAX, _is_literal

__all__ = ["NatMapping", "Result", "check_nat", "check_nat_and_log"]

logger = logging.getLogger(__name__)

_LONGEST_TIMEOUT = 3600.0  # of the library


class NatMapping(enum.Enum):
    """The mapping behaviour, with the names and values of `proxystore.p2p.nat.NatMapping`."""

    NoNat = "No NAT"
    """Servers see this host's own address and port."""
    EndpointIndependent = "Endpoint-independent mapping"
    """Every server sees the same external address and port."""
    AddressDependent = "Address-dependent mapping"
    """Different servers see different external addresses or ports."""


class Result(NamedTuple):
    """What check_nat() returns, with the fields of `proxystore.p2p.nat.Result`."""

    mapping: NatMapping
    """How the NAT maps."""
    external_ip: str
    """The external (mapped) address."""
    external_port: int
    """The external (mapped) port. If the mapping is AddressDependent, another destination sees another one."""
    hole_punching_likely: bool
    """Whether the mapping permits UDP hole punching: True unless it is AddressDependent.

    The NAT of the peer counts as much. `natprobe.outlook()` judges from the profiles of both.
    """


_MAPPINGS: Dict[Behaviour, NatMapping] = {
    Behaviour.NONE: NatMapping.NoNat,
    Behaviour.ENDPOINT_INDEPENDENT: NatMapping.EndpointIndependent,
    Behaviour.ADDRESS_DEPENDENT: NatMapping.AddressDependent,
    Behaviour.ADDRESS_AND_PORT_DEPENDENT: NatMapping.AddressDependent,
    Behaviour.ENDPOINT_DEPENDENT: NatMapping.AddressDependent,
}


def _convert(result: natprobe.Result) -> Result:
    mapping = _MAPPINGS.get(result.mapping)
    if mapping is None or result.external is None:
        text = f"the servers do not agree on an external address, {result.mapping} mapping"
        raise NatProbeError(result.detail or text, result.status, result)
    likely = mapping is not NatMapping.AddressDependent
    return Result(mapping, result.external.ip, result.external.port, likely)


async def _resolve(source_ip: str) -> str:
    """The first IPv4 address of a name, looked up without blocking the loop."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(source_ip, 0, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    return str(found[0][4][0])


async def check_nat(source_ip: str = "0.0.0.0", source_port: int = 0, timeout: float = 2.0) -> Result:
    """Finds out the mapping behaviour with the built-in public servers. Logs each step at DEBUG.

    Args:
        source_ip: Local address to check from; an IPv6 literal ("::") checks IPv6.
        source_port: Local UDP port to check from, 0 for any free one.
        timeout: Seconds for the whole check, name resolution included. It ends earlier as soon as the mapping is known.

    Raises:
        NatProbeError: the mapping is not known. It is a RuntimeError, and an OSError too if the system refused
            something.
        OSError: source_ip is a name that cannot be looked up (socket.gaierror).
        OverflowError: source_port is not a port.
    """
    address = source_ip if _is_literal(source_ip) else await _resolve(source_ip)
    if not 0 <= operator.index(source_port) <= _PORT_MAX:
        raise OverflowError(f"source_port must be in the range from 0 to {_PORT_MAX}")
    with natprobe.Probe(
        source_ip=address,
        source_port=source_port,
        scope=Scope.MAPPING,
        timeout=min(timeout, _LONGEST_TIMEOUT),
        on_log=_log_debug if logger.isEnabledFor(logging.DEBUG) else None,
        log_level=LogLevel.DEBUG,
    ) as probe:
        return _convert(await probe.run_async())


def _log_debug(level: LogLevel, line: str) -> None:
    logger.debug("%s", line)


async def check_nat_and_log(source_ip: str = "0.0.0.0", source_port: int = 0, timeout: float = 2.0) -> None:
    """As check_nat(), but logs the outcome and raises nothing, except that it can be cancelled.

    Logs mapping, external address and what they mean for hole punching at INFO, the latter at WARNING if it is unlikely
    to work, and a failure at ERROR.

    Args:
        source_ip: As of check_nat().
        source_port: As of check_nat().
        timeout: As of check_nat().
    """
    logger.info("Finding out the NAT mapping, which takes some seconds at most")
    try:
        result = await check_nat(source_ip, source_port, timeout)
    except Exception as error:
        logger.error("Failed to determine NAT mapping: %s", error)
        return
    logger.info("NAT mapping:   %s", result.mapping.value)
    logger.info("External IP:   %s", result.external_ip)
    logger.info("External port: %s", result.external_port)
    if result.hole_punching_likely:
        logger.info("UDP hole punching is likely to work, unless the peer's NAT prevents it")
    else:
        logger.warning("UDP hole punching is unlikely to work: each peer sees another external port. Use a relay")
