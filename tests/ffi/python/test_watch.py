#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Watch: with for, with async for, and by hand."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import unittest
import warnings
from typing import List

from support import TestCase, descriptors, good_probe, silent_probe

from natprobe import (
    BusyError,
    CheckCancelledError,
    Event,
    InvalidArgumentError,
    NatType,
    Probe,
    ProbeClosedError,
    Status,
    Watch,
    WatchChange,
    WatchReason,
    WatchStatus,
    _waiting,
)

EVERYTHING = WatchChange.TYPE | WatchChange.MAPPING | WatchChange.FILTERING | WatchChange.ADDRESS


class TestWatch(TestCase):
    def check_first(self, status: WatchStatus) -> None:
        self.assertEqual(status.result.nat_type, NatType.OPEN_INTERNET)
        self.assertEqual((status.reason, status.changed), (WatchReason.START, EVERYTHING))
        self.assertEqual((status.changes, status.checks, status.last_status), (1, 1, Status.OK))
        assert status.age is not None and status.next_check is not None
        self.assertGreaterEqual(status.age, 0)
        self.assertGreater(status.next_check, 0)

    def wait(self, watch: Watch) -> None:
        handle = watch.wait_handle()
        self.assertEqual((handle is None, watch.fileno() == -1), (sys.platform != "win32", sys.platform == "win32"))
        _waiting.wait(watch.fileno() if handle is None else handle)

    def test_for(self) -> None:
        with Watch(good_probe(self.good)) as watch:
            self.check_first(next(watch))
            self.assertFalse(watch.status().is_checking)

    def test_async_for(self) -> None:
        async def first() -> None:
            async with Watch(good_probe(self.good)) as watch:
                async for status in watch:
                    self.check_first(status)
                    break

        asyncio.run(first())

    def test_cancelling_the_task(self) -> None:
        async def wait() -> None:
            watch = Watch(silent_probe(self.silent))
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(watch.__anext__(), 0.05)
            watch.close()
            with self.assertRaises(ProbeClosedError):
                await watch.__anext__()

        before = descriptors()
        asyncio.run(wait())
        self.assertEqual(descriptors(), before)

    def test_failure_noted_while_another_task_waits(self) -> None:
        async def both() -> None:
            async with Watch(good_probe(self.good), interval=0) as watch:
                await watch.__anext__()
                self.assertIsNone(watch.status().next_check)
                waiting = asyncio.ensure_future(watch.__anext__())
                await asyncio.sleep(0)
                watch.note_failure()
                self.assertIsNotNone(watch.status().next_check)
                with self.assertRaises(BusyError):
                    watch.process()
                watch.cancel()
                with self.assertRaises(StopAsyncIteration):
                    await waiting

        asyncio.run(both())

    def test_cancel_from_another_thread(self) -> None:
        with Watch(silent_probe(self.silent)) as watch:
            threading.Timer(0.05, watch.cancel).start()
            with self.prompt():
                self.assertEqual(list(watch), [])
            self.assertEqual(list(watch), [])

    def test_by_hand(self) -> None:
        with Watch(good_probe(self.good)) as watch:
            self.assertEqual((watch.fileno(), watch.wait_handle()), (-1, None))
            with self.assertRaises(InvalidArgumentError):
                watch.note_failure()
            watch.start()
            with self.assertRaises(BusyError):
                watch.start()
            status = watch.process()
            while status is None:
                self.wait(watch)
                status = watch.process()
            self.check_first(status)
            self.assertIsNone(watch.process())
            watch.cancel()
            with self.assertRaises(CheckCancelledError):
                watch.process()

    def test_the_probe_is_taken_over(self) -> None:
        events: List[Event] = []
        probe = good_probe(self.good, on_event=events.append)
        with Watch(probe) as watch:
            self.assertTrue(probe.closed)
            with self.assertRaises(ProbeClosedError):
                probe.run()
            probe.close()
            next(watch)
            self.assertTrue(events)

    def test_a_probe_in_use_is_left_alone(self) -> None:
        probe = silent_probe(self.silent)
        probe.start()
        with self.assertRaises(BusyError):
            Watch(probe)
        self.assertFalse(probe.closed)
        probe.close()

    def test_an_exception_of_a_callback_comes_out(self) -> None:
        def fail(event: Event) -> None:
            raise ZeroDivisionError

        with Watch(good_probe(self.good, on_event=fail)) as watch:
            with self.assertRaises(ZeroDivisionError):
                next(watch)

    def test_bad_interval(self) -> None:
        before = descriptors()
        for interval in (-1, 1, 604801, 1 << 40):
            with self.assertRaises((InvalidArgumentError, ValueError, TypeError)):
                Watch(good_probe(self.good), interval=interval)
        gc.collect()
        self.assertEqual(descriptors(), before)

    def test_nothing_is_left(self) -> None:
        before = descriptors()
        for turns in range(3):
            watch = Watch(Probe(servers=[self.good.name]))
            for _ in range(min(turns, 1)):
                next(watch)
            if turns == 2:
                watch.close()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                del watch
                gc.collect()
        self.assertEqual(descriptors(), before)


if __name__ == "__main__":
    unittest.main()
