#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""natprobe.proxystore stands in for proxystore.p2p.nat."""

from __future__ import annotations

import enum
import functools
import inspect
import logging
import socket
import unittest
from typing import Any, List
from unittest import mock

from support import Odd, Server, TestCase, not_under_wine

import natprobe
from natprobe import Probe, Status, proxystore
from natprobe.proxystore import NatType


# What proxystore.p2p.nat is in releases 0.8.3 and 1.0.0; test_proxystore_1_1.py is about 1.1.
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
        for verdict, nat_type in proxystore._TYPES.items():
            self.assertEqual(verdict.description, nat_type.value)
            self.assertEqual(verdict.name.replace("_", "").lower(), nat_type.name.lower())
        self.assertEqual(set(proxystore._TYPES.values()), set(NatType))

    def test_the_result_is_that_of_proxystore(self) -> None:
        self.assertEqual(proxystore.Result._fields, PROXYSTORE_FIELDS)
        self.assertTrue(issubclass(proxystore.Result, tuple))
        self.assertEqual(tuple(proxystore.Result(NatType.FullCone, "192.0.2.1", 1)), (NatType.FullCone, "192.0.2.1", 1))

    def test_signatures_are_those_of_proxystore(self) -> None:
        for function in (proxystore.check_nat, proxystore.check_nat_and_log):
            parameters = inspect.signature(function).parameters.values()
            self.assertEqual([(p.name, p.default) for p in parameters], PROXYSTORE_PARAMETERS)
            self.assertEqual({p.kind for p in parameters}, {inspect.Parameter.POSITIONAL_OR_KEYWORD})

    def test_a_check(self) -> None:
        with asking(self.good):
            nat_type, ip, port = result = proxystore.check_nat("127.0.0.1", 0)
        self.assertIsInstance(result, proxystore.Result)
        self.assertEqual((nat_type, ip), (NatType.OpenInternet, "127.0.0.1"))
        self.assertIsInstance(port, int)

    def test_the_source_is_used_by_default_and_as_given(self) -> None:
        for arguments, expected in (((), ("0.0.0.0", 54320)), (("127.0.0.2", 7), ("127.0.0.2", 7))):
            with mock.patch.object(natprobe, "Probe", side_effect=Odd) as made:
                self.assertRaises(Odd, proxystore.check_nat, *arguments)
            settings = made.call_args[1]
            self.assertEqual((settings["source_ip"], settings["source_port"]), expected)
            self.assertNotIn("servers", settings)

    def test_the_source_port_is_the_one_checked(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        with asking(self.good):
            self.assertEqual(proxystore.check_nat("127.0.0.1", port).external_port, port)

    def test_a_source_name_is_looked_up(self) -> None:
        for name in ("localhost", ""):
            with asking(self.good):
                self.assertEqual(proxystore.check_nat(name, 0).external_ip, "127.0.0.1")

    def original_error(self, ip: Any, port: Any) -> BaseException:
        """What the original's bind() raises."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, self.assertRaises(Exception) as caught:
            sock.bind((ip, port))
        return caught.exception

    @not_under_wine
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
                        proxystore.check_nat(ip, port)
                    self.assertEqual(getattr(caught.exception, "errno", None), getattr(original, "errno", None))

    def test_no_answer_is_a_runtime_error(self) -> None:
        with asking(self.silent, response_timeout=0.05), self.assertRaises(RuntimeError) as caught:
            proxystore.check_nat("127.0.0.1", 0)
        self.assertIsInstance(caught.exception, natprobe.NoResponseError)
        self.assertNotIsInstance(caught.exception, OSError)

    def test_what_has_no_type_is_never_given_one(self) -> None:
        for mapping, verdict in (("true", natprobe.NatType.NO_NAT), ("shifted", natprobe.NatType.CONE)):
            with Server(mapping=mapping, change=False) as plain, asking(plain):
                with self.assertRaises(proxystore.PartialVerdictError) as caught:
                    proxystore.check_nat("127.0.0.1", 0)
            error = caught.exception
            self.assertIsInstance(error, RuntimeError)
            self.assertEqual((error.status, error.result.status), (Status.OK, Status.OK))
            self.assertEqual((error.result.nat_type, error.result.external.ip), (verdict, "127.0.0.1"))
            self.assertIn(f"{verdict.description}, seen as {error.result.external}; ", str(error))

    def test_all_verdicts(self) -> None:
        for verdict in natprobe.NatType:
            result = natprobe.Result(nat_type=verdict, external=natprobe.Endpoint("192.0.2.1", 7))
            if verdict.description in PROXYSTORE_TYPES.values():
                self.assertEqual(proxystore._convert(result), (NatType(verdict.description), "192.0.2.1", 7))
            else:
                self.assertRaises(proxystore.PartialVerdictError, proxystore._convert, result)

    def logged(self, server: Server, level: int = logging.INFO, **more: Any) -> List[logging.LogRecord]:
        with asking(server, **more), self.assertLogs("natprobe.proxystore", level) as logs:
            self.assertIsNone(proxystore.check_nat_and_log("127.0.0.1", 0))
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
            with self.assertLogs("natprobe.proxystore", logging.INFO) as logs:
                proxystore.check_nat_and_log(ip, port)
            self.assertEqual([r.levelno for r in logs.records], PROXYSTORE_LEVELS_OF_FAILURE)

    def test_each_step_is_logged_at_debug_only(self) -> None:
        records = self.logged(self.good, level=logging.DEBUG)
        self.assertGreater(len([r for r in records if r.levelno == logging.DEBUG]), 4)
        self.assertEqual([r.levelno for r in records if r.levelno > logging.DEBUG], PROXYSTORE_LEVELS_OF_SUCCESS)


if __name__ == "__main__":
    unittest.main()
