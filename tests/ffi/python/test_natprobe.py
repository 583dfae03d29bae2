#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the Python binding: nothing but loopback is needed, and the library where the loader finds it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import enum
import errno
import functools
import gc
import inspect
import itertools
import json
import logging
import os
import pickle
import re
import resource
import selectors
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
import types
import unittest
import warnings
import weakref
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Type
from unittest import mock

sys.dont_write_bytecode = True  # nothing may be left in the source tree
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..", "..")
MODULE_FOLDER = os.path.join(ROOT, "examples", "python")
sys.path[:0] = [MODULE_FOLDER, HERE]

import driver  # noqa: E402
import natprobe  # noqa: E402
from natprobe import Behaviour, Event, EventKind, Evidence, NatResult, NatType, Probe, Status, Verdict  # noqa: E402

PROMPT = 1.5  # seconds within which a cancelled check has to be over, on a busy machine too
MAGIC = 0x2112A442

# ---- Servers --------------------------------------------------------------------------------------------------------


class Server:
    """A STUN server on two loopback addresses with two ports each (RFC 5780), in a thread."""

    def __init__(self, reply: str = "good", mapping: str = "true", change: bool = True, other: bool = True) -> None:
        self.reply, self.mapping, self.change, self.other = reply, mapping, change, other
        self.sockets = self._bind()
        self.stopped, self._stop = socket.socketpair()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.stopped, selectors.EVENT_READ)
        for key, sock in self.sockets.items():
            self.selector.register(sock, selectors.EVENT_READ, key)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.close()
        self.thread.join()
        self.selector.close()
        for sock in [*self.sockets.values(), self.stopped]:
            sock.close()

    @property
    def name(self) -> str:
        """As add_server() wants it."""
        return "%s:%d" % self.sockets[0, 0].getsockname()

    def _bind(self) -> Dict[Tuple[int, int], socket.socket]:
        """By number of address and port."""
        sockets = {key: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for key in itertools.product((0, 1), (0, 1))}
        for (address, port), sock in sockets.items():
            known = sockets[0, port].getsockname()[1] if address else 0
            sock.bind((f"127.0.0.{address + 1}", known))
        return sockets

    def _serve(self) -> None:
        while True:
            for ready, _ in self.selector.select():
                if ready.data is None:
                    return
                self._answer(ready.data, *self.sockets[ready.data].recvfrom(2048))

    def _answer(self, key: Tuple[int, int], request: bytes, client: Tuple[str, int]) -> None:
        if self.reply == "none" or request[:2] != b"\0\1":
            return
        found = re.search(rb"\x00\x03\x00\x04\x00\x00\x00(.)", request[20:], re.DOTALL)
        change = found.group(1)[0] if found and self.change else 0
        source = self.sockets[key[0] ^ (change >> 2 & 1), key[1] ^ (change >> 1 & 1)]
        source.sendto(b"nonsense" if self.reply == "nonsense" else self._success(key, request, client), client)

    def _success(self, key: Tuple[int, int], request: bytes, client: Tuple[str, int]) -> bytes:
        shift = {"true": 0, "shifted": 1, "by-address": 1 + key[0]}[self.mapping]
        port = 1024 + (client[1] + shift) % 60000 if shift else client[1]
        mapped = struct.unpack("!I", socket.inet_aton(client[0]))[0] ^ MAGIC
        body = struct.pack("!HHBBHI", 0x0020, 8, 0, 1, port ^ (MAGIC >> 16), mapped)
        if self.other:
            other = self.sockets[1, 1].getsockname()
            body += struct.pack("!HHBBH4s", 0x802C, 8, 0, 1, other[1], socket.inet_aton(other[0]))
        return struct.pack("!HH", 0x0101, len(body)) + request[4:20] + body


def good_probe(server: Server, **more: Any) -> Probe:
    """A probe that asks a server of ours."""
    return Probe(servers=[server.name], **more)


def silent_probe(server: Server, **more: Any) -> Probe:
    """One that waits for long, for a server that says nothing."""
    return Probe(servers=[server.name], **{"timeout": 60, "response_timeout": 60, **more})


def descriptors() -> int:
    """How many are open."""
    return len(os.listdir("/proc/self/fd"))


class Odd(BaseException):
    """No Exception."""


class TestCase(unittest.TestCase):
    """With a server that answers and one that does not."""

    good: Server
    silent: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.good = Server()
        cls.silent = Server(reply="none")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.good.__exit__()
        cls.silent.__exit__()

    @contextlib.contextmanager
    def prompt(self, at_least: float = 0.0) -> Iterator[None]:
        """What is done within must be done soon."""
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        self.assertLess(took, at_least + PROMPT)
        self.assertGreaterEqual(took, at_least * 0.9)

    def assert_usable(self, probe: Probe) -> None:
        """Whether a probe is as good as new."""
        probe.set_events(None)
        probe.set_log(None)
        probe.set_source()
        probe.clear_servers()
        probe.add_server(self.good.name)
        self.assertEqual(probe.run().nat_type, Verdict.OPEN_INTERNET)


def run_python(code: str, **environment: str) -> subprocess.Popen[str]:
    """Another Python that has the module."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": MODULE_FOLDER, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# ---- The library ----------------------------------------------------------------------------------------------------


class LibraryTest(unittest.TestCase):
    """Finding the library, and refusing one that does not fit."""

    def import_with(self, library: str) -> str:
        process = run_python("import natprobe; print(natprobe.version())", NATPROBE_LIBRARY=library)
        out, err = process.communicate()
        return out.strip() or err.strip().splitlines()[-1]

    def test_the_variable_names_the_file(self) -> None:
        with open("/proc/self/maps") as maps:
            path = next(line.split()[-1] for line in maps if "libnatprobe.so" in line)
        self.assertEqual(self.import_with(path), natprobe.version())

    def test_a_missing_library_is_explained(self) -> None:
        message = self.import_with("/nonexistent/libnatprobe.so.0")
        self.assertRegex(message, "^ImportError: .*/nonexistent/libnatprobe.so.0.*NATPROBE_LIBRARY")

    def test_another_library_is_refused(self) -> None:
        self.assertRegex(self.import_with("libc.so.6"), "^ImportError: libc.so.6 is not a libnatprobe")

    def fake(self, **more: int) -> Any:
        values = {"np_version_number": 0x000200, "np_result_size": 512, "np_event_size": 256, **more}
        functions = {name: (lambda *args, name=name: values.get(name, 0)) for name in natprobe._PROTOTYPES}
        return types.SimpleNamespace(_name="fake", **functions)

    def test_what_fits_is_taken(self) -> None:
        for version in (0x000200, 0x000201, 0x010000):
            natprobe._check_library(self.fake(np_version_number=version))

    def test_an_old_release_is_refused(self) -> None:
        with self.assertRaisesRegex(ImportError, r"0\.1\.9 is too old"):
            natprobe._check_library(self.fake(np_version_number=0x000109))

    def test_other_sizes_are_refused(self) -> None:
        for name in ("np_result_size", "np_event_size"):
            with self.assertRaisesRegex(ImportError, "has 8 bytes"):
                natprobe._check_library(self.fake(**{name: 8}))

    def test_a_missing_function_is_named(self) -> None:
        library = self.fake()
        del library.np_probe_fd
        with self.assertRaisesRegex(ImportError, "np_probe_fd"):
            natprobe._check_library(library)

    def test_every_function_of_the_header_is_declared(self) -> None:
        with open(os.path.join(ROOT, "include", "natprobe", "natprobe.h")) as file:
            header = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
        found = re.findall(r"^NP_API [^;(]*?\b(np_\w+)\(([^;]*)\);", header, flags=re.MULTILINE)
        counts = {name: 0 if arguments == "void" else arguments.count(",") + 1 for name, arguments in found}
        self.assertEqual(counts, {name: len(types) for name, (_, types) in natprobe._PROTOTYPES.items()})

    def test_every_value_is_that_of_the_header(self) -> None:
        with open(os.path.join(ROOT, "docs", "enums.json")) as file:
            recorded = json.load(file)
        self.assertEqual(driver.constants(), {k: v for group in recorded.values() for k, v in group.items()})

    def test_the_version(self) -> None:
        number = natprobe.version_number()
        self.assertEqual(natprobe.version(), f"{number >> 16}.{number >> 8 & 255}.{number & 255}")


class ValuesTest(unittest.TestCase):
    """Enums, results and events."""

    def test_names_and_texts(self) -> None:
        self.assertEqual(Status.NO_RESPONSE.label, "no-response")
        self.assertEqual(str(Status.OK), "ok")
        self.assertEqual(f"{Verdict.PORT_RESTRICTED_CONE}", "port-restricted-cone")
        self.assertEqual(Behaviour.ADDRESS_DEPENDENT.label, "address-dependent")
        self.assertEqual(str(EventKind.CONCLUDED), "concluded")
        self.assertEqual(str(natprobe.Test.III), "III")
        self.assertEqual(str(natprobe.Purpose.CONTROL), "control")
        self.assertEqual(str(Evidence.LOSS | Evidence.ANSWERED), "answered loss")
        for text in (Status.TIMEOUT.description, Verdict.CONE.advice, Behaviour.NONE.description):
            self.assertTrue(text)

    def test_no_known_value_is_unknown_to_the_library(self) -> None:
        for values in (Status, EventKind, natprobe.Test, natprobe.Purpose):
            for value in values:
                self.assertNotEqual(value.label, "unknown", value)
        for bit in Evidence:
            self.assertEqual(len(bit.labels), 1)
            self.assertNotEqual(bit.labels[0], "unknown", bit)

    def test_values_of_later_releases_pass_through(self) -> None:
        later = Verdict(99)
        self.assertEqual((later, later.name, str(later)), (99, "VALUE_99", "unknown"))
        self.assertNotIn("VALUE_99", Verdict.__members__)
        self.assertEqual(Evidence(1 << 30).labels, ("unknown",))
        with self.assertRaises(ValueError):
            Verdict("cone")

    def test_results_are_immutable(self) -> None:
        result = NatResult._from_c(natprobe._CResult())
        for field in dataclasses.fields(result):
            with self.assertRaises(dataclasses.FrozenInstanceError):
                setattr(result, field.name, None)
        self.assertEqual(result, pickle.loads(pickle.dumps(result)))
        self.assertEqual((result.external_ip, result.external_port, result.rtt, result.detail), (None, None, None, ""))

    def test_what_an_event_does_not_have_is_none(self) -> None:
        sent = Event._from_c(
            natprobe._CEvent(kind=1, purpose=1, test=1, copy=2, time_us=1500, remote=b"192.0.2.1:3478")
        )
        self.assertEqual((sent.copy, sent.time, sent.remote), (2, 0.0015, "192.0.2.1:3478"))
        self.assertEqual((sent.status, sent.nat_type, sent.behaviour, sent.external, sent.stun_error), (None,) * 5)
        end = Event._from_c(natprobe._CEvent(kind=3, nat_type=8))
        self.assertEqual((end.purpose, end.test, end.copy, end.behaviour), (None,) * 4)
        self.assertEqual((end.nat_type, end.status), (Verdict.CONE, Status.OK))

    def test_every_public_name_is_documented(self) -> None:
        for name in natprobe.__all__:
            value = getattr(natprobe, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                self.assertTrue(inspect.getdoc(value), name)
        for name, value in inspect.getmembers(Probe, callable):
            self.assertTrue(name.startswith("_") or inspect.getdoc(value), name)


# ---- In place of proxystore -----------------------------------------------------------------------------------------

# What proxystore.p2p.nat is in releases 0.8.3 and 1.0.0; 1.1 has another interface.
PROXYSTORE_TYPES = {
    "OpenInternet": "Open Internet (No NAT)",
    "FullCone": "Full-cone NAT",
    "SymmetricUDPFirewall": "Symmetric UDP Firewall NAT",
    "RestrictedCone": "Restricted-cone NAT",
    "PortRestrictedCone": "Port Restricted-cone NAT",
    "Symmetric": "Symmetric NAT",
}
PROXYSTORE_FIELDS = ("nat_type", "external_ip", "external_port")
PROXYSTORE_PARAMETERS = [("source_ip", "0.0.0.0"), ("source_port", 54320)]
PROXYSTORE_LEVELS_OF_SUCCESS = [logging.INFO] * 5
PROXYSTORE_LEVELS_OF_SYMMETRIC = [logging.INFO] * 4 + [logging.WARNING]
PROXYSTORE_LEVELS_OF_FAILURE = [logging.INFO, logging.ERROR]


def asking(server: Server, **more: Any) -> Any:
    """The one-call forms ask this server instead of public ones."""
    return mock.patch.object(natprobe, "Probe", functools.partial(Probe, servers=[server.name], **more))


class ProxystoreTest(TestCase):
    """check_nat() and check_nat_and_log() stand in for those of proxystore."""

    def test_types_are_those_of_proxystore(self) -> None:
        self.assertTrue(issubclass(NatType, enum.Enum))
        self.assertEqual({name: member.value for name, member in NatType.__members__.items()}, PROXYSTORE_TYPES)

    def test_values_are_the_descriptions_of_the_library(self) -> None:
        for verdict, nat_type in natprobe._NAT_TYPES.items():
            self.assertEqual(verdict.description, nat_type.value)
            self.assertEqual(verdict.name.replace("_", "").lower(), nat_type.name.lower())
        self.assertEqual(set(natprobe._NAT_TYPES.values()), set(NatType))

    def test_the_result_is_that_of_proxystore(self) -> None:
        self.assertEqual(natprobe.Result._fields, PROXYSTORE_FIELDS)
        self.assertTrue(issubclass(natprobe.Result, tuple))
        self.assertEqual(tuple(natprobe.Result(NatType.FullCone, "192.0.2.1", 1)), (NatType.FullCone, "192.0.2.1", 1))

    def test_signatures_are_those_of_proxystore(self) -> None:
        for function in (natprobe.check_nat, natprobe.check_nat_and_log, natprobe.check_nat_async):
            parameters = inspect.signature(function).parameters.values()
            self.assertEqual([(p.name, p.default) for p in parameters], PROXYSTORE_PARAMETERS)
            self.assertEqual({p.kind for p in parameters}, {inspect.Parameter.POSITIONAL_OR_KEYWORD})

    def test_a_check(self) -> None:
        with asking(self.good):
            nat_type, ip, port = result = natprobe.check_nat("127.0.0.1", 0)
        self.assertIsInstance(result, natprobe.Result)
        self.assertEqual((nat_type, ip), (NatType.OpenInternet, "127.0.0.1"))
        self.assertIsInstance(port, int)
        with asking(self.good):
            self.assertEqual(asyncio.run(natprobe.check_nat_async("127.0.0.1", 0)).nat_type, NatType.OpenInternet)

    def test_the_source_is_used_by_default_and_as_given(self) -> None:
        for arguments, expected in (((), ("0.0.0.0", 54320)), (("127.0.0.2", 7), ("127.0.0.2", 7))):
            for call in (natprobe.check_nat, lambda *args: asyncio.run(natprobe.check_nat_async(*args))):
                with mock.patch.object(natprobe, "Probe", side_effect=Odd) as made:
                    self.assertRaises(Odd, call, *arguments)
                settings = made.call_args[1]
                self.assertEqual((settings["source_ip"], settings["source_port"]), expected)
                self.assertNotIn("servers", settings)

    def test_the_source_port_is_the_one_checked(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        with asking(self.good):
            self.assertEqual(natprobe.check_nat("127.0.0.1", port).external_port, port)

    def test_a_source_name_is_looked_up(self) -> None:
        for name in ("localhost", ""):
            with asking(self.good):
                self.assertEqual(natprobe.check_nat(name, 0).external_ip, "127.0.0.1")
                self.assertEqual(asyncio.run(natprobe.check_nat_async(name, 0)).external_ip, "127.0.0.1")

    def original_error(self, ip: Any, port: Any) -> BaseException:
        """What the original's bind() raises."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, self.assertRaises(Exception) as caught:
            sock.bind((ip, port))
        return caught.exception

    def test_errors_of_the_source_are_those_of_bind(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            for ip, port in (
                ("127.0.0.1", taken.getsockname()[1]),
                ("192.0.2.1", 0),
                ("x" * 64, 0),
                ("127.0.0.1\0", 0),
                ("127.0.0.1", 65536),
                ("127.0.0.1", -1),
                ("127.0.0.1", "1"),
                (None, 0),
            ):
                original = self.original_error(ip, port)
                with self.subTest(ip=ip, port=port, original=original), asking(self.good):
                    with self.assertRaises(type(original)) as caught:
                        natprobe.check_nat(ip, port)
                    self.assertEqual(getattr(caught.exception, "errno", None), getattr(original, "errno", None))

    def test_no_answer_is_a_runtime_error(self) -> None:
        for call in (natprobe.check_nat, lambda *args: asyncio.run(natprobe.check_nat_async(*args))):
            with asking(self.silent, response_timeout=0.05), self.assertRaises(RuntimeError) as caught:
                call("127.0.0.1", 0)
            self.assertIsInstance(caught.exception, natprobe.NoResponseError)
            self.assertNotIsInstance(caught.exception, OSError)

    def test_what_has_no_type_is_never_given_one(self) -> None:
        for mapping, verdict in (("true", Verdict.NO_NAT), ("shifted", Verdict.CONE)):
            with Server(mapping=mapping, change=False) as plain, asking(plain):
                with self.assertRaises(natprobe.PartialVerdictError) as caught:
                    natprobe.check_nat("127.0.0.1", 0)
            error = caught.exception
            self.assertIsInstance(error, RuntimeError)
            self.assertEqual((error.code, error.name), (Status.OK, "partial-verdict"))
            self.assertEqual((error.result.nat_type, error.result.external_ip), (verdict, "127.0.0.1"))
            self.assertIn(verdict.description, str(error))
            self.assertIn(f"127.0.0.1 port {error.result.external_port}", str(error))

    def test_all_verdicts(self) -> None:
        for verdict in Verdict:
            raw = natprobe._CResult(nat_type=verdict, external_ip=b"192.0.2.1", external_port=7)
            result = NatResult._from_c(raw)
            if verdict.description in PROXYSTORE_TYPES.values():
                self.assertEqual(result.as_result(), (NatType(verdict.description), "192.0.2.1", 7))
            else:
                self.assertRaises(natprobe.PartialVerdictError, result.as_result)

    def logged(self, server: Server, level: int = logging.INFO, **more: Any) -> List[logging.LogRecord]:
        with asking(server, **more), self.assertLogs("natprobe", level) as logs:
            self.assertIsNone(natprobe.check_nat_and_log("127.0.0.1", 0))
        return logs.records

    def test_lines_of_success(self) -> None:
        records = self.logged(self.good)
        self.assertEqual([r.levelno for r in records], PROXYSTORE_LEVELS_OF_SUCCESS)
        lines = [r.getMessage() for r in records]
        self.assertRegex(lines[1], r"^NAT type: +Open Internet \(No NAT\)$")
        self.assertRegex(lines[2], r"^External IP: +127\.0\.0\.1$")
        self.assertRegex(lines[3], r"^External port: +\d+$")
        self.assertIn("likely to work", lines[4])

    def test_lines_of_symmetric(self) -> None:
        with Server(mapping="by-address") as server:
            records = self.logged(server)
        self.assertEqual([r.levelno for r in records], PROXYSTORE_LEVELS_OF_SYMMETRIC)
        self.assertIn("Symmetric NAT", records[1].getMessage())
        self.assertIn("unlikely to work", records[4].getMessage())

    def test_lines_of_failure(self) -> None:
        records = self.logged(self.silent, response_timeout=0.05)
        self.assertEqual([r.levelno for r in records], PROXYSTORE_LEVELS_OF_FAILURE)
        self.assertRegex(records[1].getMessage(), "^Failed to determine NAT type: .*no server answered")

    def test_nothing_is_raised_whatever_is_wrong(self) -> None:
        for ip, port in (("x" * 64, 0), ("127.0.0.1", -1), (None, None)):
            with self.assertLogs("natprobe", logging.INFO) as logs:
                natprobe.check_nat_and_log(ip, port)
            self.assertEqual([r.levelno for r in logs.records], PROXYSTORE_LEVELS_OF_FAILURE)

    def test_each_step_is_logged_at_debug_only(self) -> None:
        records = self.logged(self.good, level=logging.DEBUG)
        self.assertGreater(len([r for r in records if r.levelno == logging.DEBUG]), 4)
        self.assertEqual([r.levelno for r in records if r.levelno > logging.DEBUG], PROXYSTORE_LEVELS_OF_SUCCESS)


# ---- Errors ---------------------------------------------------------------------------------------------------------


class ErrorsTest(TestCase):
    """Every code has its exception."""

    def test_every_code_has_an_exception_of_its_own(self) -> None:
        failures = {status for status in Status if status < 0}
        self.assertEqual(set(natprobe._ERRORS), failures)
        self.assertEqual(len(set(natprobe._ERRORS.values())), len(failures))
        raw = natprobe._CResult(os_error=errno.EMFILE, detail=b"why")
        for status, kind in natprobe._ERRORS.items():
            raw.error = status
            with self.assertRaises(RuntimeError) as caught:
                natprobe._verdict(raw)
            for error in (caught.exception, pickle.loads(pickle.dumps(caught.exception))):
                self.assertIs(type(error), kind)
                self.assertEqual((error.code, error.name, str(error)), (status, status.label, "why"))
                self.assertEqual(error.result, NatResult._from_c(raw))
                if isinstance(error, OSError):
                    self.assertEqual((error.errno, error.strerror), (errno.EMFILE, "why"))

    def test_a_code_of_a_later_release_is_an_error_too(self) -> None:
        with self.assertRaises(natprobe.NatProbeError) as caught:
            natprobe._verdict(natprobe._CResult(error=-99))
        self.assertIs(type(caught.exception), natprobe.NatProbeError)
        self.assertEqual(caught.exception.code, -99)

    def fails(self, kind: Type[natprobe.NatProbeError], probe: Probe, os_error: int = 0) -> None:
        """In each of the ways to run it."""
        for run in (probe.run, lambda: asyncio.run(probe.run_async()), lambda: run_with_selector(probe)):
            with self.assertRaises(kind) as caught:
                run()
            self.assertIs(type(caught.exception), kind)
            self.assertEqual(caught.exception.result.os_error, os_error)
            self.assertTrue(str(caught.exception))
        probe.close()

    def test_address_in_use(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            probe = good_probe(self.good, source_ip="127.0.0.1", source_port=taken.getsockname()[1])
            self.fails(natprobe.AddressInUseError, probe, errno.EADDRINUSE)

    def test_address_not_available(self) -> None:
        probe = good_probe(self.good, source_ip="192.0.2.1")
        self.fails(natprobe.AddressNotAvailableError, probe, errno.EADDRNOTAVAIL)

    def test_no_response(self) -> None:
        self.fails(natprobe.NoResponseError, silent_probe(self.silent, response_timeout=0.05))

    def test_deadline(self) -> None:
        self.fails(natprobe.DeadlineError, silent_probe(self.silent, timeout=0.05))

    def test_bad_response(self) -> None:
        with Server(reply="nonsense") as server:
            self.fails(natprobe.BadResponseError, good_probe(server, timeout=1, response_timeout=0.2))

    def test_inconclusive(self) -> None:
        with Server(mapping="shifted", change=False, other=False) as server:
            self.fails(natprobe.InconclusiveError, good_probe(server))

    def test_argument(self) -> None:
        probe = good_probe(self.good, source_ip="127.0.0.1", family=natprobe.Family.IPV6)
        self.fails(natprobe.InvalidArgumentError, probe)

    def test_no_descriptors(self) -> None:
        process = run_python("""
            import natprobe, resource
            probe = natprobe.Probe(servers=["127.0.0.1"])
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
            try:
                probe.run()
            except natprobe.ResourceError as error:
                print(type(error).__name__, isinstance(error, OSError), error.code)
            """)
        self.assertEqual(process.communicate(), ("ResourceError True system\n", ""))


def run_with_selector(probe: Probe) -> NatResult:
    """In an event loop of another kind."""
    probe.start()
    with selectors.DefaultSelector() as selector:
        selector.register(probe, selectors.EVENT_READ)
        while True:
            result = probe.process()
            if result is not None:
                return result
            selector.select()


WAYS: List[Tuple[str, Callable[[Probe], NatResult]]] = [
    ("run", Probe.run),
    ("run_async", lambda probe: asyncio.run(probe.run_async())),
    ("start and process", run_with_selector),
]

# ---- Callbacks ------------------------------------------------------------------------------------------------------


class CallbacksTest(TestCase):
    """What callbacks are told, and what they may do."""

    def test_events_and_log_lines(self) -> None:
        for way, run in WAYS:
            events: List[Event] = []
            lines: List[Tuple[int, str]] = []
            with self.subTest(way), good_probe(self.good) as probe:
                probe.set_events(events.append)
                probe.set_log(lambda *line, lines=lines: lines.append(line), natprobe.LogLevel.DEBUG)
                result = run(probe)
                self.assertEqual({event.kind for event in events}, set(EventKind))
                self.assertEqual(len([e for e in events if e.kind == EventKind.SENT]), result.packets_sent)
                self.assertEqual(events[-1].status, Status.OK)
                self.assertEqual(events[-1].nat_type, Verdict.OPEN_INTERNET)
                answer = next(event for event in events if event.kind == EventKind.ANSWERED)
                self.assertEqual(answer.remote, self.good.name)
                self.assertRegex(answer.external or "", r"^127\.0\.0\.1:\d+$")
                self.assertIn((natprobe.LogLevel.DEBUG, f"server 127.0.0.1 is {self.good.name}"), lines)
                count = len(events)
                self.assert_usable(probe)
                self.assertEqual(len(events), count)

    def test_what_a_callback_raises_comes_out(self) -> None:
        for error, kind, (way, run) in itertools.product(
            (KeyError("key"), Odd(), SystemExit(3), KeyboardInterrupt(), OSError(errno.EIO, "io")),
            (EventKind.SENT, EventKind.ANSWERED, EventKind.CONCLUDED),
            WAYS,
        ):

            def on_event(event: Event, error: BaseException = error, kind: EventKind = kind) -> None:
                if event.kind == kind:
                    raise error

            with self.subTest(way, error=error, kind=kind), good_probe(self.good, on_event=on_event) as probe:
                with self.assertRaises(type(error)) as caught:
                    run(probe)
                self.assertIs(caught.exception, error)
                self.assert_usable(probe)

    def test_what_a_log_raises_comes_out(self) -> None:
        for way, run in WAYS:
            with self.subTest(way), good_probe(self.good) as probe:
                probe.set_log(lambda level, line: 1 / 0, natprobe.LogLevel.DEBUG)
                self.assertRaises(ZeroDivisionError, run, probe)
                self.assert_usable(probe)

    def test_stop_iteration_comes_out(self) -> None:
        with good_probe(self.good, on_event=lambda event: next(iter(()))) as probe:
            self.assertRaises(StopIteration, probe.run)
            with self.assertRaises(RuntimeError) as caught:  # as from every coroutine
                asyncio.run(probe.run_async())
            self.assertIsInstance(caught.exception.__cause__, StopIteration)

    def test_nothing_is_called_after_an_error(self) -> None:
        calls: List[Event] = []

        def on_event(event: Event) -> None:
            calls.append(event)
            raise KeyError

        with good_probe(self.good, on_event=on_event) as probe:
            self.assertRaises(KeyError, probe.run)
        self.assertEqual(len(calls), 1)

    def test_a_check_given_up_ends_at_once(self) -> None:
        for _, run in WAYS:
            with silent_probe(self.silent, on_event=lambda event: 1 / 0) as probe, self.prompt():
                self.assertRaises(ZeroDivisionError, run, probe)

    def test_datagrams_are_told_after_an_error_too(self) -> None:
        for way, run in WAYS:
            got: List[bytes] = []

            def on_datagram(data: bytes, address: natprobe.Address, got: List[bytes] = got) -> None:
                got.append(data)
                if data != b"3":
                    raise ValueError(data)

            with self.subTest(way), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, sock.dup() as sender:
                sock.bind(("127.0.0.1", 0))
                for i in range(4):
                    sender.sendto(b"%d" % i, sock.getsockname())
                with good_probe(self.good, sock=sock, on_datagram=on_datagram) as probe:
                    with self.assertLogs("natprobe") as logs, self.assertRaises(ValueError) as caught:
                        run(probe)
                    self.assert_usable(probe)
                self.assertEqual(got, [b"0", b"1", b"2", b"3"])
                self.assertEqual(caught.exception.args, (b"0",))
                self.assertEqual([record.exc_info[1].args for record in logs.records], [(b"1",), (b"2",)])

    def test_cancel_when_it_is_over_cancels_nothing(self) -> None:
        for way, run in WAYS:
            with self.subTest(way), good_probe(self.good) as probe:
                probe.set_events(lambda event, probe=probe: probe.cancel() if event.status is not None else None)
                self.assertEqual(run(probe).status, Status.OK)
                self.assertEqual(run(probe).status, Status.OK)

    def test_cancel_in_a_callback(self) -> None:
        for way, run in WAYS:
            with self.subTest(way), silent_probe(self.silent) as probe:
                probe.set_events(lambda event, probe=probe: probe.cancel() if event.kind == EventKind.SENT else None)
                with self.prompt():
                    self.assertRaises(natprobe.CheckCancelledError, run, probe)
                self.assert_usable(probe)

    def test_close_in_a_callback(self) -> None:
        for way, run in WAYS:
            before = descriptors()
            probe = silent_probe(self.silent)
            probe.set_events(lambda event, probe=probe: probe.close())
            with self.subTest(way), self.prompt():
                with self.assertRaises((natprobe.CheckCancelledError, natprobe.ProbeClosedError)):
                    run(probe)
                self.assertEqual(descriptors(), before)
                self.assertRaises(natprobe.ProbeClosedError, probe.run)

    def test_close_in_a_later_callback_of_process(self) -> None:
        probe = good_probe(self.good)
        probe.set_events(lambda event: probe.close() if event.kind == EventKind.ANSWERED else None)
        with contextlib.suppress(natprobe.CheckCancelledError, natprobe.ProbeClosedError):
            self.assertEqual(run_with_selector(probe).status, Status.OK)
        self.assertRaises(natprobe.ProbeClosedError, probe.start)


class SocketTest(TestCase):
    """A socket of the caller's own."""

    def check_datagrams(self, family: int, host: str, run: Callable[[Probe], NatResult], server: str) -> None:
        got: List[Tuple[bytes, natprobe.Address]] = []
        payloads = [b"hello %d" % i for i in range(40)] + [b"", b"\1" * 60000]
        with socket.socket(family, socket.SOCK_DGRAM) as sock, socket.socket(family, socket.SOCK_DGRAM) as sender:
            sock.bind((host, 0))
            sender.bind((host, 0))
            for payload in payloads:
                sender.sendto(payload, sock.getsockname())
            with Probe(servers=[server], sock=sock, on_datagram=lambda *args: got.append(args)) as probe:
                probe.set_response_timeout(0.2)
                with contextlib.suppress(natprobe.NoResponseError):
                    result = run(probe)
                    self.assertEqual((result.external_ip, result.external_port), sock.getsockname()[:2])
            self.assertEqual(got, [(payload, sender.getsockname()) for payload in payloads])
            sender.sendto(b"still there", sock.getsockname())
            self.assertEqual(sock.recv(100), b"still there")

    def test_datagrams_are_handed_over(self) -> None:
        for way, run in WAYS:
            with self.subTest(way):
                self.check_datagrams(socket.AF_INET, "127.0.0.1", run, self.good.name)

    @unittest.skipUnless(os.path.exists("/proc/net/if_inet6"), "no IPv6")
    def test_datagrams_over_ipv6(self) -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as silent:
            silent.bind(("::1", 0))
            self.check_datagrams(socket.AF_INET6, "::1", Probe.run, f"[::1]:{silent.getsockname()[1]}")

    def test_addresses_are_those_of_recvfrom(self) -> None:
        raw = (
            struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", 7, 9) + socket.inet_pton(socket.AF_INET6, "fe80::1")
        )
        self.assertEqual(natprobe._decode_address(raw + struct.pack("=I", 3)), ("fe80::1", 7, 9, 3))

    def test_the_socket_is_kept_alive(self) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        alive = weakref.ref(sock)
        with good_probe(self.good, sock=sock, on_datagram=lambda data, address: None) as probe:
            del sock
            self.assertEqual(probe.run().local_port, port)
            self.assertIsNotNone(alive())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # nobody has closed it
                probe.set_source()
            self.assertIsNone(alive())
            self.assertNotEqual(probe.run().local_port, port)

    def test_a_closed_socket_is_noticed(self) -> None:
        with good_probe(self.good) as probe, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            probe.set_socket(sock, lambda data, address: None)
            sock.close()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:  # gets the same descriptor
                other.bind(("127.0.0.1", 0))
                with self.assertRaisesRegex(natprobe.InvalidArgumentError, "closed"):
                    probe.run()
            self.assert_usable(probe)


# ---- Life, threads and signals --------------------------------------------------------------------------------------


class LifeTest(TestCase):
    """When things are freed."""

    def setUp(self) -> None:
        gc.collect()
        gc.disable()
        self.before = descriptors()

    def tearDown(self) -> None:
        gc.enable()

    def test_with_frees(self) -> None:
        with good_probe(self.good) as probe:
            probe.run()
            self.assertGreater(descriptors(), self.before)
        self.assertEqual(descriptors(), self.before)
        self.assertTrue(probe.closed)

    def test_the_last_reference_frees(self) -> None:
        for way, run in WAYS:
            probe = good_probe(self.good, on_event=print, on_log=print)
            probe.set_events(None)
            run(probe)
            alive = weakref.ref(probe)
            del probe
            with self.subTest(way):
                self.assertIsNone(alive())
                self.assertEqual(descriptors(), self.before)

    def test_the_last_reference_frees_after_an_error(self) -> None:
        def fail(event: Event) -> None:
            raise ZeroDivisionError

        for way, run in (WAYS[0], WAYS[2]):
            probe = good_probe(self.good, on_event=fail)
            with contextlib.suppress(ZeroDivisionError):
                run(probe)
            alive = weakref.ref(probe)
            del probe
            with self.subTest(way):
                self.assertIsNone(alive())
                self.assertEqual(descriptors(), self.before)

    def test_the_last_reference_frees_after_an_error_in_asyncio(self) -> None:
        async def main() -> None:
            before = descriptors()
            for server, kind in ((self.silent, natprobe.NoResponseError), (self.good, ZeroDivisionError)):
                probe = good_probe(server, response_timeout=0.05)
                if kind is ZeroDivisionError:
                    probe.set_events(lambda event: 1 / 0)
                with contextlib.suppress(kind):
                    await probe.run_async()
                alive = weakref.ref(probe)
                del probe
                self.assertIsNone(alive())
                self.assertEqual(descriptors(), before)

        asyncio.run(main())

    def test_a_check_in_progress_is_freed(self) -> None:
        probe = silent_probe(self.silent)
        probe.start()
        self.assertGreater(descriptors(), self.before)
        del probe
        self.assertEqual(descriptors(), self.before)

    def test_cycles_are_collected(self) -> None:
        probe: Any = silent_probe(self.silent)
        probe.set_events(lambda event, probe=probe: None)
        probe.start()
        del probe
        gc.collect()
        self.assertEqual(descriptors(), self.before)

    def test_nothing_is_left_of_a_constructor_that_fails(self) -> None:
        known = len(natprobe._probes)
        self.assertRaises(natprobe.InvalidArgumentError, Probe, servers=["bad server"])
        self.assertEqual(len(natprobe._probes), known)

    def test_use_after_close(self) -> None:
        probe = good_probe(self.good)
        probe.close()
        with self.assertRaisesRegex(ValueError, "the probe is closed"):
            probe.run()
        with self.assertRaisesRegex(natprobe.ProbeClosedError, "the probe is closed"):
            asyncio.run(probe.run_async())
        probe.cancel()
        probe.close()

    def test_a_forked_child_does_not_disturb_the_parent(self) -> None:
        probe: Any = good_probe(self.good)
        probe.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of fork() beside threads
            child = os.fork()
        if child == 0:
            refused = 0
            for call in (probe.process, probe.run, probe.fileno, probe.set_source):
                with contextlib.suppress(natprobe.NatProbeError):
                    try:
                        call()
                    except natprobe.ProbeClosedError:
                        refused += 1
            probe.cancel()
            probe.close()
            del probe
            os._exit(0 if refused == 4 else 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        result = None
        while result is None:
            probe._wait()
            result = probe.process()
        self.assertEqual(result.nat_type, Verdict.OPEN_INTERNET)
        probe.close()


class ThreadsTest(TestCase):
    """Calls from several threads, and signals."""

    def test_cancel_from_a_thread(self) -> None:
        for way, run in WAYS:
            with self.subTest(way), silent_probe(self.silent) as probe, self.prompt(0.1):
                timer = threading.Timer(0.1, probe.cancel)
                timer.start()
                with self.assertRaises(natprobe.CheckCancelledError) as caught:
                    run(probe)
                self.assertGreater(caught.exception.result.packets_sent, 0)
                timer.join()
                self.assert_usable(probe)

    def test_cancel_before_a_run(self) -> None:
        with silent_probe(self.silent) as probe, self.prompt():
            probe.cancel()
            self.assertRaises(natprobe.CheckCancelledError, probe.run)
            self.assert_usable(probe)

    def test_close_from_a_thread(self) -> None:
        for way, run in WAYS[:2]:
            before = descriptors()
            probe = silent_probe(self.silent)
            timer = threading.Timer(0.1, probe.close)
            with self.subTest(way), self.prompt(0.1):
                timer.start()
                self.assertRaises(natprobe.CheckCancelledError, run, probe)
                timer.join()
                self.assertEqual(descriptors(), before)

    def test_a_second_use_is_refused(self) -> None:
        with silent_probe(self.silent) as probe:
            refused: List[BaseException] = []

            def intrude() -> None:
                for call in (probe.run, probe.start, probe.process, probe.set_source):
                    try:
                        call()
                    except natprobe.BusyError as error:
                        refused.append(error)
                probe.cancel()

            timer = threading.Timer(0.1, intrude)
            timer.start()
            self.assertRaises(natprobe.CheckCancelledError, probe.run)
            timer.join()
        self.assertEqual(len(refused), 4)

    def test_many_in_parallel(self) -> None:
        types: List[Verdict] = []

        def check() -> None:
            for _ in range(10):
                with good_probe(self.good, on_event=lambda event: None) as probe:
                    types.append(probe.run().nat_type)

        threads = [threading.Thread(target=check) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(types, [Verdict.OPEN_INTERNET] * 80)

    def test_cancels_against_ends(self) -> None:
        """Cancelled at any moment, in the middle of a run or between two, a probe still works."""
        ends = set()
        with good_probe(self.good) as probe:
            stop = threading.Event()

            def keep_cancelling() -> None:
                while not stop.wait(0.0003):
                    probe.cancel()

            thread = threading.Thread(target=keep_cancelling)
            thread.start()
            for _ in range(300):
                try:
                    ends.add(probe.run().status)
                except natprobe.CheckCancelledError as error:
                    ends.add(error.code)
            stop.set()
            thread.join()
            with contextlib.suppress(natprobe.CheckCancelledError):
                probe.run()
            self.assert_usable(probe)
        self.assertIn(Status.CANCELLED, ends)

    @contextlib.contextmanager
    def alarm(self, handler: Callable[[int, Optional[types.FrameType]], object]) -> Iterator[None]:
        previous = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)

    def test_cancel_from_a_signal_handler(self) -> None:
        with silent_probe(self.silent) as probe, self.alarm(lambda number, frame: probe.cancel()), self.prompt(0.1):
            self.assertRaises(natprobe.CheckCancelledError, probe.run)

    def test_what_a_signal_handler_raises_comes_out(self) -> None:
        def handler(number: int, frame: Optional[types.FrameType]) -> None:
            raise Odd

        with silent_probe(self.silent) as probe:
            with self.alarm(handler), self.prompt(0.1):
                self.assertRaises(Odd, probe.run)
            self.assert_usable(probe)

    def test_a_signal_that_raises_nothing_does_not_end_a_run(self) -> None:
        seen: List[int] = []
        with silent_probe(self.silent, response_timeout=0.3) as probe:
            with self.alarm(lambda number, frame: seen.append(number)), self.prompt(0.3):
                self.assertRaises(natprobe.NoResponseError, probe.run)
        self.assertEqual(seen, [signal.SIGALRM])

    def interrupt(self, code: str) -> None:
        code = f'import asyncio, natprobe\nprobe = natprobe.Probe(servers=["{self.silent.name}"], timeout=60)\n{code}'
        process = run_python(code)
        self.assertEqual(process.stdout.readline() if process.stdout else "", "running\n")
        time.sleep(0.2)
        with self.prompt():
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        self.assertEqual((out, err, process.returncode), ("interrupted\nno-response\n", "", 0))

    def test_interrupt(self) -> None:
        for run in ("probe.run()", "asyncio.run(probe.run_async())"):
            self.interrupt(
                "print('running', flush=True)\n"
                "probe.set_response_timeout(60)\n"
                f"try:\n    {run}\n"
                "except KeyboardInterrupt:\n    print('interrupted')\n"
                "probe.set_response_timeout(0.1)\n"
                "try:\n    probe.run()\n"
                "except natprobe.NatProbeError as error:\n    print(error.name)\n"
            )

    @unittest.skipIf(
        sys.version_info < (3, 10), "an interrupt could come between the end of a with statement and its exit"
    )
    def test_interrupts_at_any_moment(self) -> None:
        """None is lost, also within callbacks, and the probe is as good as before."""
        process = run_python(f"""
            import natprobe, random, signal, sys

            class Odd(BaseException):
                pass

            def handler(number, frame):
                if armed:
                    raise Odd

            lost, ended, told = [], [], []
            sys.unraisablehook = lost.append
            signal.signal(signal.SIGALRM, handler)
            probe = natprobe.Probe(servers=["{self.good.name}"], on_event=told.append)
            for _ in range(400):
                armed = True
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 1e-3))
                    ended.append(str(probe.run().status))
                except Odd:
                    ended.append("odd")
                armed = False
                signal.setitimer(signal.ITIMER_REAL, 0)
            print(len(lost), sorted(set(ended)), probe.run().status)
            """)
        self.assertEqual(process.communicate(), ("0 ['odd', 'ok'] ok\n", ""))


# ---- asyncio --------------------------------------------------------------------------------------------------------


class AsyncTest(TestCase):
    """In asyncio."""

    def run_and_compare(self, main: Any) -> None:
        """Runs a coroutine in a loop of its own, after which no reader may be left."""

        async def wrapped() -> None:
            loop = asyncio.get_running_loop()
            readers = len(loop._selector.get_map())
            open_before = descriptors()
            await main
            self.assertEqual(len(loop._selector.get_map()), readers)
            self.assertEqual(descriptors(), open_before)

        asyncio.run(wrapped())

    def test_a_check(self) -> None:
        async def main() -> None:
            with good_probe(self.good) as probe:
                for _ in range(3):
                    self.assertEqual((await probe.run_async()).nat_type, Verdict.OPEN_INTERNET)

        self.run_and_compare(main())

    def test_cancelling_the_task(self) -> None:
        async def main() -> None:
            with silent_probe(self.silent) as probe:
                for wait in (0, 0.1):
                    task = asyncio.ensure_future(probe.run_async())
                    await asyncio.sleep(wait)
                    with self.prompt():
                        task.cancel()
                        with self.assertRaises(asyncio.CancelledError):
                            await task
                probe.clear_servers()
                probe.add_server(self.good.name)
                self.assertEqual((await probe.run_async()).nat_type, Verdict.OPEN_INTERNET)

        self.run_and_compare(main())

    def test_wait_for(self) -> None:
        async def main() -> None:
            with silent_probe(self.silent) as probe, self.prompt(0.1):
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(probe.run_async(), 0.1)
            with asking(self.silent, response_timeout=60), self.prompt(0.1):
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(natprobe.check_nat_async("127.0.0.1", 0), 0.1)

        self.run_and_compare(main())

    def test_a_hundred_at_once(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))

        async def check() -> Verdict:
            with good_probe(self.good) as probe:
                return (await probe.run_async()).nat_type

        async def main() -> None:
            types = await asyncio.gather(*(check() for _ in range(100)))
            self.assertEqual(types, [Verdict.OPEN_INTERNET] * 100)

        self.run_and_compare(main())

    def test_a_hundred_cancelled_at_once(self) -> None:
        async def check() -> None:
            with silent_probe(self.silent) as probe:
                await probe.run_async()

        async def main() -> None:
            tasks = [asyncio.ensure_future(check()) for _ in range(100)]
            await asyncio.sleep(0.2)
            with self.prompt():
                for task in tasks:
                    task.cancel()
                done = await asyncio.gather(*tasks, return_exceptions=True)
            self.assertEqual({type(outcome) for outcome in done}, {asyncio.CancelledError})

        self.run_and_compare(main())

    def test_the_loop_goes_on_meanwhile(self) -> None:
        async def main() -> None:
            with silent_probe(self.silent, response_timeout=0.5) as probe:
                with self.assertRaises(natprobe.NoResponseError):
                    await driver.run_beside_ticker(probe)

        self.run_and_compare(main())

    def test_a_second_run_is_refused(self) -> None:
        async def main() -> None:
            with silent_probe(self.silent) as probe:
                task = asyncio.ensure_future(probe.run_async())
                await asyncio.sleep(0.05)
                with self.assertRaises(natprobe.BusyError):
                    await probe.run_async()
                self.assertRaises(natprobe.BusyError, probe.run)
                self.assertFalse(task.done())
                probe.cancel()
                with self.assertRaises(natprobe.CheckCancelledError):
                    await task

        self.run_and_compare(main())

    def test_close_while_a_task_runs(self) -> None:
        async def main() -> None:
            probe = silent_probe(self.silent)
            task = asyncio.ensure_future(probe.run_async())
            await asyncio.sleep(0.05)
            probe.close()
            with self.prompt(), self.assertRaises(natprobe.CheckCancelledError):
                await task

        self.run_and_compare(main())

    def test_a_loop_that_ends_gives_up(self) -> None:
        before = descriptors()

        async def main() -> asyncio.Future[NatResult]:
            task = asyncio.ensure_future(silent_probe(self.silent).run_async())
            await asyncio.sleep(0.05)
            return task

        with self.prompt():
            task = asyncio.run(main())
        self.assertTrue(task.cancelled())
        del task
        gc.collect()
        self.assertEqual(descriptors(), before)

    def test_callbacks_run_in_the_task(self) -> None:
        async def main() -> None:
            tasks = set()
            with good_probe(self.good, on_event=lambda event: tasks.add(asyncio.current_task())) as probe:
                await probe.run_async()
            self.assertEqual(tasks, {asyncio.current_task()})

        self.run_and_compare(main())


# ---- The examples ---------------------------------------------------------------------------------------------------


class ExamplesTest(TestCase):
    """The programs, against servers of ours."""

    def run_example(self, name: str, *servers: str) -> Tuple[int, str, str]:
        command = [sys.executable, os.path.join(MODULE_FOLDER, name), *servers]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        return done.returncode, done.stdout, done.stderr

    def test_check(self) -> None:
        code, out, err = self.run_example("check.py", self.good.name)
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"^Open Internet \(No NAT\), seen as 127\.0\.0\.1 port \d+\n$")

    def test_check_without_a_verdict(self) -> None:
        self.assertEqual(self.run_example("check.py", "not:a:server")[:2], (1, ""))
        with Server(change=False) as plain:
            code, out, err = self.run_example("check.py", plain.name)
        self.assertEqual((code, out), (1, ""))
        self.assertRegex(err, r"^partial-verdict: No NAT \(filtering unknown\), seen as 127\.0\.0\.1 port \d+; ")

    def test_check_async(self) -> None:
        with Server(change=False) as plain:
            code, out, err = self.run_example("check_async.py", self.good.name, plain.name)
            self.assertEqual((code, err), (0, ""))
            self.assertEqual(len(out.splitlines()), 2)
            self.assertIn(f"{self.good.name}: Open Internet (No NAT), seen as 127.0.0.1 port ", out)
            self.assertIn(f"{plain.name}: No NAT (filtering unknown), seen as 127.0.0.1 port ", out)

    def test_check_async_without_a_verdict(self) -> None:
        with Server(reply="nonsense") as server:
            code, out, err = self.run_example("check_async.py", server.name)
            self.assertRegex(out, rf"^{re.escape(server.name)}: bad-response: .*\n$")
        self.assertEqual((code, err), (1, ""))


class DriverTest(unittest.TestCase):
    """What the driver checks by itself."""

    def test_bad_input(self) -> None:
        command = [sys.executable, os.path.join(HERE, "driver.py"), "bad-input"]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^\d{3} checks passed\n$")


if __name__ == "__main__":
    unittest.main()
