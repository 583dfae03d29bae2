# SPDX-License-Identifier: MIT
"""The settings of a probe: what is set holds for every later check."""

from __future__ import annotations

import inspect
import logging
import threading
from typing import Callable, Iterable, Optional, Tuple, Union

from . import _arguments, _callbacks, _errors
from ._arguments import Address, HasFileno
from ._events import Event
from ._handle import Handle
from ._library import decode
from ._values import Family, LogLevel, Scope, Status

OnDatagram = Callable[[bytes, Address], object]
"""Receives the bytes of a datagram and its sender's address."""
OnEvent = Callable[[Event], object]
"""Receives an event."""
OnLog = Callable[[LogLevel, str], object]
"""Receives one finished line of text, without a newline."""

DEFAULT_TIMEOUT = 10.0
"""Seconds for a whole check, name resolution included."""
DEFAULT_LIFETIME_LIMIT = 200
"""Seconds: the longest idle time that Scope.LIFETIME tries by default."""
DEFAULT_RESPONSE_TIMEOUT = 3.0
"""Seconds without any answer until UDP counts as blocked, for a `timeout` of up to DEFAULT_TIMEOUT."""
MAX_SERVERS = 32
"""Most servers that one probe holds."""


class Settings(Handle):
    """A property for each setting. Setting one raises BusyError while a check is running."""

    def __init__(self) -> None:
        super().__init__()
        self._servers: Tuple[str, ...] = ()
        self._source_ip: Optional[str] = None
        self._source_port = 0
        self._interface: Optional[str] = None
        self._sock: Union[HasFileno, int, None] = None
        self._sock_fd = -1
        self._on_datagram: Optional[OnDatagram] = None
        self._family = Family.ANY
        self._scope = Scope.DEFAULT
        self._timeout = DEFAULT_TIMEOUT
        self._lifetime_limit = DEFAULT_LIFETIME_LIMIT
        self._response_timeout: Optional[float] = None
        self._has_response_timeout = False  # in C
        self._on_event: Optional[OnEvent] = None
        self._on_log: Optional[OnLog] = None
        self._log_level = LogLevel.INFO
        self._logger: Optional[logging.Logger] = None

    def _require_idle(self) -> None:
        """Raises BusyError if a check is running."""
        raise NotImplementedError

    def _set(self, apply: Callable[[], None]) -> None:
        """Changes a setting, while nothing else uses the probe and no check is running."""
        token = threading.Lock()
        with token:
            self._take(token)
            try:
                self._require_idle()
                apply()
            finally:
                self._leave()

    @property
    def servers(self) -> Tuple[str, ...]:
        """The servers to ask, in this order; empty for the built-in public ones.

        Each is "HOST", "HOST:PORT", "IPv4[:PORT]", "IPv6", "[IPv6]:PORT" or a "stun:" URI (RFC 7064). There are at most
        MAX_SERVERS. If one is refused, the former servers stay.
        """
        return self._servers

    @servers.setter
    def servers(self, servers: Iterable[str]) -> None:
        chosen = _arguments.several(servers, "servers")
        texts = [_arguments.encode(server, "server") for server in chosen]

        def apply() -> None:
            try:
                self._write_servers(texts)
            except _errors.NatProbeError:
                self._write_servers([_arguments.encode(server, "server") for server in self._servers])
                raise
            self._servers = chosen

        self._set(apply)

    def _write_servers(self, texts: Iterable[bytes]) -> None:
        self._call_setter("probe", self._library.np_probe_clear_servers)
        for text in texts:
            self._call_setter(f"server {decode(text)!r}", self._library.np_probe_add_server, text)

    @property
    def source_ip(self) -> Optional[str]:
        """The local IP address to check from; None for any address. Excludes `sock`."""
        return self._source_ip

    @source_ip.setter
    def source_ip(self, ip: Optional[str]) -> None:
        text = None if ip is None else _arguments.encode(ip, "source address")

        def apply() -> None:
            self._write_source(text, self._source_port, f"source address {ip!r}")
            self._source_ip = ip

        self._set(apply)

    @property
    def source_port(self) -> int:
        """The local UDP port to check from; 0 for any free port. Excludes `sock`."""
        return self._source_port

    @source_port.setter
    def source_port(self, port: int) -> None:
        number = _arguments.number(port, 0, _arguments.PORT_MAX, "source port")

        def apply() -> None:
            self._write_source(self._encoded_source_ip(), number, f"source port {number}")
            self._source_port = number

        self._set(apply)

    def _encoded_source_ip(self) -> Optional[bytes]:
        return None if self._source_ip is None else _arguments.encode(self._source_ip, "source address")

    def _write_source(self, ip: Optional[bytes], port: int, what: str) -> None:
        if self._sock is None:
            self._call_setter(what, self._library.np_probe_set_source, ip, port)
        elif ip is not None or port != 0:
            raise _errors.error(Status.ARGUMENT, "the probe checks from a socket: it has no source address and port")

    @property
    def interface(self) -> Optional[str]:
        """The network interface that the library's own sockets use, such as "eth0"; None for what the routes choose.

        It holds beside `source_ip`, but not for the resolution of names, and not for `sock`. A check raises
        AddressNotAvailableError if there is no such interface, and ResourceError if choosing one needs privileges that
        the process does not have.
        """
        return self._interface

    @interface.setter
    def interface(self, name: Optional[str]) -> None:
        text = None if name is None else _arguments.encode(name, "interface")

        def apply() -> None:
            self._call_setter(f"interface {name!r}", self._library.np_probe_set_interface, text)
            self._interface = name

        self._set(apply)

    @property
    def sock(self) -> Union[HasFileno, int, None]:
        """The UDP socket of your own to check from, or its descriptor; None for a socket of the library's.

        So the external address is that of the port from which you will talk to your peers. The socket has to be bound
        to a port and not connected. It may be blocking or not; it is never closed or changed. It needs `on_datagram`,
        and excludes `source_ip` and `source_port`.

        While a check goes on the library reads the socket, and nobody else may. Every other datagram that arrives goes
        to `on_datagram`, in order, whole. What has not been read when the check ends is left in the socket; late
        answers to the library's requests may be among it, and are best ignored. (One exception: in a program with
        several threads, a signal handler that raises in the very moment in which a datagram is handed over can lose
        it.)
        """
        return self._sock

    @sock.setter
    def sock(self, sock: Union[HasFileno, int, None]) -> None:
        fd = -1 if sock is None else _arguments.descriptor(sock)

        def apply() -> None:
            if sock is None:
                self._call_setter("socket", self._library.np_probe_set_socket, -1, _callbacks.NO_DATAGRAM, None)
                self._sock, self._sock_fd = None, -1
                self._write_source(self._encoded_source_ip(), self._source_port, "source")
                return
            if self._on_datagram is None:
                raise TypeError("a socket needs an on_datagram function")
            if self._source_ip is not None or self._source_port != 0:
                raise _errors.error(Status.ARGUMENT, "either a source address and port or a socket, not both")
            what = "socket: it has to be a UDP socket that is bound to a port and not connected"
            self._call_setter(what, self._library.np_probe_set_socket, fd, _callbacks.DATAGRAM, self._key)
            # Kept, for it must not be collected, and so closed, before the library has made its duplicate.
            self._sock, self._sock_fd = sock, fd

        self._set(apply)

    @property
    def on_datagram(self) -> Optional[OnDatagram]:
        """Called with the bytes and the sender's address of each datagram at `sock` that is not for the library."""
        return self._on_datagram

    @on_datagram.setter
    def on_datagram(self, on_datagram: Optional[OnDatagram]) -> None:
        _require_function(on_datagram, "on_datagram")

        def apply() -> None:
            if on_datagram is None and self._sock is not None:
                raise TypeError("a socket needs an on_datagram function")
            self._on_datagram = on_datagram

        self._set(apply)

    @property
    def family(self) -> Family:
        """The address family of the check."""
        return self._family

    @family.setter
    def family(self, family: int) -> None:
        number = _arguments.int32(family, "family")

        def apply() -> None:
            self._call_setter(f"family {number}", self._library.np_probe_set_family, number)
            self._family = Family(number)

        self._set(apply)

    @property
    def scope(self) -> Scope:
        """Which tests to run. MAPPING is always there, and REFUSED brings FILTERING: what is read again has all."""
        return self._scope

    @scope.setter
    def scope(self, scope: int) -> None:
        number = _arguments.int32(scope, "scope")

        def apply() -> None:
            self._call_setter(f"scope {number}", self._library.np_probe_set_tests, number)
            brought = Scope.FILTERING if number & Scope.REFUSED else Scope(0)
            self._scope = Scope(number | brought | Scope.MAPPING)

        self._set(apply)

    @property
    def timeout(self) -> float:
        """Seconds for a whole check, name resolution included: 0.001 to 3600."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        number = _arguments.milliseconds(seconds, "timeout")

        def apply() -> None:
            self._call_setter("timeout", self._library.np_probe_set_timeout, number)
            self._timeout = seconds
            self._write_response_timeout(self._response_timeout)

        self._set(apply)

    @property
    def lifetime_limit(self) -> int:
        """Seconds: the longest idle time that Scope.LIFETIME tries, 1 to 3600. Such a check takes so much longer."""
        return self._lifetime_limit

    @lifetime_limit.setter
    def lifetime_limit(self, seconds: int) -> None:
        number = _arguments.number(seconds, 1, 3600, "lifetime limit")

        def apply() -> None:
            self._call_setter("lifetime limit", self._library.np_probe_set_lifetime_limit, number)
            self._lifetime_limit = number

        self._set(apply)

    @property
    def response_timeout(self) -> Optional[float]:
        """Seconds without any answer until UDP counts as blocked: 0.001 to 3600.

        Choose it well above the longest round trip to expect, and below `timeout`: at the end of that time the type of
        the NAT stays unknown. None means DEFAULT_RESPONSE_TIMEOUT, or three tenths of
        `timeout` if that is longer.
        """
        return self._response_timeout

    @response_timeout.setter
    def response_timeout(self, seconds: Optional[float]) -> None:
        if seconds is not None:
            _arguments.milliseconds(seconds, "response timeout")

        def apply() -> None:
            self._write_response_timeout(seconds)
            self._response_timeout = seconds

        self._set(apply)

    def _write_response_timeout(self, seconds: Optional[float]) -> None:
        """The library follows `timeout` by itself as long as it was never given a value, which it cannot forget."""
        if seconds is None and not self._has_response_timeout:
            return
        self._has_response_timeout = True
        chosen = max(DEFAULT_RESPONSE_TIMEOUT, self._timeout * 0.3) if seconds is None else seconds
        number = _arguments.milliseconds(chosen, "response timeout")
        self._call_setter("response timeout", self._library.np_probe_set_response_timeout, number)

    @property
    def on_event(self) -> Optional[OnEvent]:
        """Called with each event: every request sent, every answer, every conclusion."""
        return self._on_event

    @on_event.setter
    def on_event(self, on_event: Optional[OnEvent]) -> None:
        _require_function(on_event, "on_event")
        self._set(lambda: setattr(self, "_on_event", on_event))

    @property
    def on_log(self) -> Optional[OnLog]:
        """Called with each line of the log up to `log_level`."""
        return self._on_log

    @on_log.setter
    def on_log(self, on_log: Optional[OnLog]) -> None:
        _require_function(on_log, "on_log")
        self._set(lambda: setattr(self, "_on_log", on_log))

    @property
    def log_level(self) -> LogLevel:
        """How much `on_log` is told."""
        return self._log_level

    @log_level.setter
    def log_level(self, level: int) -> None:
        number = _arguments.int32(level, "log level")

        def apply() -> None:
            what = f"log level {number}"
            self._call_setter(what, self._library.np_probe_set_log, number, _callbacks.LOG, self._key)
            self._log_level = LogLevel(number)

        self._set(apply)

    @property
    def logger(self) -> Optional[logging.Logger]:
        """Gets each line of the log, as far as the logger is enabled for its level."""
        return self._logger

    @logger.setter
    def logger(self, logger: Optional[logging.Logger]) -> None:
        if not (logger is None or hasattr(logger, "isEnabledFor")):  # a LoggerAdapter has it too
            raise TypeError(f"logger must be a logging.Logger or None, not {type(logger).__name__}")
        self._set(lambda: setattr(self, "_logger", logger))


def _require_function(value: Optional[Callable[..., object]], what: str) -> None:
    if value is not None and not callable(value):
        raise TypeError(f"{what} must be a function or None, not {type(value).__name__}")
    if inspect.iscoroutinefunction(value):
        raise TypeError(f"{what} must be a plain function: nobody would await a coroutine")
