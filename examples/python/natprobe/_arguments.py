# SPDX-License-Identifier: MIT
"""From Python's values to those of C, with an error for each that does not fit; and socket addresses back."""

from __future__ import annotations

import operator
import socket
import struct
import sys
from typing import Iterable, Protocol, Tuple, Union

from . import _errors
from ._values import Status


class HasFileno(Protocol):
    """Whatever has a descriptor: a socket.socket, the socket of an asyncio transport."""

    def fileno(self) -> int:
        """The descriptor."""


Address = Union[Tuple[str, int], Tuple[str, int, int, int]]
"""As socket.recvfrom() gives it: (host, port), for IPv6 with flowinfo and scope_id."""

INT32_MAX = 0x7FFFFFFF
PORT_MAX = 0xFFFF
SOCKET_MAX = sys.maxsize if sys.platform == "win32" else INT32_MAX  # there it is a handle


def encode(text: str, what: str) -> bytes:
    """Text for C, which would end at a NUL."""
    if not isinstance(text, str):
        raise TypeError(f"{what} must be str, not {type(text).__name__}")
    if "\0" in text:
        raise _errors.error(Status.ARGUMENT, f"{what} {text!r} contains a NUL")
    return text.encode("utf-8", "backslashreplace")


def several(texts: Iterable[str], what: str) -> Tuple[str, ...]:
    """More than one text: a lone one would be taken for its letters."""
    if isinstance(texts, str):
        raise TypeError(f"{what} must be several str, not one")
    return tuple(texts)


def number(value: int, low: int, high: int, what: str) -> int:
    """A number for C. ctypes would drop the bits that do not fit."""
    try:
        found = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be int, not {type(value).__name__}") from None
    if not low <= found <= high:
        raise _errors.error(Status.ARGUMENT, f"{what} {found} is not in the range from {low} to {high}")
    return found


def int32(value: int, what: str) -> int:
    """A number of an enum, of this library or of another version."""
    return number(value, -INT32_MAX, INT32_MAX, what)


def milliseconds(seconds: float, what: str) -> int:
    """A time for C."""
    try:
        fits = 0.001 <= seconds <= 3600  # NaN does not
    except TypeError:
        raise TypeError(f"{what} must be a number of seconds, not {type(seconds).__name__}") from None
    if not fits:
        raise _errors.error(Status.ARGUMENT, f"{what} is not in the range from 0.001 to 3600 seconds")
    return round(seconds * 1000)


def descriptor(sock: Union[HasFileno, int]) -> int:
    """The descriptor of a socket, or the number itself."""
    found = number(sock if isinstance(sock, int) else sock.fileno(), -1, SOCKET_MAX, "descriptor")
    if found < 0:
        raise _errors.error(Status.ARGUMENT, "the socket is closed")
    return found


def check(code: int, what: str) -> None:
    """Raises the exception for what a setter of C returned."""
    if code == Status.ARGUMENT:
        raise _errors.error(code, "invalid " + what)
    if code == Status.LIMIT:
        raise _errors.error(code, f"no room for {what}: the list is full")
    if code != Status.OK:
        raise _errors.error(code)


def decode_address(sockaddr: bytes) -> Address:
    """A struct sockaddr_in or sockaddr_in6. On the BSDs its first byte is its length."""
    has_length = sys.platform == "darwin" or "bsd" in sys.platform
    family = sockaddr[1] if has_length else struct.unpack_from("=H", sockaddr)[0]
    (port,) = struct.unpack_from("!H", sockaddr, 2)
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, sockaddr[4:8]), port
    (flowinfo,) = struct.unpack_from("!I", sockaddr, 4)
    (scope_id,) = struct.unpack_from("=I", sockaddr, 24)
    return socket.inet_ntop(socket.AF_INET6, sockaddr[8:24]), port, flowinfo, scope_id
