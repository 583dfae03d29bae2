#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Exercises the Python binding as an application would.

    driver.py MODE [--json] -p PORT [-s SERVER]... [-6] [--mapping-only]

Prints one JSON object with the keys of natprobe --json. Exit status: 0 with a verdict, 1 without, 3 when the binding
has not done what it should.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import inspect
import json
import logging
import os
import socket
import sys
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Type

sys.dont_write_bytecode = True  # nothing may be left in the source tree
if "NATPROBE_TEST_PROGRAMS" not in os.environ:  # or the package that is installed is meant
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "examples", "python"))
import natprobe  # noqa: E402
from natprobe import Event, EventKind, NatProbeError, Probe, Result, Status, _library, proxystore  # noqa: E402

CANCEL_AFTER = 0.2
PROMPT = 1.0  # seconds within which a cancelled check has to be over, on a busy machine too
TICK = 0.01
LONGEST_GAP = 0.5  # between two ticks of an event loop that nothing blocks, on a busy machine too
HELLOS = 5


class Wrong(Exception):
    """The binding has not done what it should."""


def require(condition: object, what: str) -> None:
    """Ends the program with status 3 unless the condition holds."""
    if not condition:
        raise Wrong(what)


# ---- Output ---------------------------------------------------------------------------------------------------------


def report(result: Result) -> int:
    """Prints a result; the exit status that goes with it."""
    print(json.dumps(result.to_dict()))
    if result.status == Status.OK:
        return 0
    print(result.detail or result.status.description, file=sys.stderr)
    return 1


def result_of(run: Callable[[], Result]) -> Result:
    """The result of a check, also of one that ends with an exception."""
    try:
        return run()
    except NatProbeError as error:
        require(error.result is not None, f"{error!r} carries no result")
        assert error.result is not None
        require(error.status == error.result.status, f"{error!r} contradicts itself")
        return error.result


# ---- Modes that check -----------------------------------------------------------------------------------------------


class Counter:
    """Counts what the callbacks are told."""

    def __init__(self) -> None:
        self.events = {kind: 0 for kind in EventKind}
        self.lines = 0
        self.last: Optional[Event] = None

    def on_event(self, event: Event) -> None:
        """An event."""
        self.events[event.kind] += 1
        self.last = event

    def on_log(self, level: natprobe.LogLevel, line: str) -> None:
        """A line of the log."""
        self.lines += bool(line)

    def require_all(self, result: Result) -> None:
        """Whether the callbacks were told what the result tells of."""
        require(self.events[EventKind.CONCLUDED], "no event of a conclusion came")
        require(self.events[EventKind.SENT] or result.packets_sent == 0, "no event of a request came")
        require(self.events[EventKind.ANSWERED] or result.status != Status.OK, "no event of an answer came")
        require(self.lines or result.packets_sent == 0, "no line of the log came")
        last = self.last
        is_end = isinstance(last, natprobe.EndedEvent) and last.status == result.status
        require(is_end, f"the last event is {last}, the result {result}")


def make_probe(args: argparse.Namespace, **more: Any) -> Probe:
    """A probe as the command line wants it."""
    if "sock" not in more:
        more["source_port"] = args.port
    family = natprobe.Family.IPV6 if args.ipv6 else natprobe.Family.ANY
    scope = natprobe.Scope.MAPPING if args.mapping_only else natprobe.Scope.DEFAULT
    return Probe(servers=args.servers, family=family, scope=scope, **more)


def counting_probe(args: argparse.Namespace, counter: Counter) -> Probe:
    """A probe with all callbacks."""
    return make_probe(args, on_event=counter.on_event, on_log=counter.on_log, log_level=natprobe.LogLevel.DEBUG)


def run_blocking(args: argparse.Namespace) -> int:
    """One blocking call."""
    counter = Counter()
    with counting_probe(args, counter) as probe:
        result = result_of(probe.run)
    counter.require_all(result)
    return report(result)


async def tick(gaps: List[float]) -> None:
    """Notes how late each tick of the event loop is."""
    last = time.monotonic()
    while True:
        await asyncio.sleep(TICK)
        now = time.monotonic()
        gaps.append(now - last)
        last = now


async def run_beside_ticker(probe: Probe) -> Result:
    """A check in an event loop that has something else to do as well."""
    gaps: List[float] = []
    ticker = asyncio.ensure_future(tick(gaps))
    try:
        return await probe.run_async()
    finally:
        ticker.cancel()
        require(max(gaps, default=0) < LONGEST_GAP, f"the event loop stood still for {max(gaps, default=0):.3f} s")


def run_async(args: argparse.Namespace) -> int:
    """In asyncio."""
    counter = Counter()
    with counting_probe(args, counter) as probe:
        began = time.monotonic()
        result = result_of(lambda: asyncio.run(run_beside_ticker(probe)))
        took = time.monotonic() - began
    require(result.elapsed <= took, f"elapsed {result.elapsed} of {took} seconds")
    counter.require_all(result)
    return report(result)


def say_hello(to: socket.socket, ipv6: bool) -> List[Tuple[bytes, natprobe.Address]]:
    """Sends datagrams to a socket over loopback: what it has to receive."""
    host = "::1" if ipv6 else "127.0.0.1"
    with socket.socket(to.family, socket.SOCK_DGRAM) as sender:
        sender.bind((host, 0))
        payloads = [b"hello %d" % i for i in range(HELLOS - 1)] + [b"", b"\0\xff" * 30000]
        for payload in payloads:
            sender.sendto(payload, (host, to.getsockname()[1]))
        return [(payload, sender.getsockname()) for payload in payloads]


def run_socket(args: argparse.Namespace) -> int:
    """From a socket of the driver's own, at which datagrams for the driver arrive as well."""
    got: List[Tuple[bytes, natprobe.Address]] = []
    with socket.socket(socket.AF_INET6 if args.ipv6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", args.port))
        sent = say_hello(sock, args.ipv6)
        with make_probe(args, sock=sock, on_datagram=lambda data, address: got.append((data, address))) as probe:
            result = result_of(probe.run)
        require(sock.gettimeout() is None and sock.getsockname()[1] == args.port, "the socket was changed")
        sock.setblocking(False)
        while len(got) < len(sent):  # what came after the end of the check is still in the socket
            try:
                got.append(sock.recvfrom(65536))
            except BlockingIOError:
                break
    require(got == sent, f"of {sent} these were handed over: {got}"[:2000])
    return report(result)


def require_prompt(began: float, how: str) -> None:
    """Whether a cancelled check has ended at once."""
    took = time.monotonic() - began
    require(CANCEL_AFTER * 0.9 <= took, f"{how}: ended by itself after {took:.3f} s")
    require(took < CANCEL_AFTER + PROMPT, f"{how}: took {took:.3f} s to be cancelled")


def cancel_from_thread(args: argparse.Namespace) -> None:
    """A blocking run, cancelled from another thread."""
    with make_probe(args) as probe:
        timer = threading.Timer(CANCEL_AFTER, probe.cancel)
        timer.start()
        began = time.monotonic()
        result = result_of(probe.run)
        require_prompt(began, "blocking")
        timer.join()
    require(result.status == Status.CANCELLED, f"the blocking run ended with {result}")


async def cancel_task(args: argparse.Namespace) -> None:
    """A coroutine, cancelled as those of asyncio are."""
    with make_probe(args) as probe:
        began = time.monotonic()
        try:
            await asyncio.wait_for(probe.run_async(), CANCEL_AFTER)
        except asyncio.TimeoutError:
            require_prompt(began, "task")
        else:
            raise Wrong("the task was not cancelled")


async def cancel_in_loop(args: argparse.Namespace) -> Result:
    """A coroutine whose probe is cancelled from elsewhere in the loop."""
    with make_probe(args) as probe:
        asyncio.get_running_loop().call_later(CANCEL_AFTER, probe.cancel)
        began = time.monotonic()
        try:
            return await probe.run_async()
        finally:
            require_prompt(began, "asyncio")


def run_cancel(args: argparse.Namespace) -> int:
    """Cancelled in each way, one after the other from the same port."""
    cancel_from_thread(args)
    asyncio.run(cancel_task(args))
    return report(result_of(lambda: asyncio.run(cancel_in_loop(args))))


# ---- Defaults -------------------------------------------------------------------------------------------------------


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: List[Tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """One record."""
        self.records.append((record.levelno, record.getMessage()))


def run_default(args: argparse.Namespace) -> int:
    """The calls that take an address and a port and nothing else."""
    lines = Lines()
    proxystore.logger.addHandler(lines)
    proxystore.logger.setLevel(logging.INFO)
    proxystore.check_nat_and_log(source_port=args.port)
    require(len(lines.records) >= 2, f"only this was logged: {lines.records}")
    try:
        result = natprobe.check_nat(source_port=args.port)
    except NatProbeError as error:
        failed = [text for level, text in lines.records if level == logging.ERROR]
        require(len(failed) == 1 and len(lines.records) == 2, f"this was logged: {lines.records}")
        found = error.result
        require(found is not None, f"{error!r} carries no result")
        assert found is not None
        return report(found)
    require(not [text for level, text in lines.records if level == logging.ERROR], f"this was logged: {lines.records}")
    return report(result)


# ---- Bad input ------------------------------------------------------------------------------------------------------


class Checks:
    """Counts checks and notes those that fail."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed: List[str] = []

    def note(self, what: str, problem: Optional[str]) -> None:
        """One check is done."""
        if problem is None:
            self.passed += 1
        else:
            self.failed.append(f"{what}: {problem}")

    def raises(self, expected: Type[BaseException], what: str, function: Callable[..., object], *args: Any) -> None:
        """Whether a call raises just this."""
        try:
            function(*args)
        except BaseException as error:
            problem = None if type(error) is expected else f"raised {error!r}"
            if isinstance(error, natprobe.InvalidArgumentError) and error.status != Status.ARGUMENT:
                problem = f"status is {error.status!r}"
            self.note(what, problem)
        else:
            self.note(what, "raised nothing")

    def works(self, what: str, function: Callable[..., object], *args: Any) -> None:
        """Whether a call raises nothing."""
        try:
            function(*args)
        except BaseException as error:
            self.note(what, f"raised {error!r}")
        else:
            self.note(what, None)


BAD_ADDRESSES = [
    "",
    "localhost",
    "1.2.3",
    "1.2.3.4.5",
    "256.0.0.1",
    "1.2.3.4 ",
    "::g",
    "[::1]",
    "1.2.3.4:5",
    "1.2.3.4\0",
    "\0",
]
BAD_INTERFACES = ["", "lo\0", "x" * 300]
BAD_SERVERS = [
    *(
        "",
        ":3478",
        "a b",
        "host:",
        "host:0",
        "host:65536",
        "host:-1",
        "host:x",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[1.2.3.4]:5",
    ),
    *(
        "-" * 300,
        "a..b",
        "stuns:host",
        "turn:host",
        "stun:",
        "http://host/",
        "host\0",
        "host\0.example:3478",
        "\N{SNOWMAN}",
    ),
    *("\udc80", "0.0.0.0", "255.255.255.255", "224.0.0.1", "[ff02::1]:3478"),
]
BAD_PORTS = [-1, 65536, 2**16 + 1, 2**32, 2**64, -(2**63)]
BAD_TIMEOUTS = [0, 0.0, -1, 0.0004, 3600.01, 1e9, 4294967.296 + 1, 2.0**64, float("nan"), float("inf"), -float("inf")]
BAD_NUMBERS = [-1, 1000, 2**31, 2**32 + 4, 2**64 + 4, -(2**40)]


def setting(probe: Probe, name: str) -> Callable[[Any], None]:
    """A function that sets a property."""
    return lambda value: setattr(probe, name, value)


def check_settings(checks: Checks, probe: Probe) -> None:
    """Properties that refuse what they are given, and then stay as they were."""
    invalid = natprobe.InvalidArgumentError
    bad: List[Tuple[str, Sequence[Any]]] = [
        ("source_ip", BAD_ADDRESSES),
        ("source_port", BAD_PORTS),
        ("interface", BAD_INTERFACES),
        ("servers", [["127.0.0.1", server] for server in BAD_SERVERS]),
        ("timeout", BAD_TIMEOUTS),
        ("response_timeout", BAD_TIMEOUTS),
        ("lifetime_limit", [-1, 0, 3601, 2**31, 2**32 + 4, 2**64 + 4, -(2**40)]),
        ("family", BAD_NUMBERS),
        ("scope", [*BAD_NUMBERS, 0]),
        ("log_level", [*BAD_NUMBERS, 0, 5]),
    ]
    for name, values in bad:
        before = getattr(probe, name)
        for value in values:
            checks.raises(invalid, f"{name} = {value!r}", setting(probe, name), value)
            checks.raises(invalid, f"Probe({name}={value!r})", lambda: Probe(**{name: value}))
        checks.note(name, None if getattr(probe, name) == before else "was changed by what was refused")


def check_types(checks: Checks, probe: Probe) -> None:
    """What is not even of the right type."""
    for value in (1, b"127.0.0.1", ["127.0.0.1"]):
        checks.raises(TypeError, f"source_ip = {value!r}", setting(probe, "source_ip"), value)
        checks.raises(TypeError, f"interface = {value!r}", setting(probe, "interface"), value)
        checks.raises(TypeError, f"servers = [{value!r}]", setting(probe, "servers"), [value])
    for name, value in (
        ("servers", None),
        ("servers", [None]),
        ("servers", "127.0.0.1"),
        ("source_port", 1.5),
        ("source_port", "1"),
        ("timeout", "1"),
        ("family", "4"),
        ("scope", "mapping"),
        ("log_level", "debug"),
        ("on_event", 1),
        ("on_log", 1),
        ("on_datagram", 1),
        ("on_event", first_event),
        ("on_log", first_event),
        ("on_datagram", first_event),
        ("logger", "natprobe"),
        ("timeout", None),
        ("response_timeout", "1"),
    ):
        checks.raises(TypeError, f"{name} = {value!r}", setting(probe, name), value)
    checks.raises(TypeError, "a positional argument", Probe, ["127.0.0.1"])


def check_number_of_servers(checks: Checks) -> None:
    """One more than a probe holds: then those before stay."""
    with Probe(servers=["127.0.0.1"] * natprobe.MAX_SERVERS) as probe:
        too_many = ["127.0.0.2"] * (natprobe.MAX_SERVERS + 1)
        checks.raises(natprobe.LimitError, "one server too many", setting(probe, "servers"), too_many)
        checks.note("servers", None if probe.servers == ("127.0.0.1",) * natprobe.MAX_SERVERS else "were changed")
        checks.works("forgetting the servers", setting(probe, "servers"), ())
        checks.works("another server", setting(probe, "servers"), ["127.0.0.1"])


def check_sockets(checks: Checks, probe: Probe) -> None:
    """Sockets that are none, or not fit for a check."""
    invalid = natprobe.InvalidArgumentError

    def ignore(data: bytes, address: natprobe.Address) -> None:
        pass

    def udp(bound: bool = True) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if bound:
            sock.bind(("127.0.0.1", 0))
        return sock

    probe.on_datagram = ignore
    with udp() as good, udp(bound=False) as unbound, udp() as connected, socket.socket() as tcp, open(os.devnull) as no:
        connected.connect(good.getsockname())
        tcp.bind(("127.0.0.1", 0))
        for what, bad in (("unbound", unbound), ("connected", connected), ("TCP", tcp), ("no", no)):
            checks.raises(invalid, f"{what} socket", setting(probe, "sock"), bad)
            checks.raises(invalid, f"{what} socket by number", setting(probe, "sock"), bad.fileno())
        for number in (-1, -2, 99999, 2**31, 2**32 + good.fileno()):
            checks.raises(invalid, f"descriptor {number}", setting(probe, "sock"), number)
        checks.raises(TypeError, "a socket without a function", lambda: Probe(sock=good))
        checks.raises(AttributeError, "something without a descriptor", setting(probe, "sock"), "socket")
        for source in ({"source_ip": "127.0.0.1"}, {"source_port": 7}):
            checks.raises(invalid, f"socket and {source}", lambda: Probe(sock=good, on_datagram=ignore, **source))
        checks.works("a good socket", setting(probe, "sock"), good)
        checks.raises(invalid, "a source beside a socket", setting(probe, "source_ip"), "127.0.0.1")
        checks.raises(invalid, "a port beside a socket", setting(probe, "source_port"), 7)
        checks.raises(TypeError, "no function beside a socket", setting(probe, "on_datagram"), None)
    checks.raises(invalid, "a check from a socket closed since", probe.start)
    checks.raises(invalid, "a closed socket", setting(probe, "sock"), good)
    checks.works("taking the socket back", setting(probe, "sock"), None)


def check_states(checks: Checks, probe: Probe) -> None:
    """Calls at the wrong moment. The probe has a server that does not answer."""
    busy, invalid = natprobe.BusyError, natprobe.InvalidArgumentError
    checks.note("fileno() before start()", None if probe.fileno() == -1 else "is not -1")
    checks.raises(invalid, "process() before start()", probe.process)
    checks.note("last_result before a check", None if probe.last_result is None else "is there")
    checks.works("start()", probe.start)
    calls: List[Tuple[str, Callable[[], object]]] = [
        ("start()", probe.start),
        ("run()", probe.run),
        ("run_async()", lambda: asyncio.run(probe.run_async())),
        ("events()", lambda: asyncio.run(first_event(probe))),
    ]
    for name, value in SETTINGS.items():
        calls.append((f"{name} =", lambda name=name, value=value: setattr(probe, name, value)))
    for what, call in calls:
        checks.raises(busy, f"{what} after start()", call)
    probe.cancel()
    checks.raises(natprobe.CheckCancelledError, "process() after cancel()", probe.process)
    checks.raises(invalid, "process() after the end", probe.process)

    def on_event(event: Event) -> None:
        probe.on_event  # noqa: B018  a property may be looked at
        for what, call in [*calls, ("process()", probe.process)]:
            checks.raises(busy, f"{what} in a callback", call)
        probe.cancel()

    probe.on_event = on_event
    checks.raises(natprobe.CheckCancelledError, "cancel() in a callback", probe.run)
    probe.on_event = None


async def first_event(probe: Probe) -> Event:
    """The first thing that happens."""
    return await probe.events().__anext__()


# A good value for each property.
SETTINGS: Dict[str, Any] = {
    "servers": ["127.0.0.1"],
    "source_ip": None,
    "source_port": 0,
    "interface": "lo",
    "sock": None,
    "on_datagram": print,
    "family": 0,
    "scope": 3,
    "timeout": 1,
    "response_timeout": 1,
    "lifetime_limit": 9,
    "on_event": None,
    "on_log": None,
    "log_level": 4,
    "logger": logging.getLogger("driver"),
}


def check_properties(checks: Checks) -> None:
    """What is set can be read again, and is that of a keyword argument; the constructor has no other."""
    parameters = inspect.signature(Probe).parameters
    checks.note("properties", None if set(parameters) == set(SETTINGS) else f"are {set(parameters)}")
    for name, value in SETTINGS.items():
        shown = tuple(value) if name == "servers" else value
        with Probe(**{name: value}) as probe, Probe() as other:
            checks.note(f"Probe({name}=)", None if getattr(probe, name) == shown else "is not kept")
            default = parameters[name].default
            checks.note(f"the default of {name}", None if getattr(other, name) == default else "is another")
            setattr(other, name, value)
            checks.note(f"{name} =", None if getattr(other, name) == shown else "is not kept")


def check_closed(checks: Checks) -> None:
    """Use after the end."""
    probe = Probe(servers=["127.0.0.1"])
    probe.close()
    for what, call in (
        ("run()", probe.run),
        ("run_async()", lambda: asyncio.run(probe.run_async())),
        ("start()", probe.start),
        ("process()", probe.process),
        ("fileno()", probe.fileno),
        ("events()", lambda: asyncio.run(first_event(probe))),
        ("servers =", lambda: setting(probe, "servers")(["127.0.0.1"])),
        ("timeout =", lambda: setting(probe, "timeout")(1)),
    ):
        checks.raises(natprobe.ProbeClosedError, f"{what} after close()", call)
    checks.works("close() again", probe.close)
    checks.works("cancel() after close()", probe.cancel)


def check_shorthand(checks: Checks) -> None:
    """The one-call form refuses bad arguments as the probe does; that in place of proxystore's, as the original."""
    invalid = natprobe.InvalidArgumentError
    no_name = "x" * 64  # too long for the name service to be asked
    checks.raises(TypeError, "proxystore.check_nat(None)", proxystore.check_nat, None)
    checks.raises(socket.gaierror, f"proxystore.check_nat({no_name!r})", proxystore.check_nat, no_name)
    for check in (natprobe.check_nat, lambda *args: asyncio.run(natprobe.check_nat_async(*args)), proxystore.check_nat):
        checks.raises(TypeError, "check_nat(port='1')", check, "127.0.0.1", "1")
        refused = OverflowError if check is proxystore.check_nat else invalid
        for port in BAD_PORTS:
            checks.raises(refused, f"check_nat(port={port})", check, "127.0.0.1", port)
        if check is not proxystore.check_nat:
            for address in BAD_ADDRESSES:
                checks.raises(invalid, f"check_nat({address!r})", check, address)
        if sys.platform != "win32":  # Wine binds to every address
            checks.raises(natprobe.AddressNotAvailableError, "check_nat('192.0.2.1')", check, "192.0.2.1")


def run_bad_input(args: argparse.Namespace) -> int:
    """All that can be done wrongly, each with its error; and the probe is as good as before."""
    checks = Checks()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        with Probe(servers=[server], response_timeout=0.1) as probe:
            for check in (check_settings, check_types, check_sockets, check_states):
                check(checks, probe)
            checks.raises(natprobe.NoResponseError, "a run after all that", probe.run)
        with Probe(servers=[server], source_ip="127.0.0.1", family=natprobe.Family.IPV6) as probe:
            checks.raises(natprobe.InvalidArgumentError, "a source of the other family", probe.run)
    check_properties(checks)
    check_number_of_servers(checks)
    check_closed(checks)
    check_shorthand(checks)
    for failure in checks.failed:
        print(failure, file=sys.stderr)
    print(f"{checks.passed} checks passed")
    return 1 if checks.failed else 0


# ---- Layout ---------------------------------------------------------------------------------------------------------

ENUMS: List[Tuple[str, Any]] = [
    ("NP_NAT_", natprobe.NatType),
    ("NP_BEHAVIOUR_", natprobe.Behaviour),
    ("NP_EVIDENCE_", natprobe.Evidence),
    ("NP_TESTS_", natprobe.Scope),
    ("NP_FAMILY_", natprobe.Family),
    ("NP_ADDRESS_", natprobe.AddressClass),
    ("NP_LOG_", natprobe.LogLevel),
    ("NP_EVENT_", natprobe.EventKind),
    ("NP_REQUEST_", natprobe.Request),
    ("NP_PURPOSE_", natprobe.Purpose),
    ("NP_TRISTATE_", natprobe.Tristate),
    ("NP_OUTLOOK_", natprobe.OutlookClass),
    ("NP_FIRST_", natprobe.First),
    ("NP_ASSUMES_", natprobe.Assumption),
    ("NP_RULE_", natprobe.OutlookRule),
    ("NP_WATCH_REASON_", natprobe.WatchReason),
    ("NP_CHANGED_", natprobe.WatchChange),
    ("NP_CONDUCT_", natprobe.Conduct),
]


def constants() -> Dict[str, int]:
    """Every value that the binding knows, by its name in C."""
    found = {
        "NP_DEFAULT_SOURCE_PORT": proxystore.DEFAULT_SOURCE_PORT,
        "NP_DEFAULT_TIMEOUT_MS": round(natprobe.DEFAULT_TIMEOUT * 1000),
        "NP_DEFAULT_RESPONSE_TIMEOUT_MS": round(natprobe.DEFAULT_RESPONSE_TIMEOUT * 1000),
        "NP_DEFAULT_LIFETIME_LIMIT_S": natprobe.DEFAULT_LIFETIME_LIMIT,
        "NP_MAX_SERVERS": natprobe.MAX_SERVERS,
        "NP_DEFAULT_WATCH_INTERVAL_S": natprobe.DEFAULT_WATCH_INTERVAL,
        "NP_IP_TEXT_SIZE": _library.IP_TEXT_SIZE,
        "NP_PROFILE_TEXT_SIZE": _library.PROFILE_TEXT_SIZE,
        "NP_SERVER_TEXT_SIZE": _library.SERVER_TEXT_SIZE,
        "NP_MAX_SURVEY_SERVERS": natprobe.MAX_SURVEY_SERVERS,
    }
    for status in Status:
        prefix = "NP_" if status in (Status.OK, Status.PENDING) else "NP_ERR_"
        found[prefix + status.name] = int(status)
    for prefix, values in ENUMS:
        found.update({prefix + name: int(value) for name, value in values.__members__.items()})
    return found


def layout(structure: Any) -> Dict[str, Any]:
    """Size, and offset and size of each member, as ctypes sees them."""
    members = [(name, getattr(structure, name)) for name, _ in structure._fields_]
    return {
        "size": ctypes.sizeof(structure),
        "members": {name: [member.offset, member.size] for name, member in members},
    }


def run_layout(args: argparse.Namespace) -> int:
    """What the binding believes of the interface."""
    structs = {
        "np_result": layout(_library.CResult),
        "np_event": layout(_library.CEvent),
        "np_profile": layout(_library.CProfile),
        "np_outlook_result": layout(_library.COutlook),
        "np_watch_status": layout(_library.CWatchStatus),
    }
    print(json.dumps({"constants": constants(), "structs": structs}))
    return 0


# ---- Together -------------------------------------------------------------------------------------------------------

MODES: Dict[str, Callable[[argparse.Namespace], int]] = {
    "blocking": run_blocking,
    "async": run_async,
    "socket": run_socket,
    "cancel": run_cancel,
    "bad-input": run_bad_input,
    "layout": run_layout,
    "default": run_default,
}


def main() -> int:
    """Runs one mode."""
    parser = argparse.ArgumentParser(description="Exercises the Python binding of libnatprobe.")
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--json", action="store_true", help="accepted and ignored")
    parser.add_argument("-p", dest="port", type=int, default=0, help="source port")
    parser.add_argument("-s", dest="servers", action="append", default=[], help="server")
    parser.add_argument("-6", dest="ipv6", action="store_true", help="IPv6 only")
    parser.add_argument("--mapping-only", action="store_true")
    args = parser.parse_args()
    try:
        return MODES[args.mode](args)
    except Wrong as wrong:
        print(f"driver: {wrong}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
