#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every code has its exception, with the base that Python's own functions raise for the same reason."""

from __future__ import annotations

import asyncio
import errno
import pickle
import socket
import sys
import unittest
from typing import Any, Dict, Type
from unittest import mock

from support import WAYS, Server, TestCase, good_probe, not_under_wine, only_posix, run_python, run_with_selector
from support import silent_probe

import natprobe
from natprobe import NatType, Probe, Result, Status, _errors, _results
from natprobe._library import CResult
from natprobe._check import verdict

BASES: Dict[Status, Any] = {
    Status.ARGUMENT: ValueError,
    Status.LIMIT: ValueError,
    Status.NO_MEMORY: MemoryError,
    Status.SYSTEM: OSError,
    Status.ADDRESS_IN_USE: OSError,
    Status.ADDRESS_NOT_AVAILABLE: OSError,
    Status.RESOLVE: socket.gaierror,
    Status.NETWORK_UNREACHABLE: OSError,
    Status.TIMEOUT: TimeoutError,
}


class ErrorsTest(TestCase):
    """Every code has its exception."""

    def test_every_code_has_an_exception_of_its_own(self) -> None:
        failures = {status for status in Status if status < 0}
        self.assertEqual(set(_errors.CLASSES), failures)
        self.assertEqual(len(set(_errors.CLASSES.values())), len(failures))
        raw = CResult(os_error=errno.EMFILE, detail=b"why")
        for status, kind in _errors.CLASSES.items():
            raw.error = status
            with self.assertRaises(RuntimeError) as caught:
                verdict(_results.from_c(raw))
            for error in (caught.exception, pickle.loads(pickle.dumps(caught.exception))):
                self.assertIs(type(error), kind)
                self.assertEqual((error.status, str(error)), (status, "why"))
                self.assertEqual(repr(error), f"{kind.__name__}('why', {status!r})")
                self.assertEqual(error.result, _results.from_c(raw))
                self.assertIsInstance(error, BASES.get(status, RuntimeError))
                for base in (ValueError, MemoryError, OSError):
                    self.assertEqual(isinstance(error, base), issubclass(BASES.get(status, RuntimeError), base))
                if isinstance(error, OSError):
                    self.assertEqual((error.errno, error.strerror), (errno.EMFILE, "why"))

    def test_a_code_of_a_later_release_is_an_error_too(self) -> None:
        with self.assertRaises(natprobe.NatProbeError) as caught:
            verdict(_results.from_c(CResult(error=-99)))
        self.assertIs(type(caught.exception), natprobe.NatProbeError)
        self.assertEqual(caught.exception.status, -99)
        self.assertEqual(repr(caught.exception.status), "Status(-99)")

    def test_one_attribute_says_why(self) -> None:
        for kind in (natprobe.NatProbeError, *_errors.CLASSES.values(), natprobe.ProbeClosedError):
            error = kind("why", Status.BUSY)
            self.assertEqual((error.status, error.result), (Status.BUSY, None))
            for name in ("code", "name"):
                self.assertFalse(hasattr(error, name), kind)

    def test_a_name_that_does_not_resolve(self) -> None:
        with Probe(servers=["x" * 63 + ".invalid"], timeout=5) as probe:
            with self.assertRaises((natprobe.ResolveError, natprobe.CheckTimeoutError)) as caught:
                probe.run()
        self.assertIsInstance(caught.exception, OSError)
        if isinstance(caught.exception, socket.gaierror):
            assert caught.exception.result is not None
            self.assertEqual(caught.exception.errno, caught.exception.result.os_error)

    def fails(self, kind: Type[natprobe.NatProbeError], probe: Probe, os_error: int = 0) -> None:
        """In each of the ways to run it."""
        for run in (probe.run, lambda: asyncio.run(probe.run_async()), lambda: run_with_selector(probe)):
            with self.assertRaises(kind) as caught:
                run()
            self.assertIs(type(caught.exception), kind)
            self.assertEqual(getattr(caught.exception, "errno", None) or 0, os_error)
            self.assertTrue(str(caught.exception))
        probe.close()

    def test_address_in_use(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            probe = good_probe(self.good, source_ip="127.0.0.1", source_port=taken.getsockname()[1])
            self.fails(natprobe.AddressInUseError, probe, errno.EADDRINUSE)

    def test_the_number_is_that_of_the_module_errno(self) -> None:
        """Also on Windows, where <errno.h> and the module differ."""
        for status, os_error, platform, expected in (
            (Status.ADDRESS_IN_USE, 100, "win32", errno.EADDRINUSE),
            (Status.NETWORK_UNREACHABLE, 118, "win32", errno.ENETUNREACH),
            (Status.SYSTEM, errno.EMFILE, "win32", errno.EMFILE),
            (Status.SYSTEM, 10108, "win32", 10108),
            (Status.RESOLVE, 100, "win32", 100),
            (Status.ADDRESS_IN_USE, 100, "linux", 100),
        ):
            with mock.patch.object(sys, "platform", platform):
                error = _errors.error(status, "why", Result(os_error=os_error))
            self.assertEqual(getattr(error, "errno"), expected)

    @not_under_wine
    def test_address_not_available(self) -> None:
        probe = good_probe(self.good, source_ip="192.0.2.1")
        self.fails(natprobe.AddressNotAvailableError, probe, errno.EADDRNOTAVAIL)

    def test_no_response(self) -> None:
        """UDP is blocked only if the silence lasted the response timeout, before the time was over."""
        for settings, nat_type in (
            ({"response_timeout": 0.05}, NatType.UDP_BLOCKED),
            ({"timeout": 0.05, "response_timeout": 0.05}, NatType.UNKNOWN),
            ({"timeout": 0.05}, NatType.UNKNOWN),
        ):
            with silent_probe(self.silent, **settings) as probe:
                with self.subTest(settings), self.assertRaises(natprobe.NoResponseError) as caught:
                    probe.run()
                self.assertEqual(caught.exception.result.nat_type, nat_type)
            self.fails(natprobe.NoResponseError, silent_probe(self.silent, **settings))

    def test_timeout(self) -> None:
        for way, run in WAYS:
            with self.subTest(way), Server(reply="once", mapping="shifted") as server:
                with good_probe(server, timeout=0.2) as probe, self.assertRaises(TimeoutError) as caught:
                    run(probe)
            self.assertIs(type(caught.exception), natprobe.CheckTimeoutError)
            self.assertGreater(caught.exception.result.packets_received, 0)

    def test_bad_response(self) -> None:
        with Server(reply="nonsense") as server:
            self.fails(natprobe.BadResponseError, good_probe(server, timeout=1, response_timeout=0.2))

    def test_inconclusive(self) -> None:
        with Server(mapping="shifted", change=False, other=False) as server:
            self.fails(natprobe.InconclusiveError, good_probe(server))

    def test_argument(self) -> None:
        probe = good_probe(self.good, source_ip="127.0.0.1", family=natprobe.Family.IPV6)
        self.fails(natprobe.InvalidArgumentError, probe)

    @only_posix
    def test_no_descriptors(self) -> None:
        process = run_python("""
            import natprobe, resource
            probe = natprobe.Probe(servers=["127.0.0.1"])
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
            try:
                probe.run()
            except natprobe.ResourceError as error:
                print(type(error).__name__, isinstance(error, OSError), error.status, error.errno, error.result)
            """)
        self.assertEqual(process.communicate(), ("ResourceError True system None None\n", ""))


if __name__ == "__main__":
    unittest.main()
