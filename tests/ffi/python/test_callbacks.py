#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What callbacks are told and may do, and a socket of the caller's own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
import os
import socket
import struct
import unittest
import warnings
import weakref
from typing import Callable, List, Tuple

from support import WAYS, Odd, TestCase, descriptors, good_probe, run_with_selector, silent_probe

import natprobe
from natprobe import EndedEvent, Event, EventKind, LogLevel, NatType, Probe, Result, SentEvent, Status, _arguments


class CallbacksTest(TestCase):
    """What callbacks are told, and what they may do."""

    def test_events_and_log_lines(self) -> None:
        for way, run in WAYS:
            events: List[Event] = []
            lines: List[Tuple[int, str]] = []
            with self.subTest(way), good_probe(self.good) as probe:
                probe.on_event = events.append
                probe.on_log, probe.log_level = (lambda *line, lines=lines: lines.append(line)), LogLevel.DEBUG
                result = run(probe)
                self.assertEqual({event.kind for event in events}, set(EventKind) - {EventKind.PROGRESS})
                self.assertEqual(len([e for e in events if e.kind == EventKind.SENT]), result.packets_sent)
                assert isinstance(events[-1], EndedEvent)
                self.assertEqual((events[-1].status, events[-1].nat_type), (Status.OK, NatType.OPEN_INTERNET))
                self.assertEqual(len([e for e in events if isinstance(e, SentEvent)]), result.packets_sent)
                answer = next(event for event in events if isinstance(event, natprobe.AnsweredEvent))
                self.assertEqual(str(answer.remote), self.good.name)
                self.assertEqual(answer.external, ("127.0.0.1", answer.external.port if answer.external else 0))
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
                probe.on_log, probe.log_level = (lambda level, line: 1 / 0), LogLevel.DEBUG
                self.assertRaises(ZeroDivisionError, run, probe)
                self.assert_usable(probe)

    def logged(self, level: int, **more: object) -> List[logging.LogRecord]:
        logger = logging.getLogger("elsewhere")
        with self.assertLogs(logger, level) as logs, good_probe(self.good, logger=logger, **more) as probe:
            logger.log(level, "so that there is something")
            probe.run()
        return logs.records[1:]

    def test_a_logger_gets_what_it_is_enabled_for(self) -> None:
        steps = self.logged(logging.DEBUG)
        self.assertEqual({r.levelno for r in steps} - {logging.DEBUG, logging.INFO, logging.WARNING}, set())
        self.assertGreater(len([r for r in steps if r.levelno == logging.DEBUG]), 4)
        self.assertIn(f"server 127.0.0.1 is {self.good.name}", [r.getMessage() for r in steps])
        self.assertEqual([r.levelno for r in self.logged(logging.CRITICAL)], [])
        lines = self.logged(logging.INFO)
        self.assertEqual([r for r in lines if r.levelno < logging.INFO], [])

    def test_a_logger_beside_on_log(self) -> None:
        told: List[Tuple[LogLevel, str]] = []
        steps = self.logged(logging.DEBUG, on_log=lambda *line: told.append(line), log_level=LogLevel.INFO)
        self.assertGreater(len(steps), len(told))
        self.assertEqual([line for line in told if line[0] > LogLevel.INFO], [])

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
                probe.on_event = lambda event, probe=probe: probe.cancel() if isinstance(event, EndedEvent) else None
                self.assertEqual(run(probe).status, Status.OK)
                self.assertEqual(run(probe).status, Status.OK)

    def test_cancel_in_a_callback(self) -> None:
        for way, run in WAYS:
            with self.subTest(way), silent_probe(self.silent) as probe:
                probe.on_event = lambda event, probe=probe: probe.cancel() if event.kind == EventKind.SENT else None
                with self.prompt():
                    self.assertRaises(natprobe.CheckCancelledError, run, probe)
                self.assert_usable(probe)

    def test_close_in_a_callback(self) -> None:
        for way, run in WAYS:
            before = descriptors()
            probe = silent_probe(self.silent)
            probe.on_event = lambda event, probe=probe: probe.close()
            with self.subTest(way), self.prompt():
                with self.assertRaises((natprobe.CheckCancelledError, natprobe.ProbeClosedError)):
                    run(probe)
                self.assertEqual(descriptors(), before)
                self.assertRaises(natprobe.ProbeClosedError, probe.run)

    def test_close_in_a_later_callback_of_process(self) -> None:
        probe = good_probe(self.good)
        probe.on_event = lambda event: probe.close() if event.kind == EventKind.ANSWERED else None
        with contextlib.suppress(natprobe.CheckCancelledError, natprobe.ProbeClosedError):
            self.assertEqual(run_with_selector(probe).status, Status.OK)
        self.assertRaises(natprobe.ProbeClosedError, probe.start)


class SocketTest(TestCase):
    """A socket of the caller's own."""

    def check_datagrams(self, family: int, host: str, run: Callable[[Probe], Result], server: str) -> None:
        got: List[Tuple[bytes, natprobe.Address]] = []
        payloads = [b"hello %d" % i for i in range(40)] + [b"", b"\1" * 60000]
        with socket.socket(family, socket.SOCK_DGRAM) as sock, socket.socket(family, socket.SOCK_DGRAM) as sender:
            sock.bind((host, 0))
            sender.bind((host, 0))
            for payload in payloads:
                sender.sendto(payload, sock.getsockname())
            with Probe(servers=[server], sock=sock, on_datagram=lambda *args: got.append(args)) as probe:
                probe.response_timeout = 0.2
                with contextlib.suppress(natprobe.NoResponseError):
                    result = run(probe)
                    self.assertEqual(result.external, sock.getsockname()[:2])
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
        self.assertEqual(_arguments.decode_address(raw + struct.pack("=I", 3)), ("fe80::1", 7, 9, 3))

    def test_the_socket_is_kept_alive(self) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        alive = weakref.ref(sock)
        with good_probe(self.good, sock=sock, on_datagram=lambda data, address: None) as probe:
            del sock
            self.assertEqual(probe.run().local.port, port)
            self.assertIsNotNone(alive())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # nobody has closed it
                probe.sock = None
            self.assertIsNone(alive())
            self.assertNotEqual(probe.run().local.port, port)

    def test_a_closed_socket_is_noticed(self) -> None:
        with good_probe(self.good) as probe, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            probe.on_datagram, probe.sock = (lambda data, address: None), sock
            sock.close()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:  # gets the same descriptor
                other.bind(("127.0.0.1", 0))
                with self.assertRaisesRegex(natprobe.InvalidArgumentError, "closed"):
                    probe.run()
            self.assert_usable(probe)


if __name__ == "__main__":
    unittest.main()
