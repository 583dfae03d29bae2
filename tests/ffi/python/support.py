# SPDX-License-Identifier: MIT
"""What the tests of the Python package share: servers on loopback, and ways to run a probe."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import selectors
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
import unittest
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple
from unittest import mock

sys.dont_write_bytecode = True  # nothing may be left in the source tree
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..", "..")
PACKAGE_FOLDER = os.path.join(ROOT, "examples", "python")
# The tests are for the package in the tree. If the variable names a folder with a copy of the programs, they are for the
# package that is installed.
IS_INSTALLED = "NATPROBE_TEST_PROGRAMS" in os.environ
PROGRAMS_FOLDER = os.environ.get("NATPROBE_TEST_PROGRAMS", PACKAGE_FOLDER)
sys.path[:0] = [HERE] if IS_INSTALLED else [PACKAGE_FOLDER, HERE]

from natprobe import NatType, Probe, Result, _waiting  # noqa: E402

only_posix = unittest.skipIf(sys.platform == "win32", "Windows has no such thing")

PROMPT = 1.5  # seconds within which a cancelled check has to be over, on a busy machine too
MAGIC = 0x2112A442

not_under_wine = unittest.skipIf(sys.platform == "win32", "Wine has one loopback address, and binds to every address")


class LocalServer:
    """A STUN server on two loopback addresses with two ports each (RFC 5780), in a thread."""

    def __init__(self, reply: str = "good", mapping: str = "true", change: bool = True, other: bool = True) -> None:
        self.reply, self.mapping, self.change, self.other = reply, mapping, change, other
        self.answered = 0
        self.sockets = self._bind()
        self.stopped, self._stop = socket.socketpair()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.stopped, selectors.EVENT_READ)
        for key, sock in self.sockets.items():
            self.selector.register(sock, selectors.EVENT_READ, key)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self) -> LocalServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.close()
        self.thread.join()
        self.selector.close()
        for sock in [*self.sockets.values(), self.stopped]:
            sock.close()

    @property
    def name(self) -> str:
        """As `servers` wants it."""
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
        if self.reply == "none" or request[:2] != b"\0\1" or (self.reply == "once" and self.answered > 0):
            return
        self.answered += 1
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


class RemoteServer:
    """The same, in the process of broker.py. Wine has only one loopback address."""

    def __init__(self, **how: Any) -> None:
        self._connection = socket.create_connection(("127.0.0.1", int(os.environ["NATPROBE_TEST_BROKER"])))
        with self._connection.makefile("rw") as lines:
            print(json.dumps(how), file=lines, flush=True)
            self.name = lines.readline().strip()

    def __enter__(self) -> RemoteServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()


Server: Any = RemoteServer if "NATPROBE_TEST_BROKER" in os.environ else LocalServer


def good_probe(server: Any, **more: Any) -> Probe:
    """A probe that asks a server of ours."""
    return Probe(servers=[server.name], **more)


def silent_probe(server: Any, **more: Any) -> Probe:
    """One that waits for long, for a server that says nothing."""
    return Probe(servers=[server.name], **{"timeout": 60, "response_timeout": 60, **more})


def descriptors() -> int:
    """How many are open."""
    if sys.platform != "win32":
        return len(os.listdir("/proc/self/fd"))
    return 0  # Wine does not count them


class Odd(BaseException):
    """No Exception."""


class TestCase(unittest.TestCase):
    """With a server that answers and one that does not."""

    good: Any
    silent: Any

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
        probe.on_event = probe.on_log = probe.logger = probe.sock = None
        probe.servers = [self.good.name]
        probe.response_timeout = None
        self.assertEqual(probe.run().nat_type, NatType.OPEN_INTERNET)


def run_python(code: str, **environment: str) -> subprocess.Popen[str]:
    """Another Python that has the package."""
    path = {} if IS_INSTALLED else {"PYTHONPATH": PACKAGE_FOLDER}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **path, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_with_handle(probe: Probe) -> Result:
    """The least of an event loop on Windows."""
    while True:
        result = probe.process()
        if result is not None:
            return result
        handle = probe.wait_handle()
        assert handle is not None and probe.fileno() == -1
        _waiting.wait(handle)


def run_with_selector(probe: Probe) -> Result:
    """In an event loop of another kind."""
    probe.start()
    if sys.platform == "win32":
        return run_with_handle(probe)
    with selectors.DefaultSelector() as selector:
        selector.register(probe, selectors.EVENT_READ)
        while True:
            result = probe.process()
            if result is not None:
                return result
            selector.select()


WAYS: List[Tuple[str, Callable[[Probe], Result]]] = [
    ("run", Probe.run),
    ("run_async", lambda probe: asyncio.run(probe.run_async())),
    ("start and process", run_with_selector),
]
