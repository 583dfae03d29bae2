#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Properties: what is set holds for every later check, and what is refused changes nothing."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
import types
import unittest
from typing import List, Set
from unittest import mock

from support import Server, TestCase, good_probe, not_under_wine, only_posix, silent_probe

import natprobe
from natprobe import Behaviour, NatType, Probe, Scope


class SettingsTest(TestCase):
    """That the library gets what the properties say."""

    def test_servers_that_are_refused_leave_the_former_ones(self) -> None:
        with good_probe(self.good) as probe:
            for servers, kind, message in (
                (["127.0.0.1:9", "bad server"], natprobe.InvalidArgumentError, "invalid server 'bad server'"),
                (["a"] * natprobe.MAX_SERVERS + ["b"], natprobe.LimitError, "no room for server 'b': the list is full"),
            ):
                with self.assertRaisesRegex(kind, f"^{message}$"):
                    probe.servers = servers
                self.assertEqual(probe.servers, (self.good.name,))
                result = probe.run()
                self.assertEqual((str(result.server), result.nat_type), (self.good.name, NatType.OPEN_INTERNET))

    def test_servers_take_the_place_of_the_former_ones(self) -> None:
        with silent_probe(self.silent) as probe:
            probe.servers = (name for name in [self.good.name])
            self.assertEqual(probe.servers, (self.good.name,))
            self.assertEqual(str(probe.run().server), self.good.name)

    @not_under_wine
    def test_source(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.3", 0))
            port = sock.getsockname()[1]
        with good_probe(self.good, source_ip="127.0.0.3", source_port=port) as probe:
            self.assertEqual(probe.run().local, ("127.0.0.3", port))
            with self.assertRaises(natprobe.InvalidArgumentError):
                probe.source_ip = "300.0.0.1"
            self.assertEqual((probe.source_ip, probe.run().local), ("127.0.0.3", ("127.0.0.3", port)))
            probe.source_ip = "127.0.0.4"
            self.assertEqual(probe.run().local, ("127.0.0.4", port))
            probe.source_port = 0
            local = probe.run().local
            assert local is not None
            self.assertEqual(local.ip, "127.0.0.4")
            self.assertNotEqual(local.port, port)

    @not_under_wine
    def test_a_socket_and_back(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.3", 0))
            with good_probe(self.good, sock=sock, on_datagram=print) as probe:
                self.assertIs(probe.sock, sock)
                for _ in range(2):
                    self.assertEqual(probe.run().local, sock.getsockname())
                probe.sock = None
                probe.source_ip = "127.0.0.4"
                local = probe.run().local
                assert local is not None
                self.assertEqual(local.ip, "127.0.0.4")
                with self.assertRaises(natprobe.InvalidArgumentError):
                    probe.sock = sock
                self.assertIsNone(probe.sock)

    def test_scope(self) -> None:
        with good_probe(self.good, scope=Scope.MAPPING) as probe:
            self.assertEqual(probe.run().filtering, Behaviour.UNKNOWN)
            self.assertIs(probe.scope, Scope.MAPPING)
            for scope in (Scope.DEFAULT, Scope.FILTERING):
                probe.scope = scope
                self.assertEqual((probe.scope, probe.run().nat_type), (Scope.DEFAULT, NatType.OPEN_INTERNET))

    def test_what_is_of_the_wrong_type_is_named(self) -> None:
        with Probe() as probe:
            for name, value, message in (
                ("timeout", None, "timeout must be a number of seconds, not NoneType"),
                ("family", "ipv6", "family must be int, not str"),
                ("source_port", 1.5, "source port must be int, not float"),
                ("logger", "natprobe", "logger must be a logging.Logger or None, not str"),
            ):
                with self.assertRaisesRegex(TypeError, f"^{message}$"):
                    setattr(probe, name, value)
            with self.assertRaisesRegex(natprobe.InvalidArgumentError, "^source port 65536 is not in the range"):
                probe.source_port = 65536

    def bound_to(self) -> Set[bytes]:
        """The interfaces to which sockets of this process are bound."""
        found = set()
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name))) as sock:
                found.add(sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0"))
        return found - {b""}

    @only_posix
    def test_interface(self) -> None:
        with silent_probe(self.silent, interface="lo") as probe:
            for interface, expected in (("lo", {b"lo"}), (None, set())):
                probe.interface = interface
                probe.start()
                self.assertEqual((probe.interface, self.bound_to()), (interface, expected))
                probe.cancel()
                self.assertRaises(natprobe.CheckCancelledError, probe.process)
            probe.servers, probe.interface = [self.good.name], "lo"
            self.assertEqual(probe.run().nat_type, NatType.OPEN_INTERNET)
            with self.assertRaisesRegex(natprobe.InvalidArgumentError, "^invalid interface ''$"):
                probe.interface = ""
            self.assertEqual(probe.interface, "lo")

    def test_an_interface_that_is_not_there(self) -> None:
        with good_probe(self.good, interface="no-such-one") as probe:
            with self.assertRaisesRegex(natprobe.AddressNotAvailableError, "no-such-one") as caught:
                probe.run()
        self.assertIsInstance(caught.exception, OSError)

    def took(self, probe: Probe, kind: type) -> float:
        began = time.monotonic()
        self.assertRaises(kind, probe.run)
        return time.monotonic() - began

    def test_timeouts(self) -> None:
        with Probe(servers=[self.silent.name], timeout=0.1) as probe:
            self.assertLess(self.took(probe, natprobe.NatProbeError), 1)
            probe.timeout = 60
            probe.response_timeout = 0.1
            self.assertLess(self.took(probe, natprobe.NoResponseError), 1)
            probe.response_timeout = 0.3
            self.assertGreaterEqual(self.took(probe, natprobe.NoResponseError), 0.3)

    def test_without_a_response_timeout_it_follows_the_timeout(self) -> None:
        """Also when it had been set before, which the library cannot forget."""
        told: List[int] = []
        spy = types.SimpleNamespace(
            np_probe_set_timeout=lambda handle, number: 0,
            np_probe_set_response_timeout=lambda handle, number: told.append(number) or 0,
        )
        with Probe() as probe, mock.patch.object(probe, "_library", spy):
            for name, value, expected in (
                ("timeout", 20, []),
                ("response_timeout", None, []),
                ("response_timeout", 0.1, [100]),
                ("response_timeout", None, [6000]),
                ("timeout", 5, [3000]),
                ("timeout", 100, [30000]),
                ("response_timeout", 7, [7000]),
                ("timeout", 50, [7000]),
            ):
                told.clear()
                setattr(probe, name, value)
                self.assertEqual((getattr(probe, name), told), (value, expected))

    @not_under_wine
    def test_check_nat_passes_everything_on(self) -> None:
        result = natprobe.check_nat("127.0.0.3", servers=[self.good.name], scope=Scope.MAPPING)
        assert result.local is not None
        self.assertEqual((result.local.ip, result.filtering), ("127.0.0.3", Behaviour.UNKNOWN))
        with self.prompt(), self.assertRaises(natprobe.NoResponseError):
            natprobe.check_nat(servers=[self.silent.name], timeout=0.05)
        with self.assertRaises(natprobe.InvalidArgumentError):
            natprobe.check_nat("127.0.0.1", servers=[self.good.name], family=natprobe.Family.IPV6)
        with self.assertLogs("natprobe", "DEBUG"):
            natprobe.check_nat(servers=[self.good.name], logger=logging.getLogger("natprobe"))

    def test_check_nat_uses_any_free_port(self) -> None:
        """Several at once do not get in each other's way, as they do with proxystore's fixed port."""
        with Server() as server:
            ports = {natprobe.check_nat(servers=[server.name]).local.port for _ in range(3)}  # type: ignore[union-attr]
        self.assertNotIn(54320, ports)
        self.assertGreater(len(ports), 1)


if __name__ == "__main__":
    unittest.main()
