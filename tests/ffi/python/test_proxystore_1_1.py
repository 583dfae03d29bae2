#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""natprobe.proxystore_1_1 stands in for proxystore.p2p.nat of proxystore 1.1. tests/lab/proxystore calls both."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import functools
import inspect
import logging
import socket
import unittest
from typing import Any, Iterator, List
from unittest import mock

from support import Odd, Server, TestCase, not_under_wine

import natprobe
from natprobe import Behaviour, Probe, proxystore_1_1
from natprobe.proxystore_1_1 import NatMapping, Result

# What proxystore.p2p.nat is in release 1.1.0.
PROXYSTORE_NAMES = {"NatMapping", "Result", "check_nat", "check_nat_and_log"}
PROXYSTORE_MAPPINGS = {
    "NoNat": "No NAT",
    "EndpointIndependent": "Endpoint-independent mapping",
    "AddressDependent": "Address-dependent mapping",
}
PROXYSTORE_FIELDS = ("mapping", "external_ip", "external_port", "hole_punching_likely")
PROXYSTORE_PARAMETERS = [("source_ip", "0.0.0.0"), ("source_port", 0), ("timeout", 2.0)]
PROXYSTORE_LEVELS_OF_SUCCESS = [logging.INFO] * 5
PROXYSTORE_LEVELS_OF_DEPENDENT = [logging.INFO] * 4 + [logging.WARNING]
PROXYSTORE_LEVELS_OF_FAILURE = [logging.INFO, logging.ERROR]


def check(*arguments: Any, **more: Any) -> Result:
    return asyncio.run(proxystore_1_1.check_nat(*arguments, **more))


@contextlib.contextmanager
def asking(*servers: Any, **more: Any) -> Iterator[None]:
    """The check asks these servers instead of public ones."""
    probe = functools.partial(Probe, servers=[server.name for server in servers], **more)
    with mock.patch.object(natprobe, "Probe", probe):
        yield


class InterfaceTest(TestCase):
    """Names, values, defaults."""

    def test_names(self) -> None:
        self.assertEqual(set(proxystore_1_1.__all__), PROXYSTORE_NAMES)

    def test_mappings(self) -> None:
        self.assertTrue(issubclass(NatMapping, enum.Enum))
        self.assertEqual({name: member.value for name, member in NatMapping.__members__.items()}, PROXYSTORE_MAPPINGS)

    def test_result(self) -> None:
        self.assertTrue(issubclass(Result, tuple))
        self.assertEqual(Result._fields, PROXYSTORE_FIELDS)

    def test_signatures(self) -> None:
        for function in (proxystore_1_1.check_nat, proxystore_1_1.check_nat_and_log):
            self.assertTrue(inspect.iscoroutinefunction(function))
            parameters = inspect.signature(function).parameters.values()
            self.assertEqual([(p.name, p.default) for p in parameters], PROXYSTORE_PARAMETERS)
            self.assertEqual({p.kind for p in parameters}, {inspect.Parameter.POSITIONAL_OR_KEYWORD})

    def test_settings_of_the_probe(self) -> None:
        for arguments, ip, port, timeout in (
            ((), "0.0.0.0", 0, 2.0),
            (("127.0.0.2", 7, 0.5), "127.0.0.2", 7, 0.5),
            (("127.0.0.2", 7, float("inf")), "127.0.0.2", 7, 3600),
        ):
            with mock.patch.object(natprobe, "Probe", side_effect=Odd) as made:
                self.assertRaises(Odd, check, *arguments)
            settings = made.call_args[1]
            self.assertEqual(
                (settings["source_ip"], settings["source_port"], settings["timeout"]), (ip, port, timeout)
            )
            self.assertEqual(settings["scope"], natprobe.Scope.MAPPING)
            self.assertNotIn("servers", settings)


class CheckTest(TestCase):
    """check_nat() finds the mapping, or raises."""

    def test_no_nat(self) -> None:
        with asking(self.good):
            result = check("127.0.0.1")
        self.assertIsInstance(result, Result)
        self.assertEqual((result.mapping, result.external_ip), (NatMapping.NoNat, "127.0.0.1"))
        self.assertIs(result.hole_punching_likely, True)

    def test_one_external_port_for_all_is_a_nat_even_with_the_same_address(self) -> None:
        with Server(mapping="shifted") as server, asking(server):
            result = check("127.0.0.1")
        self.assertEqual((result.mapping, result.external_ip), (NatMapping.EndpointIndependent, "127.0.0.1"))
        self.assertIs(result.hole_punching_likely, True)

    def test_dependent(self) -> None:
        with Server(mapping="by-address") as server, asking(server):
            result = check("127.0.0.1")
        self.assertEqual(result.mapping, NatMapping.AddressDependent)
        self.assertIs(result.hole_punching_likely, False)

    def test_the_source_port_is_the_one_checked(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        with asking(self.good):
            self.assertEqual(check(source_ip="127.0.0.1", source_port=port).external_port, port)

    def test_a_source_name_is_looked_up(self) -> None:
        with asking(self.good):
            self.assertEqual(check("localhost").external_ip, "127.0.0.1")

    def test_a_dead_server_is_not_waited_for(self) -> None:
        with self.prompt(), Server(change=False) as second, asking(self.silent, self.good, second):
            self.assertEqual(check("127.0.0.1", timeout=60).mapping, NatMapping.NoNat)

    def test_checks_run_side_by_side(self) -> None:
        async def many() -> List[Result]:
            return await asyncio.gather(*(proxystore_1_1.check_nat("127.0.0.1") for _ in range(5)))

        with asking(self.good):
            results = asyncio.run(many())
        self.assertEqual({result.mapping for result in results}, {NatMapping.NoNat})
        self.assertEqual(len({result.external_port for result in results}), 5)

    def test_all_behaviours(self) -> None:
        for behaviour in Behaviour:
            result = natprobe.Result(mapping=behaviour, external=natprobe.Endpoint("192.0.2.1", 7))
            with self.subTest(behaviour=behaviour):
                if behaviour == Behaviour.UNKNOWN:
                    self.assertRaises(RuntimeError, proxystore_1_1._convert, result)
                    continue
                found = proxystore_1_1._convert(result)
                dependent = "DEPENDENT" in behaviour.name and "INDEPENDENT" not in behaviour.name
                self.assertEqual(found.mapping is NatMapping.AddressDependent, dependent)
                self.assertEqual(found.mapping is NatMapping.NoNat, behaviour == Behaviour.NONE)
                self.assertEqual(found[1:], ("192.0.2.1", 7, not dependent))

    def test_a_mapping_without_an_address_is_no_result(self) -> None:
        result = natprobe.Result(mapping=Behaviour.ENDPOINT_INDEPENDENT)
        with self.assertRaises(natprobe.NatProbeError) as caught:
            proxystore_1_1._convert(result)
        self.assertIs(caught.exception.result, result)


class ExceptionTest(TestCase):
    """The kinds of exceptions are those of the original, which binds in asyncio's create_datagram_endpoint()."""

    @staticmethod
    async def bind(ip: Any, port: Any) -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(ip, port), family=socket.AF_INET
        )
        transport.close()

    @not_under_wine
    def test_errors_of_the_source(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            for ip, port in (
                ("127.0.0.1", taken.getsockname()[1]),
                ("192.0.2.1", 0),
                ("x" * 64, 0),
                ("127.0.0.1", 65536),
                ("127.0.0.1", -1),
            ):
                with self.assertRaises(Exception) as caught:
                    asyncio.run(self.bind(ip, port))
                original = caught.exception
                with self.subTest(ip=ip, port=port, original=original), asking(self.good):
                    with self.assertRaises(type(original)) as caught:
                        check(ip, port)
                    self.assertEqual(getattr(caught.exception, "errno", None), getattr(original, "errno", None))

    def test_types(self) -> None:
        for arguments in (("127.0.0.1", "1"), ("127.0.0.1", 0, "2"), ("127.0.0.1", 0, None)):
            with self.subTest(arguments=arguments), asking(self.good):
                self.assertRaises(TypeError, check, *arguments)

    def test_no_answer_is_a_runtime_error(self) -> None:
        with self.prompt(), asking(self.silent), self.assertRaises(RuntimeError) as caught:
            check("127.0.0.1", timeout=0.2)
        self.assertIsInstance(caught.exception, natprobe.NatProbeError)

    def test_one_server_that_sees_another_address_is_not_enough(self) -> None:
        with Server(mapping="shifted", change=False, other=False) as server, asking(server):
            with self.assertRaises(RuntimeError) as caught:
                check("127.0.0.1", timeout=0.5)
        self.assertNotIsInstance(caught.exception, OSError)

    def test_no_time_is_a_runtime_error(self) -> None:
        for timeout in (0, -1, 1e-9, float("nan")):
            with self.subTest(timeout=timeout), asking(self.good):
                self.assertRaises(RuntimeError, check, "127.0.0.1", timeout=timeout)

    def test_cancelling_ends_the_check(self) -> None:
        async def cancelled(function: Any) -> None:
            task = asyncio.ensure_future(function("127.0.0.1", timeout=60))
            await asyncio.sleep(0.05)
            task.cancel()
            await task

        for function in (proxystore_1_1.check_nat, proxystore_1_1.check_nat_and_log):
            with self.subTest(function=function), self.prompt(), asking(self.silent):
                self.assertRaises(asyncio.CancelledError, asyncio.run, cancelled(function))


class LogTest(TestCase):
    """check_nat_and_log() logs on the levels of the original."""

    def logged(self, *servers: Any, level: int = logging.INFO, **more: Any) -> List[logging.LogRecord]:
        with asking(*servers), self.assertLogs("natprobe.proxystore_1_1", level) as logs:
            self.assertIsNone(asyncio.run(proxystore_1_1.check_nat_and_log("127.0.0.1", **more)))
        return logs.records

    def test_lines_of_success(self) -> None:
        records = self.logged(self.good)
        self.assertEqual([record.levelno for record in records], PROXYSTORE_LEVELS_OF_SUCCESS)
        lines = [record.getMessage() for record in records]
        self.assertRegex(lines[1], r"^NAT mapping: +No NAT$")
        self.assertRegex(lines[2], r"^External IP: +127\.0\.0\.1$")
        self.assertRegex(lines[3], r"^External port: +\d+$")
        self.assertIn("likely to work", lines[4])

    def test_lines_of_dependent(self) -> None:
        with Server(mapping="by-address") as server:
            records = self.logged(server)
        self.assertEqual([record.levelno for record in records], PROXYSTORE_LEVELS_OF_DEPENDENT)
        self.assertIn("unlikely to work", records[4].getMessage())

    def test_lines_of_failure(self) -> None:
        for servers, more in (((self.silent,), {"timeout": 0.2}), ((self.good,), {"source_port": -1})):
            records = self.logged(*servers, **more)
            self.assertEqual([record.levelno for record in records], PROXYSTORE_LEVELS_OF_FAILURE)
            self.assertIn("Failed to determine NAT mapping: ", records[1].getMessage())

    def test_each_step_is_logged_at_debug(self) -> None:
        records = self.logged(self.good, level=logging.DEBUG)
        steps = [record for record in records if record.levelno == logging.DEBUG]
        self.assertGreaterEqual(len([step for step in steps if step.name == "natprobe.proxystore_1_1"]), 3)


if __name__ == "__main__":
    unittest.main()
