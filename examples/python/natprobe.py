# SPDX-License-Identifier: MIT
"""What kind of NAT is this host behind? libnatprobe for Python 3.8 or later on POSIX systems, in one file to copy.

Three ways to use it, from short to full:

* `check_nat()` and `check_nat_and_log()` stand in for those of `proxystore.p2p.nat` (of proxystore up to 1.0):

      from natprobe import check_nat
      nat_type, external_ip, external_port = check_nat()

* `await check_nat_async()` is the same without blocking, for asyncio.
* `Probe` is everything: servers, address family, tests, timeouts, log, events, a socket of one's own; blocking,
  in asyncio, or in an event loop of another kind. Its answer is a `NatResult`:

      with Probe(servers=["stun.example.org"], tests=Tests.MAPPING) as probe:
          result = probe.run()          # or: await probe.run_async()
          print(result.nat_type, result.mapping, result.external_ip, result.external_port)

A check that ends without a verdict raises a `NatProbeError`, which is a RuntimeError, of a class that tells the reason.

The shared library is that which the environment variable NATPROBE_LIBRARY names; else the system's loader searches for
libnatprobe.so.0 (see ldconfig, LD_LIBRARY_PATH). The import fails with an ImportError that says what to do otherwise.

Threads: different probes may be used in parallel freely. One probe does one thing at a time: while it is in use, in
another thread or further up the stack, everything but `cancel()`, `close()` and `fileno()` raises BusyError.

Processes: a probe made before os.fork() belongs to the parent. In the child, cancel() and close() do nothing to it, and
everything else raises ProbeClosedError.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import ctypes
import enum
import itertools
import logging
import operator
import os
import select
import signal
import socket
import struct
import sys
import threading
import weakref
from dataclasses import dataclass
from typing import Any, Callable, Deque, Dict, Iterable, NamedTuple, Optional, Protocol, Tuple, Type, TypeVar, Union

__all__ = [
    "DEFAULT_RESPONSE_TIMEOUT",
    "DEFAULT_SOURCE_IP",
    "DEFAULT_SOURCE_PORT",
    "DEFAULT_TIMEOUT",
    "MAX_SERVERS",
    "Address",
    "AddressChangedError",
    "AddressInUseError",
    "AddressNotAvailableError",
    "BadResponseError",
    "Behaviour",
    "BusyError",
    "CheckCancelledError",
    "DeadlineError",
    "Event",
    "EventKind",
    "Evidence",
    "Family",
    "HasFileno",
    "InconclusiveError",
    "InvalidArgumentError",
    "LogLevel",
    "NatProbeError",
    "NatProbeOSError",
    "NatResult",
    "NatType",
    "NetworkUnreachableError",
    "NoResponseError",
    "OnDatagram",
    "OnEvent",
    "OnLog",
    "OutOfMemoryError",
    "PartialVerdictError",
    "Probe",
    "ProbeClosedError",
    "Purpose",
    "ResolveError",
    "ResourceError",
    "Result",
    "Status",
    "Test",
    "Tests",
    "Verdict",
    "check_nat",
    "check_nat_and_log",
    "check_nat_async",
    "version",
    "version_number",
]

logger = logging.getLogger(__name__)

DEFAULT_SOURCE_IP = "0.0.0.0"
"""Where `check_nat()` sends from: any IPv4 address of this host."""
DEFAULT_SOURCE_PORT = 54320
"""The port that `check_nat()` sends from. 0, any free port, is just as good for a check."""
DEFAULT_TIMEOUT = 10.0
"""Seconds for a whole check, name resolution included."""
DEFAULT_RESPONSE_TIMEOUT = 3.0
"""Seconds of silence from every server until UDP is called blocked."""
MAX_SERVERS = 32
"""Most servers that one probe holds."""

# ---- The library --------------------------------------------------------------------------------------------------

_IP_TEXT_SIZE = 46


class _CResult(ctypes.Structure):
    """np_result."""

    _fields_ = [
        ("error", ctypes.c_int32),
        ("nat_type", ctypes.c_int32),
        ("mapping", ctypes.c_int32),
        ("filtering", ctypes.c_int32),
        ("evidence", ctypes.c_uint32),
        ("os_error", ctypes.c_int32),
        ("packets_sent", ctypes.c_uint32),
        ("packets_received", ctypes.c_uint32),
        ("rtt_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("external_port", ctypes.c_uint16),
        ("local_port", ctypes.c_uint16),
        ("external_ip", ctypes.c_char * _IP_TEXT_SIZE),
        ("local_ip", ctypes.c_char * _IP_TEXT_SIZE),
        ("server", ctypes.c_char * 64),
        ("detail", ctypes.c_char * 192),
        ("reserved", ctypes.c_uint8 * 112),
    ]


class _CEvent(ctypes.Structure):
    """np_event."""

    _fields_ = [
        ("kind", ctypes.c_int32),
        ("purpose", ctypes.c_int32),
        ("test", ctypes.c_int32),
        ("copy", ctypes.c_uint32),
        ("stun_error", ctypes.c_int32),
        ("behaviour", ctypes.c_int32),
        ("nat_type", ctypes.c_int32),
        ("error", ctypes.c_int32),
        ("time_us", ctypes.c_uint64),
        ("remote", ctypes.c_char * 64),
        ("external", ctypes.c_char * 64),
        ("reserved", ctypes.c_uint8 * 88),
    ]


_LogFn = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p)
_EventFn = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_CEvent))
_DatagramFn = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t
)

_int, _int32, _uint16, _uint32 = ctypes.c_int, ctypes.c_int32, ctypes.c_uint16, ctypes.c_uint32
_text, _pointer, _size = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t
_result = ctypes.POINTER(_CResult)

# Every function of natprobe.h. The three that block, np_check_nat(), np_check_nat_and_log() and np_probe_run(), are not
# called here, for no signal handler of Python's, hence no KeyboardInterrupt, would run until they return.
_PROTOTYPES: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {
    "np_check_nat": (_int, (_text, _uint16, _result)),
    "np_check_nat_and_log": (_int, (_text, _uint16, _LogFn, _pointer)),
    "np_probe_new": (_pointer, ()),
    "np_probe_free": (None, (_pointer,)),
    "np_probe_set_source": (_int, (_pointer, _text, _uint16)),
    "np_probe_set_socket": (_int, (_pointer, _int, _DatagramFn, _pointer)),
    "np_probe_add_server": (_int, (_pointer, _text)),
    "np_probe_clear_servers": (_int, (_pointer,)),
    "np_probe_set_family": (_int, (_pointer, _int32)),
    "np_probe_set_tests": (_int, (_pointer, _int32)),
    "np_probe_set_timeout": (_int, (_pointer, _uint32)),
    "np_probe_set_response_timeout": (_int, (_pointer, _uint32)),
    "np_probe_set_log": (_int, (_pointer, _LogFn, _pointer, _int32)),
    "np_probe_set_events": (_int, (_pointer, _EventFn, _pointer)),
    "np_probe_run": (_int, (_pointer, _result)),
    "np_probe_cancel": (None, (_pointer,)),
    "np_probe_start": (_int, (_pointer,)),
    "np_probe_fd": (_int, (_pointer,)),
    "np_probe_process": (_int, (_pointer, _result)),
    "np_strerror": (_text, (_int32,)),
    "np_error_name": (_text, (_int32,)),
    "np_nat_type_name": (_text, (_int32,)),
    "np_nat_type_description": (_text, (_int32,)),
    "np_nat_type_advice": (_text, (_int32,)),
    "np_behaviour_name": (_text, (_int32,)),
    "np_behaviour_description": (_text, (_int32,)),
    "np_evidence_name": (_text, (_uint32,)),
    "np_event_name": (_text, (_int32,)),
    "np_test_name": (_text, (_int32,)),
    "np_purpose_name": (_text, (_int32,)),
    "np_version": (_text, ()),
    "np_version_number": (_uint32, ()),
    "np_result_size": (_size, ()),
    "np_event_size": (_size, ()),
}

# The release that this file was written for. Later ones with the same soname only add to it.
_WRITTEN_FOR = 0x000200
_LIBRARY_NAMES = ("libnatprobe.0.dylib", "libnatprobe.dylib") if sys.platform == "darwin" else ("libnatprobe.so.0",)


def _open_library() -> ctypes.CDLL:
    chosen = os.environ.get("NATPROBE_LIBRARY")
    reasons = []
    for name in (chosen,) if chosen else _LIBRARY_NAMES:
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            reasons.append(str(error))
    raise ImportError(
        "cannot load libnatprobe ({}): install it where the loader searches, name its folder in LD_LIBRARY_PATH, "
        "or the file itself in NATPROBE_LIBRARY".format("; ".join(reasons))
    )


def _declare(library: ctypes.CDLL, name: str) -> None:
    function = getattr(library, name)
    function.restype, function.argtypes = _PROTOTYPES[name]


def _check_library(library: ctypes.CDLL) -> None:
    """Declares every function; a library that is too old, another one, or built otherwise is refused."""
    try:
        _declare(library, "np_version_number")
        found = library.np_version_number()
        if found < _WRITTEN_FOR:
            release = f"{found >> 16}.{found >> 8 & 255}.{found & 255}"
            raise ImportError(f"libnatprobe {release} is too old: natprobe.py needs 0.2.0 or later")
        for name in _PROTOTYPES:
            _declare(library, name)
    except AttributeError as error:
        raise ImportError(f"{library._name} is not a libnatprobe that natprobe.py can use: {error}") from None
    for what, size, expected in (
        ("np_result", library.np_result_size(), ctypes.sizeof(_CResult)),
        ("np_event", library.np_event_size(), ctypes.sizeof(_CEvent)),
    ):
        if size != expected:
            raise ImportError(f"{what} has {size} bytes in libnatprobe, natprobe.py expects {expected}")


def _load_library() -> Any:
    library = _open_library()
    _check_library(library)
    return library


_lib: Any = _load_library()


def _decode(text: Optional[bytes]) -> str:
    return (text or b"").decode("utf-8", "replace")


def version() -> str:
    """The version of the library that is running, such as "0.2.0"."""
    return _decode(_lib.np_version())


def version_number() -> int:
    """The version of the library that is running as one number, 0x00MMmmpp, that grows with each release."""
    return int(_lib.np_version_number())


# ---- Values ---------------------------------------------------------------------------------------------------------


class _Value(enum.IntEnum):
    """A value from the library. One that a later release has added is VALUE_n here."""

    @classmethod
    def _missing_(cls, value: object) -> Optional[_Value]:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = f"VALUE_{value:d}"
        member._value_ = int(value)
        return member

    @property
    def label(self) -> str:
        """The library's short name, in kebab case."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.label


class Status(_Value):
    """How a call or a check ended (enum np_error)."""

    OK = 0  # There is a verdict.
    PENDING = 1  # The check goes on.
    ARGUMENT = -1  # An argument is malformed or out of range.
    NO_MEMORY = -2  # Out of memory.
    SYSTEM = -3  # The system refused a resource, such as one more descriptor.
    BUSY = -4  # The probe is running.
    ADDRESS_IN_USE = -10  # The source port is taken.
    ADDRESS_NOT_AVAILABLE = -11  # The source address is not one of this host's.
    RESOLVE = -12  # No server name could be resolved to an address of the wanted family.
    NETWORK_UNREACHABLE = -13  # There is no route to any server, or the host's own firewall refuses to send.
    NO_RESPONSE = -20  # No server answered; the type is UDP_BLOCKED.
    ADDRESS_CHANGED = -21  # The external address changed during the check, and again after a restart.
    INCONCLUSIVE = -22  # Servers answered, but nothing beyond the external address could be learnt.
    TIMEOUT = -23  # The time allowed ran out before there was a verdict.
    CANCELLED = -24  # The check was cancelled.
    BAD_RESPONSE = -25  # Something answers at the servers' addresses, but nothing that could be used.

    @property
    def label(self) -> str:
        """Short name: "ok", "no-response", ..."""
        return _decode(_lib.np_error_name(self))

    @property
    def description(self) -> str:
        """A sentence, such as "No STUN server answered"."""
        return _decode(_lib.np_strerror(self))


class Verdict(_Value):
    """An RFC 3489 type where mapping and filtering are both known, else what is known (enum np_nat_type)."""

    UNKNOWN = 0  # Nothing can be said.
    OPEN_INTERNET = 1  # No translation, nothing filtered.
    FULL_CONE = 2  # Endpoint-independent mapping and filtering.
    RESTRICTED_CONE = 3  # Endpoint-independent mapping, address-dependent filtering.
    PORT_RESTRICTED_CONE = 4  # Endpoint-independent mapping, address- and port-dependent filtering.
    SYMMETRIC = 5  # Mapping depends on the destination.
    SYMMETRIC_UDP_FIREWALL = 6  # No translation, but unsolicited datagrams are filtered.
    UDP_BLOCKED = 7  # No server could be reached over UDP.
    CONE = 8  # Endpoint-independent mapping, filtering not known.
    NO_NAT = 9  # No translation, filtering not known.

    @property
    def label(self) -> str:
        """Short name: "port-restricted-cone", "no-nat", ..."""
        return _decode(_lib.np_nat_type_name(self))

    @property
    def description(self) -> str:
        """Text for people; for the six RFC 3489 types the value of `NatType`."""
        return _decode(_lib.np_nat_type_description(self))

    @property
    def advice(self) -> str:
        """What the type means for peer-to-peer connections, as one sentence."""
        return _decode(_lib.np_nat_type_advice(self))


class Behaviour(_Value):
    """Mapping or filtering behaviour, RFC 4787 sections 4.1 and 5 (enum np_behaviour)."""

    UNKNOWN = 0
    NONE = 1  # Mapping only: external and local address are the same.
    ENDPOINT_INDEPENDENT = 2
    ADDRESS_DEPENDENT = 3
    ADDRESS_AND_PORT_DEPENDENT = 4
    ENDPOINT_DEPENDENT = 5  # Depends on the endpoint; which kind is not known.

    @property
    def label(self) -> str:
        """Short name: "endpoint-independent", ..."""
        return _decode(_lib.np_behaviour_name(self))

    @property
    def description(self) -> str:
        """Text for people."""
        return _decode(_lib.np_behaviour_description(self))


class Evidence(enum.IntFlag):
    """What was seen and what was proven: any number of bits (enum np_evidence)."""

    ANSWERED = 1 << 0  # At least one server answered a plain request.
    SECOND_SERVER = 1 << 1  # The mapping was seen from servers of two unrelated addresses.
    ALTERNATE = 1 << 2  # The server named a usable second address (RFC 5780).
    ALTERNATE_ALIVE = 1 << 3  # That second address answered a plain request.
    ALTERNATE_REFUSED = 1 << 4  # A second address was named to which it would be wrong to send.
    MAPPING_PROVEN = 1 << 5  # The mapping was compared from two destination addresses, or is none.
    TEST_II_ANSWERED = 1 << 6  # An unsolicited answer came through from another address.
    TEST_III_ANSWERED = 1 << 7  # An unsolicited answer came through from another port.
    CONTROL_ANSWERED = 1 << 8  # The server sent the very answer that was missing once the path was open.
    FILTERING_PROVEN = 1 << 9  # The filtering verdict rests on an answer, or on silence with a control.
    CHANGE_IGNORED = 1 << 10  # A server answered CHANGE-REQUEST from the address it was sent to.
    CHANGE_PARTIAL = 1 << 11  # A server changed something else than it was asked to.
    CHANGE_REJECTED = 1 << 12  # A server answered CHANGE-REQUEST with an error.
    CONTROL_SILENT = 1 << 13  # The control failed: the server does not honour CHANGE-REQUEST.
    LOSS = 1 << 14  # Some datagrams were lost on the way.
    CLASSIC = 1 << 15  # A server answered only the RFC 3489 form of the request.
    ALG = 1 << 16  # Something rewrote MAPPED-ADDRESS on the way (RFC 5780 section 4.6).
    RESTARTED = 1 << 17  # The external address changed once; the check was started again.
    CONTRADICTION = 1 << 18  # Answers contradicted each other; what rested on them was dropped.
    MALFORMED = 1 << 19  # A server sent answers that could not be used.
    PROXIED = 1 << 20  # Something on the path answers, or translates, for a server.
    OUTVOTED = 1 << 21  # A server contradicted the others and was left out.
    TRANSLATED = 1 << 22  # An IPv6 socket has an IPv4 external address (NAT64).

    @property
    def labels(self) -> Tuple[str, ...]:
        """The library's short name of each bit that is set, from the lowest up."""
        bits = (1 << i for i in range(32) if int(self) >> i & 1)
        return tuple(_decode(_lib.np_evidence_name(bit)) for bit in bits)

    def __str__(self) -> str:
        return " ".join(self.labels)


class Tests(enum.IntEnum):
    """Which tests a probe runs (enum np_tests)."""

    MAPPING = 1  # External address and mapping only: one round trip with two servers.
    ALL = 3  # Mapping and filtering.


class Family(enum.IntEnum):
    """Address family of a check (enum np_family)."""

    ANY = 0  # That of the source address; without one IPv4, or IPv6 where IPv4 has no route or no server.
    IPV4 = 4
    IPV6 = 6


class LogLevel(enum.IntEnum):
    """How much a log tells, in order of increasing detail (enum np_log_level)."""

    ERROR = 1
    WARNING = 2
    INFO = 3
    DEBUG = 4


class EventKind(_Value):
    """What an event tells (enum np_event_kind)."""

    SENT = 1  # A request, or one more copy of it, was sent.
    ANSWERED = 2  # An answer to a request came.
    CONCLUDED = 3  # What a number of requests was for is settled, or the whole check is.

    @property
    def label(self) -> str:
        """Short name: "sent", "answered", "concluded"."""
        return _decode(_lib.np_event_name(self))


class Test(_Value):
    """The tests of RFC 3489 section 10.1, by what is asked of the server (enum np_test)."""

    I = 1  # noqa: E741  A plain Binding request.
    II = 2  # To be answered from the server's other address and port (CHANGE-REQUEST).
    III = 3  # To be answered from the server's other port (CHANGE-REQUEST).

    @property
    def label(self) -> str:
        """Short name: "I", "II", "III"."""
        return _decode(_lib.np_test_name(self))


class Purpose(_Value):
    """What a request is for (enum np_purpose)."""

    MAPPING = 1  # The external address of the source socket, as one destination sees it.
    FILTERING = 2  # Who may send to a socket that has spoken to one address only.
    CONTROL = 3  # Whether the server sends what was missing once the way is open.

    @property
    def label(self) -> str:
        """Short name: "mapping", "filtering", "control"."""
        return _decode(_lib.np_purpose_name(self))


@dataclass(frozen=True)
class NatResult:
    """All that a check has found out. What is not known is None, or UNKNOWN where there is such a value."""

    status: Status
    """OK when there is a verdict, else why there is none."""
    nat_type: Verdict
    mapping: Behaviour
    filtering: Behaviour
    evidence: Evidence
    """What the verdict rests on."""
    os_error: int
    """The errno behind the status, or the resolver's EAI_* code for Status.RESOLVE; else 0."""
    packets_sent: int
    packets_received: int
    """Datagrams received, answers or not."""
    rtt: Optional[float]
    """Round-trip time to the server in seconds."""
    elapsed: float
    """Seconds that the whole check took."""
    external_ip: Optional[str]
    """External (mapped) address of the source socket."""
    external_port: Optional[int]
    local_ip: Optional[str]
    """Local address of the source socket: never "0.0.0.0" or "::"."""
    local_port: Optional[int]
    server: Optional[str]
    """The server on which the verdict rests: "192.0.2.1:3478" or "[2001:db8::1]:3478"."""
    detail: str
    """One sentence: why there is no verdict, or what is unknown and why. May be empty."""

    @classmethod
    def _from_c(cls, raw: _CResult) -> NatResult:
        return cls(
            status=Status(raw.error),
            nat_type=Verdict(raw.nat_type),
            mapping=Behaviour(raw.mapping),
            filtering=Behaviour(raw.filtering),
            evidence=Evidence(raw.evidence),
            os_error=raw.os_error,
            packets_sent=raw.packets_sent,
            packets_received=raw.packets_received,
            rtt=raw.rtt_us / 1e6 if raw.rtt_us else None,
            elapsed=raw.elapsed_us / 1e6,
            external_ip=_decode(raw.external_ip) or None,
            external_port=raw.external_port or None,
            local_ip=_decode(raw.local_ip) or None,
            local_port=raw.local_port or None,
            server=_decode(raw.server) or None,
            detail=_decode(raw.detail),
        )

    def as_result(self) -> Result:
        """Type and external address alone, as `check_nat()` gives them.

        Raises:
            PartialVerdictError: the verdict is none of the six types of `NatType`.
        """
        nat_type = _NAT_TYPES.get(self.nat_type)
        if nat_type is None or self.external_ip is None or self.external_port is None:
            raise PartialVerdictError(_say_partial(self), self.status, self)
        return Result(nat_type, self.external_ip, self.external_port)


@dataclass(frozen=True)
class Event:
    """Something that happened during a check. What a kind of event does not have is None."""

    kind: EventKind
    purpose: Optional[Purpose]
    """What the request was for, or what is concluded; None when the whole check is."""
    test: Optional[Test]
    """Of a request or an answer."""
    copy: Optional[int]
    """SENT: 1 for the first copy of a request, 2 for the next, ..."""
    stun_error: Optional[int]
    """ANSWERED: the code of an error response (RFC 8489 section 14.8), None for success."""
    behaviour: Optional[Behaviour]
    """CONCLUDED, with a purpose: the mapping or the filtering."""
    nat_type: Optional[Verdict]
    """CONCLUDED, the whole check: the verdict."""
    status: Optional[Status]
    """CONCLUDED, the whole check: how it ended."""
    time: float
    """Seconds since the check began."""
    remote: Optional[str]
    """Where a request went or an answer came from, "192.0.2.1:3478"; the server of a conclusion."""
    external: Optional[str]
    """ANSWERED: the external (mapped) address and port that the server saw."""

    @classmethod
    def _from_c(cls, raw: _CEvent) -> Event:
        concluded = raw.kind == EventKind.CONCLUDED
        is_whole = concluded and raw.purpose == 0
        return cls(
            kind=EventKind(raw.kind),
            purpose=Purpose(raw.purpose) if raw.purpose else None,
            test=Test(raw.test) if raw.test else None,
            copy=raw.copy or None,
            stun_error=raw.stun_error or None,
            behaviour=Behaviour(raw.behaviour) if concluded and not is_whole else None,
            nat_type=Verdict(raw.nat_type) if is_whole else None,
            status=Status(raw.error) if is_whole else None,
            time=raw.time_us / 1e6,
            remote=_decode(raw.remote) or None,
            external=_decode(raw.external) or None,
        )


# ---- Errors ---------------------------------------------------------------------------------------------------------


class NatProbeError(RuntimeError):
    """The base of all errors of this module."""

    def __init__(self, message: str, code: Status, result: Optional[NatResult] = None) -> None:
        super().__init__(message, code, result)
        self.code = code
        """Why."""
        self.name = code.label
        """The short name of the code: "no-response", ..."""
        self.result = result
        """What the check has found out all the same; None when none was run."""

    def __str__(self) -> str:
        return str(self.args[0])


class NatProbeOSError(NatProbeError, OSError):
    """The system refused something; `errno` tells what."""

    def __init__(self, message: str, code: Status, result: Optional[NatResult] = None) -> None:
        super().__init__(message, code, result)
        self.errno = (result.os_error if result is not None else 0) or None
        self.strerror = message


class InvalidArgumentError(NatProbeError, ValueError):
    """An argument is malformed or out of range, or arguments do not go together (NP_ERR_ARGUMENT)."""


class ProbeClosedError(InvalidArgumentError):
    """The probe was used after close(), or by another process than the one that made it."""


class OutOfMemoryError(NatProbeError, MemoryError):
    """Out of memory (NP_ERR_NO_MEMORY)."""


class ResourceError(NatProbeOSError):
    """The system refused a resource, such as one more descriptor (NP_ERR_SYSTEM)."""


class BusyError(NatProbeError):
    """The probe is in use already: in another thread, further up the stack, or running (NP_ERR_BUSY)."""


class AddressInUseError(NatProbeOSError):
    """The source port is taken (NP_ERR_ADDRESS_IN_USE)."""


class AddressNotAvailableError(NatProbeOSError):
    """The source address is not one of this host's (NP_ERR_ADDRESS_NOT_AVAILABLE)."""


class ResolveError(NatProbeError):
    """No server name could be resolved to an address of the wanted family (NP_ERR_RESOLVE)."""


class NetworkUnreachableError(NatProbeOSError):
    """There is no route to any server, or the host's own firewall refuses to send (NP_ERR_NETWORK_UNREACHABLE)."""


class NoResponseError(NatProbeError):
    """No server answered: UDP is blocked (NP_ERR_NO_RESPONSE)."""


class AddressChangedError(NatProbeError):
    """The external address changed during the check, and again after a restart (NP_ERR_ADDRESS_CHANGED)."""


class InconclusiveError(NatProbeError):
    """Servers answered, but nothing beyond the external address could be learnt (NP_ERR_INCONCLUSIVE)."""


class DeadlineError(NatProbeError):
    """The time allowed ran out before there was a verdict (NP_ERR_TIMEOUT)."""


class CheckCancelledError(NatProbeError):
    """The check was cancelled with Probe.cancel() or Probe.close() (NP_ERR_CANCELLED)."""


class BadResponseError(NatProbeError):
    """Something answers at the servers' addresses, but nothing that could be used (NP_ERR_BAD_RESPONSE)."""


class PartialVerdictError(NatProbeError):
    """The mapping is known, but the filtering is not, and `NatType` has no member to say so.

    Raised by `check_nat()`, `check_nat_async()` and `NatResult.as_result()` for Verdict.CONE and Verdict.NO_NAT: naming
    a type would be a guess. `result` has the external address, the mapping and why the filtering is unknown; `code` is
    Status.OK, for as a check it was successful, and `name` is "partial-verdict".
    """

    def __init__(self, message: str, code: Status, result: Optional[NatResult] = None) -> None:
        super().__init__(message, code, result)
        self.name = "partial-verdict"


_ERRORS: Dict[Status, Type[NatProbeError]] = {
    Status.ARGUMENT: InvalidArgumentError,
    Status.NO_MEMORY: OutOfMemoryError,
    Status.SYSTEM: ResourceError,
    Status.BUSY: BusyError,
    Status.ADDRESS_IN_USE: AddressInUseError,
    Status.ADDRESS_NOT_AVAILABLE: AddressNotAvailableError,
    Status.RESOLVE: ResolveError,
    Status.NETWORK_UNREACHABLE: NetworkUnreachableError,
    Status.NO_RESPONSE: NoResponseError,
    Status.ADDRESS_CHANGED: AddressChangedError,
    Status.INCONCLUSIVE: InconclusiveError,
    Status.TIMEOUT: DeadlineError,
    Status.CANCELLED: CheckCancelledError,
    Status.BAD_RESPONSE: BadResponseError,
}


def _error(code: int, what: str = "", result: Optional[NatResult] = None) -> NatProbeError:
    """The exception for a code of the library's; `what` is better than the general sentence where there is one."""
    status = Status(code)
    return _ERRORS.get(status, NatProbeError)(what or status.description, status, result)


def _verdict(raw: _CResult) -> NatResult:
    """The outcome of a check that has ended: what was found out, or the exception that says why not."""
    result = NatResult._from_c(raw)
    if result.status != Status.OK:
        raise _error(result.status, result.detail, result)
    return result


# ---- Arguments ------------------------------------------------------------------------------------------------------


class HasFileno(Protocol):
    """Whatever has a descriptor: a socket.socket, the socket of an asyncio transport."""

    def fileno(self) -> int:
        """The descriptor."""


Address = Union[Tuple[str, int], Tuple[str, int, int, int]]
"""As socket.recvfrom() gives it: (host, port), for IPv6 with flowinfo and scope_id."""
OnDatagram = Callable[[bytes, Address], object]
"""Receives the bytes of a datagram and its sender's address."""
OnEvent = Callable[[Event], object]
"""Receives an event."""
OnLog = Callable[[LogLevel, str], object]
"""Receives one finished line of text, without a newline."""

_INT32_MAX = 0x7FFFFFFF
_PORT_MAX = 0xFFFF


def _encode(text: str, what: str) -> bytes:
    """Text for C, which would take a NUL for its end."""
    if not isinstance(text, str):
        raise TypeError(f"{what} must be str, not {type(text).__name__}")
    if "\0" in text:
        raise _error(Status.ARGUMENT, f"{what} {text!r} contains a NUL")
    return text.encode("utf-8", "backslashreplace")


def _number(value: int, low: int, high: int, what: str) -> int:
    """A number for C, where ctypes would drop the bits that do not fit."""
    number = operator.index(value)
    if not low <= number <= high:
        raise _error(Status.ARGUMENT, f"{what} {number} is not in the range from {low} to {high}")
    return number


def _milliseconds(seconds: float, what: str) -> int:
    # Written so that NaN fails as well.
    if not 0.001 <= seconds <= 3600:
        raise _error(Status.ARGUMENT, f"{what} {seconds!r} is not in the range from 0.001 to 3600 seconds")
    return round(seconds * 1000)


def _check(code: int, what: str) -> None:
    if code == Status.ARGUMENT:
        raise _error(code, "invalid " + what)
    if code != Status.OK:
        raise _error(code)


def _decode_address(sockaddr: bytes) -> Address:
    """A struct sockaddr_in or sockaddr_in6, of which the BSDs use the first byte for the length."""
    has_length = sys.platform == "darwin" or "bsd" in sys.platform
    family = sockaddr[1] if has_length else struct.unpack_from("=H", sockaddr)[0]
    (port,) = struct.unpack_from("!H", sockaddr, 2)
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, sockaddr[4:8]), port
    (flowinfo,) = struct.unpack_from("!I", sockaddr, 4)
    (scope_id,) = struct.unpack_from("=I", sockaddr, 24)
    return socket.inet_ntop(socket.AF_INET6, sockaddr[8:24]), port, flowinfo, scope_id


# ---- Callbacks ------------------------------------------------------------------------------------------------------

# Within C the callbacks only note what they are told, for the probe to hand it on when C has returned: so the user's
# functions may raise, be interrupted and take their time. C gets one function for all probes, and the probe's key for
# `user`. So there is no cycle of references through ctypes, a probe is freed as soon as nothing refers to it, and no
# function can be freed while C may call it.
_probes: weakref.WeakValueDictionary[int, Probe] = weakref.WeakValueDictionary()
_keys = itertools.count(1)


class _Datagram(NamedTuple):
    payload: bytes
    sockaddr: bytes


_Told = Union[Tuple[int, bytes], _CEvent, _Datagram]


def _on_log(user: int, level: int, message: bytes) -> None:
    _probes[user]._told.append((level, message))


def _on_event(user: int, event: Any) -> None:
    _probes[user]._told.append(_CEvent.from_buffer_copy(event.contents))


def _on_datagram(user: int, data: Optional[int], size: int, address: int, address_size: int) -> None:
    payload = ctypes.string_at(data, size) if data and size else b""
    _probes[user]._told.append(_Datagram(payload, ctypes.string_at(address, address_size)))


_LOG = _LogFn(_on_log)
_EVENT = _EventFn(_on_event)
_DATAGRAM = _DatagramFn(_on_datagram)

# Those that programs have handlers for which may raise.
_HELD_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2)


def _call_with_callbacks(function: Any, *arguments: Any) -> int:
    """Calls a function of the library, which calls back, and makes signals wait until it has returned.

    Python runs the handlers of signals in its main thread, as soon as there is Python code to run: at the very
    beginning of a callback, where ctypes can only show what a handler raises, and KeyboardInterrupt would be lost. In a
    program with several threads it still is if the system happens to give the signal to another one in this fraction
    of a millisecond.
    """
    if threading.current_thread() is not threading.main_thread():
        return int(function(*arguments))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_SIGNALS)
        return int(function(*arguments))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


# ---- The probe ------------------------------------------------------------------------------------------------------


def _free(handle: int, owner: int) -> None:
    """Not in a forked child: the kernel objects behind its copy of the handle are the parent's as well."""
    if os.getpid() == owner:
        _lib.np_probe_free(handle)


_Self = TypeVar("_Self", bound="Probe")


class Probe:
    """A check in preparation, running or done. May run any number of times; what is set holds for every later run.

    Every keyword argument has a setter of the same meaning. By default it asks the built-in public servers from any
    free port, runs all tests, and has no callbacks.

    There are three ways to run it:

    * `run()` blocks. Signal handlers run meanwhile, and Ctrl-C ends it.
    * `await run_async()` for asyncio.
    * `start()`, then `process()` whenever `fileno()` is readable, for any other event loop.

    Callbacks are plain functions, called in the thread that runs the probe. They should be quick. From within one, only
    `cancel()`, `close()` and `fileno()` may be used on the probe. An exception from a callback gives up the check and
    comes out of the call that runs it. No more events and log lines are told then; datagrams are.

    The probe's memory, sockets and descriptors are freed by `close()`, at the end of a `with` block, and at the latest
    when nothing refers to it any more.
    """

    def __init__(
        self,
        *,
        servers: Iterable[str] = (),
        source_ip: Optional[str] = None,
        source_port: int = 0,
        sock: Union[HasFileno, int, None] = None,
        on_datagram: Optional[OnDatagram] = None,
        family: int = Family.ANY,
        tests: int = Tests.ALL,
        timeout: float = DEFAULT_TIMEOUT,
        response_timeout: float = DEFAULT_RESPONSE_TIMEOUT,
        on_event: Optional[OnEvent] = None,
        on_log: Optional[OnLog] = None,
        log_level: int = LogLevel.INFO,
    ) -> None:
        handle = _lib.np_probe_new()
        if not handle:
            raise _error(Status.NO_MEMORY)
        self._handle: int = handle
        self._owner = os.getpid()
        self._finalizer = weakref.finalize(self, _free, handle, self._owner)
        self._finalizer.atexit = False  # a daemon thread may still use it then
        self._key = next(_keys)
        _probes[self._key] = self
        # Reentrant, for a signal handler may call cancel() at any moment.
        self._lock = threading.RLock()
        self._in_use = threading.Lock()  # held by the one call that may use the handle now
        self._closed = False  # no more calls are let in; freed when the one in progress is over
        self._running = False  # between np_probe_start() and the end of the check
        self._by_hand = False  # by start(), to be ended by process()
        self._telling = False
        self._told: Deque[_Told] = collections.deque()
        self._fd = -1
        self._sock: Union[HasFileno, int, None] = None
        self._sock_fd = -1
        self._on_datagram: Optional[OnDatagram] = None
        self._on_event: Optional[OnEvent] = None
        self._on_log: Optional[OnLog] = None
        try:
            if sock is None:
                self.set_source(source_ip, source_port)
            elif source_ip is None and source_port == 0:
                self.set_socket(sock, on_datagram)
            else:
                raise _error(Status.ARGUMENT, "either a source address and port or a socket can be given, not both")
            self.set_family(family)
            self.set_tests(tests)
            self.set_timeout(timeout)
            self.set_response_timeout(response_timeout)
            self.set_events(on_event)
            self.set_log(on_log, log_level)
            self._add_servers(servers)
        except BaseException:
            self.close()
            raise

    # -- Life --

    def close(self) -> None:
        """Frees the probe. A check that goes on is given up.

        From within a callback, or while another thread or task runs the probe, the check is cancelled at once and the
        probe is freed when that call returns. May be called any number of times.
        """
        with self._lock:
            self._closed = True
            if self._in_use.locked():
                self.cancel()
            else:
                self._finalizer()

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _use(self) -> threading.Lock:
        """The lock to hold for the duration of a call, in which nobody else gets at the handle.

        A lock, because what a signal handler raises cannot keep a with statement from releasing it.
        """
        self._require_open()
        if self._in_use.locked():
            raise _error(Status.BUSY)
        return self._in_use

    def _require_open(self) -> int:
        """The handle, which within _use() is good until _leave()."""
        if self._closed:
            raise ProbeClosedError("the probe is closed", Status.ARGUMENT)
        if os.getpid() != self._owner:
            raise ProbeClosedError("the probe belongs to the parent process", Status.ARGUMENT)
        return self._handle

    def _leave(self) -> None:
        """Called within _use(), at the end: close() leaves it to the call in progress to free the handle."""
        with self._lock:
            if self._closed:
                self._finalizer()

    # -- Settings --

    def add_server(self, server: str) -> None:
        """Adds a server; the first one added replaces the built-in list. The order is kept: the first is asked first.

        Args:
            server: "HOST", "HOST:PORT", "IPv4[:PORT]", "IPv6", "[IPv6]:PORT" or a "stun:" URI (RFC 7064).

        Raises:
            InvalidArgumentError: anything else, or more than MAX_SERVERS servers.
        """
        text = _encode(server, "server")
        with self._use():
            _check(
                _lib.np_probe_add_server(self._settled(), text),
                f"server {server!r}, or more than {MAX_SERVERS} servers",
            )

    def _add_servers(self, servers: Iterable[str]) -> None:
        if isinstance(servers, str):
            raise TypeError("servers must be several str, not one")
        for server in servers:
            self.add_server(server)

    def clear_servers(self) -> None:
        """Forgets the servers added: the built-in list is used again."""
        with self._use():
            _check(_lib.np_probe_clear_servers(self._settled()), "probe")

    def set_source(self, ip: Optional[str] = None, port: int = 0) -> None:
        """Sets the local address and port to check from. Takes back set_socket().

        Args:
            ip: An IP literal, or None for any address.
            port: 0 for any free port.
        """
        text = None if ip is None else _encode(ip, "source address")
        number = _number(port, 0, _PORT_MAX, "source port")
        with self._use():
            _check(_lib.np_probe_set_source(self._settled(), text, number), f"source address {ip!r}")
            self._keep_socket(None, -1, None)

    def set_socket(self, sock: Union[HasFileno, int, None], on_datagram: Optional[OnDatagram] = None) -> None:
        """Checks from a UDP socket of one's own. Takes back set_source().

        So the external address is that of the port from which one will talk to one's peers. The socket may be blocking
        or not; it is never closed or changed.

        While a check goes on the library reads the socket, and nobody else may. What comes and is not for the library
        is handed over in the order of arrival, whole, and never dropped. What has not been read when the check ends is
        left in the socket; late answers to the library's requests may be among it, and are best ignored. (One exception:
        in a program with several threads, a signal handler that raises in the very moment in which a datagram is handed
        over can take it along.)

        Args:
            sock: A UDP socket, bound to a port and not connected, or its descriptor; None takes the setting back.
            on_datagram: Called with the bytes and the sender's address of each datagram that is not for the library.
        """
        if sock is None:
            with self._use():
                _check(_lib.np_probe_set_socket(self._settled(), -1, _DatagramFn(), None), "socket")
                self._keep_socket(None, -1, None)
            return
        if not callable(on_datagram):
            raise TypeError("a socket needs an on_datagram function")
        fd = _number(sock if isinstance(sock, int) else sock.fileno(), -1, _INT32_MAX, "descriptor")
        if fd < 0:
            raise _error(Status.ARGUMENT, "the socket is closed")
        with self._use():
            code = _lib.np_probe_set_socket(self._settled(), fd, _DATAGRAM, self._key)
            _check(code, "socket: it has to be a UDP socket that is bound to a port and not connected")
            self._keep_socket(sock, fd, on_datagram)

    def _keep_socket(self, sock: Union[HasFileno, int, None], fd: int, on_datagram: Optional[OnDatagram]) -> None:
        """The socket must not be collected, and so closed, before the library has made its duplicate."""
        self._sock, self._sock_fd, self._on_datagram = sock, fd, on_datagram

    def set_family(self, family: int) -> None:
        """Chooses the address family (`Family`)."""
        number = _number(family, -_INT32_MAX, _INT32_MAX, "family")
        with self._use():
            _check(_lib.np_probe_set_family(self._settled(), number), f"family {family!r}")

    def set_tests(self, tests: int) -> None:
        """Chooses the tests (`Tests`)."""
        number = _number(tests, -_INT32_MAX, _INT32_MAX, "tests")
        with self._use():
            _check(_lib.np_probe_set_tests(self._settled(), number), f"tests {tests!r}")

    def set_timeout(self, seconds: float) -> None:
        """Sets the time allowed for a whole run, name resolution included: 0.001 to 3600 seconds."""
        number = _milliseconds(seconds, "timeout")
        with self._use():
            _check(_lib.np_probe_set_timeout(self._settled(), number), f"timeout {seconds!r}")

    def set_response_timeout(self, seconds: float) -> None:
        """Sets how long silence from every server must last until UDP is called blocked: 0.001 to 3600 seconds.

        It should be well above the longest round trip to expect.
        """
        number = _milliseconds(seconds, "response timeout")
        with self._use():
            _check(_lib.np_probe_set_response_timeout(self._settled(), number), f"response timeout {seconds!r}")

    def set_events(self, on_event: Optional[OnEvent]) -> None:
        """Sets a receiver of events: every request sent, every answer, every conclusion. None turns them off."""
        _require_function(on_event, "on_event")
        thunk = _EVENT if on_event is not None else _EventFn()
        with self._use():
            _check(_lib.np_probe_set_events(self._settled(), thunk, self._key), "receiver of events")
            self._on_event = on_event

    def set_log(self, on_log: Optional[OnLog], level: int = LogLevel.INFO) -> None:
        """Sets a receiver of log lines up to a level. None turns logging off."""
        _require_function(on_log, "on_log")
        number = _number(level, -_INT32_MAX, _INT32_MAX, "log level")
        thunk = _LOG if on_log is not None else _LogFn()
        with self._use():
            _check(_lib.np_probe_set_log(self._settled(), thunk, self._key, number), f"log level {level!r}")
            self._on_log = on_log

    # -- Running --

    def run(self) -> NatResult:
        """Runs the check and blocks until it is done, cancelled or out of time.

        Other Python threads go on meanwhile. In the main thread signal handlers run as well; what they raise,
        KeyboardInterrupt for one, gives up the check and comes out here.

        Raises:
            NatProbeError: there is no verdict; the class tells why, and `result` has what is known all the same.
        """
        with self._use():
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
            finally:
                self._leave()

    async def run_async(self) -> NatResult:
        """Runs the check as a coroutine of asyncio. Any number of probes may run at once.

        Cancelling the task gives up the check at once, so that asyncio.wait_for() and the like work as expected.

        Raises:
            NatProbeError: as run().
        """
        loop = asyncio.get_running_loop()
        with self._use():
            self._require_idle()
            try:
                self._begin()
                while True:
                    result = self._step()
                    if result is not None:
                        return result
                    await self._wait_async(loop)
            except BaseException:
                self._abandon()
                raise
            finally:
                self._leave()

    def start(self) -> None:
        """Begins a check in an event loop of any kind: whenever fileno() is readable, process() is to be called.

        Raises:
            BusyError: it is running already.
            NatProbeError: it cannot begin. Whatever goes wrong from here on is told by process().
        """
        with self._use():
            self._require_idle()
            try:
                self._begin()
                self._require_open()  # a callback may have closed it
            except BaseException:
                self._abandon()
                raise
            finally:
                self._leave()
            self._by_hand = True

    def fileno(self) -> int:
        """The descriptor that is readable whenever process() has something to do; -1 before the first start().

        Watch it level-triggered and for reading only; never read, write or close it. It stays the same until close().
        """
        self._require_open()
        return self._fd

    def process(self) -> Optional[NatResult]:
        """Goes on with a check that was started, as far as it can without waiting. Calling it too often does no harm.

        Returns:
            None while the check goes on; then, once, the result. The probe is then free for another run.

        Raises:
            InvalidArgumentError: nothing was started.
            NatProbeError: as run().
        """
        with self._use():
            self._settled()
            try:
                result = self._step()
                if result is None:
                    self._require_open()
                return result
            except BaseException:
                self._abandon()
                raise
            finally:
                self._leave()

    def cancel(self) -> None:
        """Makes the run in progress, or the next one if there is none, end with CheckCancelledError at once.

        May be called from any thread, signal handler or callback. On a closed probe, from the callbacks that tell of
        the end of a check, and in a forked child it does nothing.
        """
        with self._lock:
            is_over = self._telling and not self._running
            if self._finalizer.alive and not is_over and os.getpid() == self._owner:
                _lib.np_probe_cancel(self._handle)

    # What follows is called within _use() only.

    def _settled(self) -> int:
        """The handle, rid of a check that was given up but not ended, for there was an interrupt once more."""
        handle = self._require_open()
        if self._running and not self._by_hand:
            self._abandon()
        return handle

    def _require_idle(self) -> None:
        self._settled()
        if self._running:
            raise _error(Status.BUSY)

    def _require_open_socket(self) -> None:
        """A descriptor that was closed may be somebody else's by now."""
        if self._sock is not None and not isinstance(self._sock, int) and self._sock.fileno() != self._sock_fd:
            raise _error(Status.ARGUMENT, "the socket was closed")

    def _call(self, function: Any, *arguments: Any) -> int:
        if any(callback is not None for callback in (self._on_log, self._on_event, self._on_datagram)):
            return _call_with_callbacks(function, self._handle, *arguments)
        return int(function(self._handle, *arguments))

    def _begin(self) -> None:
        self._require_open_socket()
        self._by_hand = False
        self._running = True  # before it is true, for an interrupt may come in between
        code = self._call(_lib.np_probe_start)
        if code != Status.OK:
            self._running = False
            raise _error(code)
        self._fd = _lib.np_probe_fd(self._handle)
        self._tell(self._tell_all)

    def _step(self) -> Optional[NatResult]:
        raw = _CResult()
        if self._call(_lib.np_probe_process, ctypes.byref(raw)) != Status.PENDING:
            self._running = False
        self._tell(self._tell_all)
        return None if self._running else _verdict(raw)

    def _wait(self) -> None:
        poller = select.poll()
        poller.register(_lib.np_probe_fd(self._handle), select.POLLIN)
        poller.poll()

    async def _wait_async(self, loop: asyncio.AbstractEventLoop) -> None:
        readable = loop.create_future()
        loop.add_reader(self._fd, _wake, readable)
        try:
            await readable
        finally:
            loop.remove_reader(self._fd)

    def _abandon(self) -> None:
        """Ends the check in progress, if any, without a result. Only datagrams are still handed over."""
        raw = _CResult()
        while self._running:
            if self._call(_lib.np_probe_process, ctypes.byref(raw)) != Status.PENDING:
                self._running = False
            else:
                _lib.np_probe_cancel(self._handle)
                self._wait()
        self._tell(self._tell_datagram)

    def _tell(self, tell: Callable[[_Told], None]) -> None:
        """Hands on what C has told the callbacks."""
        self._telling = True
        try:
            while self._told:
                tell(self._told.popleft())
        finally:
            self._telling = False

    def _tell_datagram(self, told: _Told) -> None:
        if isinstance(told, _Datagram):
            try:
                self._tell_all(told)
            except Exception:
                # What has ended the check is what comes out of the call.
                logger.exception("on_datagram failed for a datagram that came before the check was given up")

    def _tell_all(self, told: _Told) -> None:
        if isinstance(told, _CEvent):
            assert self._on_event is not None
            self._on_event(Event._from_c(told))
        elif isinstance(told, _Datagram):
            assert self._on_datagram is not None
            self._on_datagram(told.payload, _decode_address(told.sockaddr))
        else:
            assert self._on_log is not None
            level, message = told
            self._on_log(LogLevel(level), _decode(message))


def _wake(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)


def _require_function(value: Optional[Callable[..., object]], what: str) -> None:
    if value is not None and not callable(value):
        raise TypeError(f"{what} must be a function or None, not {type(value).__name__}")


# ---- In place of proxystore.p2p.nat ---------------------------------------------------------------------------------


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
    """Mapping depends on the destination."""


class Result(NamedTuple):
    """What `check_nat()` returns, with the fields of `proxystore.p2p.nat.Result`."""

    nat_type: NatType
    """The type of the NAT that this host is behind."""
    external_ip: str
    """Its external (mapped) address."""
    external_port: int
    """The external (mapped) port of the source port."""


_NAT_TYPES: Dict[Verdict, NatType] = {
    Verdict.OPEN_INTERNET: NatType.OpenInternet,
    Verdict.FULL_CONE: NatType.FullCone,
    Verdict.RESTRICTED_CONE: NatType.RestrictedCone,
    Verdict.PORT_RESTRICTED_CONE: NatType.PortRestrictedCone,
    Verdict.SYMMETRIC: NatType.Symmetric,
    Verdict.SYMMETRIC_UDP_FIREWALL: NatType.SymmetricUDPFirewall,
}


def _say_partial(result: NatResult) -> str:
    text = f"{result.nat_type.description}, seen as {result.external_ip} port {result.external_port}"
    return f"{text}; {result.detail}" if result.detail else text


def _is_literal(ip: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, ip)
            return True
    return False


def _resolve_source(source_ip: str) -> str:
    """The address that bind() makes of it: any for an empty text, and a name is looked up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source_ip, 0))
        return str(sock.getsockname()[0])


def _make_probe(source_ip: str, source_port: int) -> Probe:
    if not 0 <= operator.index(source_port) <= _PORT_MAX:
        raise OverflowError(f"source_port must be in the range from 0 to {_PORT_MAX}")
    on_log = _log_debug if logger.isEnabledFor(logging.DEBUG) else None
    return Probe(source_ip=source_ip, source_port=source_port, on_log=on_log, log_level=LogLevel.DEBUG)


def _log_debug(level: LogLevel, message: str) -> None:
    logger.debug("%s", message)


def check_nat(source_ip: str = DEFAULT_SOURCE_IP, source_port: int = DEFAULT_SOURCE_PORT) -> Result:
    """Finds out the NAT type with the built-in public servers. Each step is logged at DEBUG.

    Takes a few round trips, at most DEFAULT_TIMEOUT seconds.

    Args:
        source_ip: Local address to check from; an IPv6 literal ("::") checks IPv6.
        source_port: Local UDP port to check from, 0 for any free one. It is closed after.

    Raises:
        PartialVerdictError: servers answered, but none could tell the filtering, and so the type.
        NatProbeError: there is no verdict: no server answered, the external address changed, and so on. It is a
            RuntimeError, and where the system refused something, such as a port that is taken, an OSError too.
        OSError: source_ip is a name that cannot be looked up (socket.gaierror).
        OverflowError: source_port is not a port.
    """
    with _make_probe(source_ip if _is_literal(source_ip) else _resolve_source(source_ip), source_port) as probe:
        return probe.run().as_result()


async def check_nat_async(source_ip: str = DEFAULT_SOURCE_IP, source_port: int = DEFAULT_SOURCE_PORT) -> Result:
    """As `check_nat()`, as a coroutine. Several at once need ports of their own: source_port=0."""
    if not _is_literal(source_ip):
        source_ip = await asyncio.get_running_loop().run_in_executor(None, _resolve_source, source_ip)
    with _make_probe(source_ip, source_port) as probe:
        return (await probe.run_async()).as_result()


def check_nat_and_log(source_ip: str = DEFAULT_SOURCE_IP, source_port: int = DEFAULT_SOURCE_PORT) -> None:
    """As `check_nat()`, but logs the outcome on the logger "natprobe" and raises nothing.

    Type, external address and what they mean for hole punching are logged at INFO, the latter at WARNING when it is
    unlikely to work; a failure is logged at ERROR.

    Args:
        source_ip: As of `check_nat()`.
        source_port: As of `check_nat()`.
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
        logger.warning("UDP hole punching is unlikely to work. %s", Verdict.SYMMETRIC.advice)
    else:
        logger.info("UDP hole punching is likely to work. %s", _advice(nat_type))


def _advice(nat_type: NatType) -> str:
    return next(verdict.advice for verdict, name in _NAT_TYPES.items() if name is nat_type)
