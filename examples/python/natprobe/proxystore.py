# SPDX-License-Identifier: MIT
"""Stands in for `proxystore.p2p.nat` of proxystore up to 1.0.0: `from natprobe.proxystore import check_nat`.

`natprobe.proxystore_1_1` stands in for that of proxystore 1.1.

Names, values, defaults, signatures, lines of the log and kinds of exceptions are those of the original. New programs
had better use `natprobe.check_nat()`: the six types here cannot say that the filtering is unknown, and the fixed source
port, 54320, lets only one check run at a time.

What is different:

* Most servers cannot show how a NAT filters, and then the original may still name a type. Here check_nat() raises
  PartialVerdictError, a RuntimeError, unless some server can.
* The logger is called "natprobe.proxystore".
"""

from __future__ import annotations

import contextlib
import enum
import logging
import operator
import socket
from typing import Dict, NamedTuple

import natprobe
from natprobe import LogLevel, NatProbeError

__all__ = [
    "DEFAULT_SOURCE_IP",
    "DEFAULT_SOURCE_PORT",
    "NatType",
    "PartialVerdictError",
    "Result",
    "check_nat",
    "check_nat_and_log",
]

logger = logging.getLogger(__name__)

DEFAULT_SOURCE_IP = "0.0.0.0"
"""Where check_nat() sends from: any IPv4 address of this host."""
DEFAULT_SOURCE_PORT = 54320
"""The port that check_nat() sends from."""
_PORT_MAX = 0xFFFF


class NatType(enum.Enum):
    """The six NAT types of RFC 3489 section 5, with the names and values of `proxystore.p2p.nat.NatType`."""

    OpenInternet = "Open Internet (No NAT)"
    """No translation, nothing filtered."""
    FullCone = "Full-cone NAT"
    """Endpoint-independent mapping and filtering."""
    SymmetricUDPFirewall = "Symmetric UDP Firewall NAT"
    """No translation, but unsolicited datagrams are filtered."""
    RestrictedCone = "Restricted-cone NAT"
    """Endpoint-independent mapping, address-dependent filtering."""
    PortRestrictedCone = "Port Restricted-cone NAT"
    """Endpoint-independent mapping, address- and port-dependent filtering."""
    Symmetric = "Symmetric NAT"
    """The mapping depends on the destination."""


class Result(NamedTuple):
    """What check_nat() returns, with the fields of `proxystore.p2p.nat.Result`."""

    nat_type: NatType
    """The type of the NAT that this host is behind."""
    external_ip: str
    """Its external (mapped) address."""
    external_port: int
    """The external (mapped) port of the source port."""


class PartialVerdictError(NatProbeError):
    """The check was successful (`status` is OK), but its verdict is none of the six types of NatType.

    The mapping is known and the filtering is not, so naming a type would be a guess. `result` has the external address,
    the mapping, and why the filtering is unknown.
    """


_TYPES: Dict[natprobe.NatType, NatType] = {
    natprobe.NatType.OPEN_INTERNET: NatType.OpenInternet,
    natprobe.NatType.FULL_CONE: NatType.FullCone,
    natprobe.NatType.RESTRICTED_CONE: NatType.RestrictedCone,
    natprobe.NatType.PORT_RESTRICTED_CONE: NatType.PortRestrictedCone,
    natprobe.NatType.SYMMETRIC: NatType.Symmetric,
    natprobe.NatType.SYMMETRIC_UDP_FIREWALL: NatType.SymmetricUDPFirewall,
}


def _convert(result: natprobe.Result) -> Result:
    nat_type = _TYPES.get(result.nat_type)
    if nat_type is None or result.external is None:
        text = f"{result.nat_type.description}, seen as {result.external}"
        raise PartialVerdictError(f"{text}; {result.detail}" if result.detail else text, result.status, result)
    return Result(nat_type, result.external.ip, result.external.port)


def _is_literal(ip: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, ip)
            return True
    return False


def _resolve(source_ip: str) -> str:
    """The address that bind() makes of it: any address for an empty text, and a name is looked up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source_ip, 0))
        return str(sock.getsockname()[0])


def check_nat(source_ip: str = DEFAULT_SOURCE_IP, source_port: int = DEFAULT_SOURCE_PORT) -> Result:
    """Finds out the NAT type with the built-in public servers. Logs each step at DEBUG.

    Args:
        source_ip: Local address to check from; an IPv6 literal ("::") checks IPv6.
        source_port: Local UDP port to check from, 0 for any free one.

    Raises:
        PartialVerdictError: servers answered, but none could show the filtering, and so the type.
        NatProbeError: there is no verdict. It is a RuntimeError, and an OSError too if the system refused something.
        OSError: source_ip is a name that cannot be looked up (socket.gaierror).
        OverflowError: source_port is not a port.
    """
    address = source_ip if _is_literal(source_ip) else _resolve(source_ip)
    if not 0 <= operator.index(source_port) <= _PORT_MAX:
        raise OverflowError(f"source_port must be in the range from 0 to {_PORT_MAX}")
    on_log = _log_debug if logger.isEnabledFor(logging.DEBUG) else None
    with natprobe.Probe(
        source_ip=address, source_port=source_port, on_log=on_log, log_level=LogLevel.DEBUG
    ) as probe:
        return _convert(probe.run())


def _log_debug(level: LogLevel, line: str) -> None:
    logger.debug("%s", line)


def check_nat_and_log(source_ip: str = DEFAULT_SOURCE_IP, source_port: int = DEFAULT_SOURCE_PORT) -> None:
    """As check_nat(), but logs the outcome and raises nothing.

    Logs type, external address and what they mean for hole punching at INFO, the latter at WARNING if it is unlikely to
    work, and a failure at ERROR.

    Args:
        source_ip: As of check_nat().
        source_port: As of check_nat().
    """
    logger.info("Finding out the NAT type, which takes some seconds at most")
    try:
        nat_type, external_ip, external_port = check_nat(source_ip, source_port)
    except Exception as error:
        logger.error("Failed to determine NAT type: %s", error)
        return
    logger.info("NAT type:      %s", nat_type.value)
    logger.info("External IP:   %s", external_ip)
    logger.info("External port: %s", external_port)
    if nat_type is NatType.Symmetric:
        logger.warning("UDP hole punching is unlikely to work. %s", _advice(nat_type))
    else:
        logger.info("UDP hole punching is likely to work. %s", _advice(nat_type))


def _advice(nat_type: NatType) -> str:
    return next(known.advice for known, name in _TYPES.items() if name is nat_type)
