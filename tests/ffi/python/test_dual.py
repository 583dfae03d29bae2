#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Both families at the same time."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
import struct
import threading
import unittest
from typing import Any, List, Optional

from support import MAGIC, TestCase, descriptors, not_under_wine, only_posix
from test_loops import loops

import natprobe
from natprobe import DualResult, NatType, Scope, Status, check_nat_dual, check_nat_dual_async


def has_ipv6() -> bool:
    """Whether this host has ::1."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


class MeetingServer:
    """A server of one family that answers only once that of the other was asked."""

    def __init__(self, family: socket.AddressFamily, ip: str) -> None:
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind((ip, 0))
        self.asked = threading.Event()
        self.other: Optional[MeetingServer] = None
        self.thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def name(self) -> str:
        """As `servers` wants it."""
        ip, port = self.sock.getsockname()[:2]
        return f"[{ip}]:{port}"

    def stop(self) -> None:
        """Ends the thread with an empty datagram."""
        with socket.socket(self.sock.family, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self.sock.getsockname())
        self.thread.join()
        self.sock.close()

    def _serve(self) -> None:
        assert self.other is not None
        while True:
            request, client = self.sock.recvfrom(2048)
            if not request:
                return
            self.asked.set()
            if self.other.asked.wait(2):  # shorter than the silence that a check bears
                self.sock.sendto(self._success(request, client), client)

    def _success(self, request: bytes, client: Any) -> bytes:
        packed = ipaddress.ip_address(client[0]).packed
        key = (struct.pack("!I", MAGIC) + request[8:20])[: len(packed)]
        address = bytes(a ^ b for a, b in zip(packed, key))
        kind = 1 if len(packed) == 4 else 2
        body = struct.pack("!HHBBH", 0x0020, 4 + len(packed), 0, kind, client[1] ^ (MAGIC >> 16)) + address
        return struct.pack("!HH", 0x0101, len(body)) + request[4:20] + body


class DualTest(TestCase):
    """Both families."""

    def expect_one(self, both: DualResult) -> None:
        """With a server of IPv4 alone."""
        ipv4, ipv6 = both
        self.assertEqual((ipv4.status, ipv4.nat_type), (Status.OK, NatType.OPEN_INTERNET))
        self.assertEqual((ipv6.status, ipv6.packets_sent), (Status.RESOLVE, 0))

    def test_a_missing_family_leaves_the_other_alone(self) -> None:
        before = descriptors()
        self.expect_one(check_nat_dual(servers=[self.good.name]))
        self.expect_one(check_nat_dual(servers=iter([self.good.name])))
        self.assertEqual(check_nat_dual(servers=[self.good.name], scope=Scope.MAPPING).ipv4.nat_type, NatType.NO_NAT)
        self.assertEqual(descriptors(), before)

    @not_under_wine
    @unittest.skipUnless(has_ipv6(), "this host has no IPv6")
    def test_both_at_the_same_time(self) -> None:
        for check in (check_nat_dual, lambda **how: asyncio.run(check_nat_dual_async(**how))):
            servers = [MeetingServer(socket.AF_INET, "127.0.0.1"), MeetingServer(socket.AF_INET6, "::1")]
            for server, other in zip(servers, servers[::-1]):
                server.other = other
                server.thread.start()
            both = check(servers=[server.name.replace("[127.0.0.1]", "127.0.0.1") for server in servers])
            for server in servers:
                server.stop()
            self.assertEqual([result.status for result in both], [Status.OK, Status.OK])
            self.assertEqual([result.external.ip for result in both], ["127.0.0.1", "::1"])

    def test_in_each_loop(self) -> None:
        async def main() -> None:
            self.expect_one(await check_nat_dual_async(servers=[self.good.name]))
            with self.assertRaises(natprobe.NoResponseError):
                await check_nat_dual_async(servers=[self.silent.name], timeout=0.05)

        for name, run in loops().items():
            if name == "stand-in":  # it has no nursery
                continue
            with self.subTest(loop=name):
                before = descriptors()
                run(main)
                self.assertEqual(descriptors(), before)

    def test_neither_has_a_verdict(self) -> None:
        with self.assertRaises(natprobe.ResolveError):
            check_nat_dual(servers=["nowhere.invalid"], timeout=5)
        with self.assertRaises(natprobe.NoResponseError) as raised:
            check_nat_dual(servers=[self.silent.name], timeout=0.05)
        self.assertGreater(raised.exception.result.packets_sent, 0)

    def test_wrong_arguments(self) -> None:
        before = descriptors()
        wrong: List[Any] = [{"servers": [""]}, {"source_port": 65536}, {"timeout": 0}, {"scope": 0}]
        for arguments in wrong:
            with self.assertRaises(natprobe.InvalidArgumentError):
                check_nat_dual(**arguments)
        with self.assertRaises(TypeError):
            check_nat_dual("127.0.0.1")  # type: ignore[misc]
        self.assertEqual(descriptors(), before)

    def test_cancelling_the_task(self) -> None:
        async def main() -> None:
            with self.prompt(0.1), self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(check_nat_dual_async(servers=[self.silent.name]), 0.1)

        before = descriptors()
        asyncio.run(main())
        self.assertEqual(descriptors(), before)

    @only_posix
    def test_a_signal_handler_that_raises_ends_both(self) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        before = descriptors()
        handler = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with self.prompt(0.1), self.assertRaises(KeyboardInterrupt):
                check_nat_dual(servers=[self.silent.name])
        finally:
            signal.signal(signal.SIGALRM, handler)
        self.assertEqual(descriptors(), before)

    def test_what_a_logger_raises_ends_both(self) -> None:
        class Odd(logging.Handler):
            """Raises."""

            def emit(self, record: logging.LogRecord) -> None:
                raise ZeroDivisionError

        async def main() -> None:
            await check_nat_dual_async(servers=[self.silent.name], logger=logger)

        logger = logging.Logger("odd", logging.DEBUG)
        logger.addHandler(Odd())
        before = descriptors()
        with self.prompt(), self.assertRaises(ZeroDivisionError):
            check_nat_dual(servers=[self.silent.name], logger=logger)
        for name, run in loops().items():
            if name != "stand-in":
                with self.subTest(loop=name), self.prompt(), self.assertRaises(ZeroDivisionError):
                    run(main)
        self.assertEqual(descriptors(), before)


if __name__ == "__main__":
    unittest.main()
