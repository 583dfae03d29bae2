#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""In event loops of every kind: the coroutines, the iterator of events, `async with`."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import sys
import threading
import types
import unittest
from typing import Any, AsyncIterator, Callable, Coroutine, Dict, List, TypeVar
from unittest import mock

from support import Odd, TestCase, descriptors, good_probe, silent_probe

import natprobe
from natprobe import EndedEvent, Event, EventKind, EventStream, NatType, SentEvent, Status, _waiting

_T = TypeVar("_T")


@types.coroutine
def _wait_readable(fd: int) -> Any:
    yield fd


def run_in_stand_in(function: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """The least that trio is to natprobe, so that its part runs where trio is not installed."""
    lowlevel = types.SimpleNamespace(wait_readable=_wait_readable, WaitForSingleObject=_wait_readable)
    trio = types.SimpleNamespace(lowlevel=lowlevel)
    sniffio = types.SimpleNamespace(current_async_library=lambda: "trio")
    with mock.patch.dict(sys.modules, {"trio": trio, "sniffio": sniffio}):
        coroutine = function()
        try:
            while True:
                fd = coroutine.send(None)
                _waiting.wait(fd)
        except StopIteration as done:
            return done.value


def run_in_trio(function: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """In trio itself."""
    import trio

    return trio.run(function)


def run_in_anyio(backend: str) -> Callable[[Callable[[], Coroutine[Any, Any, _T]]], _T]:
    """In anyio, on asyncio or on trio."""
    import anyio

    return lambda function: anyio.run(function, backend=backend)


def loops() -> Dict[str, Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]]:
    """Those that are here: asyncio and the stand-in always are."""
    found: Dict[str, Any] = {"asyncio": lambda function: asyncio.run(function()), "stand-in": run_in_stand_in}
    found["asyncio without readers"] = run_without_readers
    has = {name: importlib.util.find_spec(name) is not None for name in ("trio", "anyio")}
    if has["trio"]:
        found["trio"] = run_in_trio
    if has["anyio"]:
        found["anyio on asyncio"] = run_in_anyio("asyncio")
    if has["anyio"] and has["trio"]:
        found["anyio on trio"] = run_in_anyio("trio")
    return found


class LoopWithoutReaders(asyncio.SelectorEventLoop):
    """As a loop that watches no descriptors: Proactor's on Windows, some in C."""

    def add_reader(self, *arguments: Any) -> None:
        """As asyncio.AbstractEventLoop."""
        raise NotImplementedError

    remove_reader = add_reader


def run_without_readers(function: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """In asyncio, in such a loop."""
    loop = LoopWithoutReaders()
    try:
        return loop.run_until_complete(function())
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class LoopsTest(TestCase):
    """What works in asyncio works in the others."""

    def in_each(self, main: Callable[[], Coroutine[Any, Any, object]]) -> None:
        for name, run in loops().items():
            with self.subTest(loop=name):
                before = descriptors()
                run(main)
                self.assertEqual(descriptors(), before)

    def test_a_check(self) -> None:
        async def main() -> None:
            async with good_probe(self.good) as probe:
                for _ in range(2):
                    self.assertEqual((await probe.run_async()).nat_type, NatType.OPEN_INTERNET)
            self.assertTrue(probe.closed)

        self.in_each(main)

    def test_a_check_in_one_call(self) -> None:
        async def main() -> None:
            result = await natprobe.check_nat_async("127.0.0.1", servers=[self.good.name])
            self.assertEqual((result.nat_type, result.external.ip), (NatType.OPEN_INTERNET, "127.0.0.1"))
            with self.assertRaises(natprobe.NoResponseError):
                await natprobe.check_nat_async(servers=[self.silent.name], timeout=0.05)

        self.in_each(main)

    def test_events(self) -> None:
        async def main() -> None:
            told: List[Event] = []
            async with good_probe(self.good, on_event=told.append) as probe:
                for _ in range(2):
                    told.clear()
                    events = [event async for event in probe.events()]
                    self.assertEqual(events, told)
                    self.assertEqual({event.kind for event in events}, set(EventKind) - {EventKind.PROGRESS})
                    self.assertEqual([type(event) for event in events].count(EndedEvent), 1)
                    assert probe.last_result is not None and isinstance(events[-1], EndedEvent)
                    self.assertEqual(events[-1].nat_type, probe.last_result.nat_type)
                    sent = [event for event in events if isinstance(event, SentEvent)]
                    self.assertEqual(len(sent), probe.last_result.packets_sent)

        self.in_each(main)

    def test_events_of_a_check_without_a_verdict(self) -> None:
        async def main() -> None:
            events: List[Event] = []
            async with silent_probe(self.silent, response_timeout=0.05) as probe:
                stream = probe.events()
                with self.assertRaises(natprobe.NoResponseError):
                    async for event in stream:
                        events.append(event)
                assert isinstance(events[-1], EndedEvent) and probe.last_result is not None
                self.assertEqual((events[-1].status, probe.last_result.status), (Status.NO_RESPONSE,) * 2)
                with self.assertRaises(StopAsyncIteration):
                    await stream.__anext__()

        self.in_each(main)

    def test_events_are_told_as_they_come(self) -> None:
        async def main() -> None:
            async with silent_probe(self.silent) as probe:
                with self.prompt():
                    event = await probe.events().__anext__()
                self.assertIsInstance(event, SentEvent)

        self.in_each(main)

    def test_leaving_the_loop_aborts_the_check(self) -> None:
        async def main() -> None:
            async with silent_probe(self.silent) as probe:
                with self.prompt():
                    async for event in probe.events():
                        self.assertIsInstance(event, SentEvent)
                        break
                gc.collect()
                self.assertIn(" idle,", repr(probe))
                self.assert_usable(probe)
                probe.servers = [self.silent.name]
                stream = probe.events()
                await stream.__anext__()
                self.assertRaises(natprobe.BusyError, probe.run)
                self.assertRaises(natprobe.BusyError, probe.process)
                with self.assertRaises(natprobe.BusyError):
                    await probe.events().__anext__()
                await stream.aclose()
                with self.assertRaises(StopAsyncIteration):
                    while True:
                        await stream.__anext__()
                self.assert_usable(probe)

        self.in_each(main)

    def test_a_second_iterator_is_refused_and_does_no_harm(self) -> None:
        async def main() -> None:
            async with silent_probe(self.silent, response_timeout=0.3) as probe:
                stream = probe.events()
                events = [await stream.__anext__()]
                for _ in range(2):
                    with self.assertRaises(natprobe.BusyError):
                        await probe.events().__anext__()
                with self.assertRaises(natprobe.NoResponseError):
                    async for event in stream:
                        events.append(event)
                self.assertIsInstance(events[-1], EndedEvent)

        self.in_each(main)

    def test_a_stream_that_is_dropped_late_does_no_harm(self) -> None:
        async def main() -> None:
            async with good_probe(self.good) as probe:
                streams = [probe.events(), probe.events()]
                async for _ in streams[0]:
                    pass
                await streams[1].__anext__()
                del streams[0]
                gc.collect()
                self.assertEqual([type(e) async for e in streams[0]][-1], EndedEvent)

        self.in_each(main)

    def test_what_a_callback_raises_comes_out_of_the_iterator(self) -> None:
        def fail(event: Event) -> None:
            raise Odd

        async def main() -> None:
            async with good_probe(self.good, on_event=fail) as probe:
                with self.assertRaises(Odd):
                    async for _ in probe.events():
                        pass
                self.assert_usable(probe)

        self.in_each(main)

    def test_cancel_and_close_end_the_iterator(self) -> None:
        async def main() -> None:
            probe = silent_probe(self.silent)
            with self.prompt(), self.assertRaises(natprobe.CheckCancelledError):
                async for _ in probe.events():
                    probe.cancel()
            with self.prompt(), self.assertRaises(natprobe.ProbeClosedError):
                async for _ in probe.events():
                    probe.close()

        self.in_each(main)

    def test_aclose_ends_a_step_of_another_task(self) -> None:
        async def read(stream: EventStream, kinds: List[type]) -> None:
            try:
                async for event in stream:
                    kinds.append(type(event))
            except natprobe.CheckCancelledError as error:
                kinds.append(type(error))

        async def main() -> None:
            async with silent_probe(self.silent) as probe:
                stream, kinds = probe.events(), []
                task = asyncio.ensure_future(read(stream, kinds))
                await asyncio.sleep(0.05)
                with self.prompt():
                    await stream.aclose()
                    await task
                self.assertEqual(kinds[-2:], [EndedEvent, natprobe.CheckCancelledError])
                self.assert_usable(probe)

        asyncio.run(main())

    def test_a_stream_that_is_dropped_while_the_probe_is_taken_bricks_nothing(self) -> None:
        async def main() -> None:
            async with silent_probe(self.silent) as probe:
                stream = probe.events()
                await stream.__anext__()
                token = threading.Lock()
                with token:  # as another thread, which is about to be refused
                    probe._take(token)
                    del stream
                    gc.collect()
                    probe._leave()
                self.assert_usable(probe)

        asyncio.run(main())

    def test_another_kind_of_loop_is_refused(self) -> None:
        async def main() -> None:
            with silent_probe(self.silent) as probe:
                with self.assertRaisesRegex(RuntimeError, "in asyncio and trio, not in curio; use start"):
                    await probe.run_async()

        sniffio = types.SimpleNamespace(current_async_library=lambda: "curio")
        with mock.patch.dict(sys.modules, {"sniffio": sniffio}):
            asyncio.run(main())

    def test_a_cancelled_coroutine_aborts_the_check(self) -> None:
        """By what its loop throws into it; trio's own exception for that is neither asyncio's nor an Exception."""
        lowlevel = types.SimpleNamespace(wait_readable=_wait_readable, WaitForSingleObject=_wait_readable)
        trio = types.SimpleNamespace(lowlevel=lowlevel)
        sniffio = types.SimpleNamespace(current_async_library=lambda: "trio")

        async def next_event(stream: AsyncIterator[Event]) -> None:
            async for _ in stream:
                pass

        with mock.patch.dict(sys.modules, {"trio": trio, "sniffio": sniffio}):
            with silent_probe(self.silent) as probe:
                for coroutine in (probe.run_async(), next_event(probe.events())):
                    self.assertEqual(coroutine.send(None), probe._ready)
                    with self.prompt(), self.assertRaises(Odd):
                        coroutine.throw(Odd)
                    probe.servers = [self.silent.name]
                self.assert_usable(probe)


if __name__ == "__main__":
    unittest.main()
