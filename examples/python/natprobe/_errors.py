# SPDX-License-Identifier: MIT
"""The exceptions. Each has the base class that Python's own functions raise for the same reason."""

from __future__ import annotations

import errno
import socket
import sys
from typing import TYPE_CHECKING, Dict, Optional, Type

from ._values import Status

if TYPE_CHECKING:
    from ._results import Result


# Where <errno.h> of Windows and the module errno have other numbers for the same: the module has those of Windows' sockets.
_IN_C = {
    100: "EADDRINUSE",
    101: "EADDRNOTAVAIL",
    102: "EAFNOSUPPORT",
    106: "ECONNABORTED",
    107: "ECONNREFUSED",
    108: "ECONNRESET",
    110: "EHOSTUNREACH",
    113: "EISCONN",
    115: "EMSGSIZE",
    116: "ENETDOWN",
    117: "ENETRESET",
    118: "ENETUNREACH",
    119: "ENOBUFS",
    126: "ENOTCONN",
    128: "ENOTSOCK",
    130: "EOPNOTSUPP",
    135: "EPROTONOSUPPORT",
    138: "ETIMEDOUT",
    140: "EWOULDBLOCK",
}


def _errno(status: Status, os_error: int, platform: str) -> int:
    """The number that the module errno has for what the library reports, or an EAI_* code."""
    if platform != "win32" or status == Status.RESOLVE or os_error not in _IN_C:
        return os_error
    return int(getattr(errno, _IN_C[os_error]))


class NatProbeError(RuntimeError):
    """The base of all errors of this package."""

    def __init__(self, message: str, status: Status, result: Optional[Result] = None) -> None:
        super().__init__(message, status, result)
        self.status = status
        """Why."""
        self.result = result
        """What the check has found out without a verdict; None if no check was run."""

    def __str__(self) -> str:
        return str(self.args[0])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r}, {self.status!r})"


class NatProbeOSError(NatProbeError, OSError):
    """The base of errors that are an OSError. `errno` says what the system reported, or is None."""

    def __init__(self, message: str, status: Status, result: Optional[Result] = None) -> None:
        super().__init__(message, status, result)
        self.errno = (_errno(status, result.os_error, sys.platform) if result is not None else 0) or None
        self.strerror = message


class InvalidArgumentError(NatProbeError, ValueError):
    """An argument is malformed or out of range, or arguments do not go together (NP_ERR_ARGUMENT)."""


class LimitError(NatProbeError, ValueError):
    """A list is full: more than MAX_SERVERS servers (NP_ERR_LIMIT)."""


class ProbeClosedError(NatProbeError, ValueError):
    """The probe was used after close(), or by another process than the one that made it."""


class OutOfMemoryError(NatProbeError, MemoryError):
    """Out of memory (NP_ERR_NO_MEMORY)."""


class ResourceError(NatProbeOSError):
    """The system refused something: one more descriptor, or the choice of an interface (NP_ERR_SYSTEM)."""


class BusyError(NatProbeError):
    """The probe is in use already: in another thread, further up the stack, or running (NP_ERR_BUSY)."""


class AddressInUseError(NatProbeOSError):
    """The source port is taken (NP_ERR_ADDRESS_IN_USE)."""


class AddressNotAvailableError(NatProbeOSError):
    """This host does not have the source address, or the interface (NP_ERR_ADDRESS_NOT_AVAILABLE)."""


class ResolveError(NatProbeOSError, socket.gaierror):
    """No server name led to an address of the chosen family (NP_ERR_RESOLVE). `errno` is an EAI_* code."""


class NetworkUnreachableError(NatProbeOSError):
    """There is no route to any server, or the host's own firewall refuses to send (NP_ERR_NETWORK_UNREACHABLE)."""


class NoResponseError(NatProbeError):
    """Nothing was ever heard (NP_ERR_NO_RESPONSE). UDP is blocked if `result.nat_type` says so."""


class AddressChangedError(NatProbeError):
    """The external address changed during the check, and again after a restart (NP_ERR_ADDRESS_CHANGED)."""


class InconclusiveError(NatProbeError):
    """Servers answered, but showed nothing beyond the external address (NP_ERR_INCONCLUSIVE)."""


class CheckTimeoutError(NatProbeOSError, TimeoutError):
    """The time allowed ran out: after something came, or before anything was sent (NP_ERR_TIMEOUT)."""


class CheckCancelledError(NatProbeError):
    """The check was cancelled with Probe.cancel() or Probe.close() (NP_ERR_CANCELLED)."""


class BadResponseError(NatProbeError):
    """Something answers at the servers' addresses, but not with usable answers (NP_ERR_BAD_RESPONSE)."""


class NotOpenError(NatProbeError):
    """A survey could not prove that this host is open to the internet (NP_ERR_NOT_OPEN)."""


CLASSES: Dict[Status, Type[NatProbeError]] = {
    Status.ARGUMENT: InvalidArgumentError,
    Status.NO_MEMORY: OutOfMemoryError,
    Status.SYSTEM: ResourceError,
    Status.BUSY: BusyError,
    Status.LIMIT: LimitError,
    Status.ADDRESS_IN_USE: AddressInUseError,
    Status.ADDRESS_NOT_AVAILABLE: AddressNotAvailableError,
    Status.RESOLVE: ResolveError,
    Status.NETWORK_UNREACHABLE: NetworkUnreachableError,
    Status.NO_RESPONSE: NoResponseError,
    Status.ADDRESS_CHANGED: AddressChangedError,
    Status.INCONCLUSIVE: InconclusiveError,
    Status.TIMEOUT: CheckTimeoutError,
    Status.CANCELLED: CheckCancelledError,
    Status.BAD_RESPONSE: BadResponseError,
    Status.NOT_OPEN: NotOpenError,
}


def error(code: int, message: str = "", result: Optional[Result] = None) -> NatProbeError:
    """The exception for a code of the library. Without a message it has the library's sentence."""
    status = Status(code)
    return CLASSES.get(status, NatProbeError)(message or status.description, status, result)
