#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""In asyncio."""

from __future__ import annotations

import asyncio
import sys
import unittest
from typing import Any

from support import TestCase, descriptors, good_probe, silent_probe

import driver
import natprobe
from natprobe import NatType, Result


class AsyncTest(TestCase):
    """In asyncio."""

    def readers(self, loop: Any) -> int:
        """How many descriptors the loop watches. That of Windows watches none."""
        return 0 if sys.platform == "win32" else len(loop._selector.get_map())

    def run_and_compare(self, main: Any) -> None:
        """Runs a coroutine in a loop of its own, after which no reader may be left."""

        async def wrapped() -> None:
            loop = asyncio.get_running_loop()
            readers = self.readers(loop)
            open_before = descriptors()
            await main
            self.assertEqual(self.readers(loop), readers)
            self.assertEqual(descriptors(), open_before)

        asyncio.run(wrapped())

    def test_a_check(self) -> None:
        async def main() -> None:
            with good_probe(self.good) as probe:
                for _ in range(3):
                    self.assertEqual((await probe.run_async()).nat_type, NatType.OPEN_INTERNET)

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
                probe.servers = [self.good.name]
                self.assertEqual((await probe.run_async()).nat_type, NatType.OPEN_INTERNET)

        self.run_and_compare(main())

    def test_wait_for(self) -> None:
        async def main() -> None:
            with silent_probe(self.silent) as probe, self.prompt(0.1):
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(probe.run_async(), 0.1)
            with self.prompt(0.1), self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(natprobe.check_nat_async(servers=[self.silent.name]), 0.1)

        self.run_and_compare(main())

    def test_a_hundred_at_once(self) -> None:
        if sys.platform != "win32":
            import resource

            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            wanted = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))

        async def check() -> NatType:
            with good_probe(self.good) as probe:
                return (await probe.run_async()).nat_type

        async def main() -> None:
            types = await asyncio.gather(*(check() for _ in range(100)))
            self.assertEqual(types, [NatType.OPEN_INTERNET] * 100)

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

        async def main() -> asyncio.Future[Result]:
            task = asyncio.ensure_future(probe.run_async())
            await asyncio.sleep(0.05)
            return task

        with silent_probe(self.silent) as probe:
            with self.prompt():
                task = asyncio.run(main())
            self.assertTrue(task.cancelled())
            self.assertFalse(probe._running)
        self.assertEqual(descriptors(), before)

    def test_callbacks_run_in_the_task(self) -> None:
        async def main() -> None:
            tasks = set()
            with good_probe(self.good, on_event=lambda event: tasks.add(asyncio.current_task())) as probe:
                await probe.run_async()
            self.assertEqual(tasks, {asyncio.current_task()})

        self.run_and_compare(main())


if __name__ == "__main__":
    unittest.main()
