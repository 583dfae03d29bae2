#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Calls from several threads, and signals."""

from __future__ import annotations

import contextlib
import itertools
import queue
import signal
import threading
import time
import types
import unittest
from typing import Any, Callable, Iterator, List, Optional
from unittest import mock

from support import WAYS, Odd, TestCase, descriptors, good_probe, only_posix, run_python, silent_probe

import natprobe
from natprobe import NatType, Probe, Status


class ThreadsTest(TestCase):
    """Calls from several threads, and signals."""

    def test_cancel_from_a_thread(self) -> None:
        for way, run in WAYS:
            with self.subTest(way), silent_probe(self.silent) as probe, self.prompt(0.1):
                timer = threading.Timer(0.1, probe.cancel)
                timer.start()
                with self.assertRaises(natprobe.CheckCancelledError) as caught:
                    run(probe)
                self.assertGreater(caught.exception.result.packets_sent, 0)
                timer.join()
                self.assert_usable(probe)

    def test_cancel_without_a_check_does_nothing(self) -> None:
        with good_probe(self.good) as probe:
            for _ in range(2):
                probe.cancel()
                self.assertEqual(probe.run().status, Status.OK)

    def test_cancel_between_start_and_the_first_turn(self) -> None:
        with silent_probe(self.silent) as probe, self.prompt():
            probe.start()
            probe.cancel()
            self.assertRaises(natprobe.CheckCancelledError, probe.process)
            self.assert_usable(probe)

    def test_cancel_between_the_call_and_the_start(self) -> None:
        """As a signal handler can: the library does not know of the check yet."""
        for way, run in WAYS[:2]:
            for stop in (Probe.cancel, Probe.close):
                probe = silent_probe(self.silent)
                prepare = probe._prepare

                def interrupted(probe: Any = probe, prepare: Any = prepare, stop: Any = stop) -> None:
                    prepare()
                    stop(probe)

                with self.subTest(way, stop=stop), mock.patch.object(probe, "_prepare", interrupted), self.prompt():
                    self.assertRaises(natprobe.CheckCancelledError, run, probe)
                probe.close()

    def test_close_from_a_thread(self) -> None:
        for way, run in WAYS[:2]:
            before = descriptors()
            probe = silent_probe(self.silent)
            timer = threading.Timer(0.1, probe.close)
            with self.subTest(way), self.prompt(0.1):
                timer.start()
                self.assertRaises(natprobe.CheckCancelledError, run, probe)
                timer.join()
                self.assertEqual(descriptors(), before)

    def test_a_second_use_is_refused(self) -> None:
        with silent_probe(self.silent) as probe:
            refused: List[BaseException] = []

            def intrude() -> None:
                for call in (probe.run, probe.start, probe.process, lambda: setattr(probe, "timeout", 1)):
                    try:
                        call()
                    except natprobe.BusyError as error:
                        refused.append(error)
                probe.cancel()

            timer = threading.Timer(0.1, intrude)
            timer.start()
            self.assertRaises(natprobe.CheckCancelledError, probe.run)
            timer.join()
        self.assertEqual(len(refused), 4)

    def test_taking_the_probe_is_one_step(self) -> None:
        """Who comes while another call takes the probe is refused at once, and never waits for the end of that call."""
        with silent_probe(self.silent, response_timeout=0.5) as probe:
            require_open, calls, refused = probe._require_open, itertools.count(1), queue.Queue()

            def intrude() -> None:
                began = time.monotonic()
                try:
                    probe.run()
                except natprobe.NatProbeError as error:
                    refused.put((type(error), time.monotonic() - began < 0.4))

            thread = threading.Thread(target=intrude)

            def in_between() -> None:
                if threading.current_thread() is threading.main_thread() and next(calls) == 2:
                    thread.start()
                    thread.join(0.1)
                require_open()

            with mock.patch.object(probe, "_require_open", in_between):
                self.assertRaises(natprobe.NoResponseError, probe.run)
            thread.join()
        self.assertEqual(refused.get(), (natprobe.BusyError, True))

    def test_closed_in_the_middle_of_a_setter_is_freed_at_its_end(self) -> None:
        probe = good_probe(self.good)
        with mock.patch.object(probe, "_require_idle", probe.close):
            probe.timeout = 5
        self.assertFalse(probe._finalizer.alive)
        self.assertRaises(natprobe.ProbeClosedError, probe.run)

    def test_many_in_parallel(self) -> None:
        types: List[NatType] = []

        def check() -> None:
            for _ in range(10):
                with good_probe(self.good, on_event=lambda event: None) as probe:
                    types.append(probe.run().nat_type)

        threads = [threading.Thread(target=check) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(types, [NatType.OPEN_INTERNET] * 80)

    def test_cancels_against_ends(self) -> None:
        """Cancelled at any moment, in the middle of a run or between two, a probe still works."""
        ends = set()
        with good_probe(self.good) as probe:
            stop = threading.Event()

            def keep_cancelling() -> None:
                while not stop.wait(0.0003):
                    probe.cancel()

            thread = threading.Thread(target=keep_cancelling)
            thread.start()
            for _ in range(300):
                try:
                    ends.add(probe.run().status)
                except natprobe.CheckCancelledError as error:
                    ends.add(error.status)
            stop.set()
            thread.join()
            self.assert_usable(probe)
        self.assertIn(Status.CANCELLED, ends)

    @contextlib.contextmanager
    def alarm(self, handler: Callable[[int, Optional[types.FrameType]], object]) -> Iterator[None]:
        previous = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)

    @only_posix
    def test_cancel_from_a_signal_handler(self) -> None:
        with silent_probe(self.silent) as probe, self.alarm(lambda number, frame: probe.cancel()), self.prompt(0.1):
            self.assertRaises(natprobe.CheckCancelledError, probe.run)

    @only_posix
    def test_what_a_signal_handler_raises_comes_out(self) -> None:
        def handler(number: int, frame: Optional[types.FrameType]) -> None:
            raise Odd

        with silent_probe(self.silent) as probe:
            with self.alarm(handler), self.prompt(0.1):
                self.assertRaises(Odd, probe.run)
            self.assert_usable(probe)

    @only_posix
    def test_a_signal_that_raises_nothing_does_not_end_a_run(self) -> None:
        seen: List[int] = []
        with silent_probe(self.silent, response_timeout=0.3) as probe:
            with self.alarm(lambda number, frame: seen.append(number)), self.prompt(0.3):
                self.assertRaises(natprobe.NoResponseError, probe.run)
        self.assertEqual(seen, [signal.SIGALRM])

    def interrupt(self, code: str) -> None:
        code = f'import asyncio, natprobe\nprobe = natprobe.Probe(servers=["{self.silent.name}"], timeout=60)\n{code}'
        process = run_python(code)
        self.assertEqual(process.stdout.readline() if process.stdout else "", "running\n")
        time.sleep(0.2)
        with self.prompt():
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        self.assertEqual((out, err, process.returncode), ("interrupted\nno-response\n", "", 0))

    @only_posix
    def test_interrupt(self) -> None:
        for run in ("probe.run()", "asyncio.run(probe.run_async())"):
            self.interrupt(
                "print('running', flush=True)\n"
                "probe.response_timeout = 60\n"
                f"try:\n    {run}\n"
                "except KeyboardInterrupt:\n    print('interrupted')\n"
                "probe.response_timeout = 0.1\n"
                "try:\n    probe.run()\n"
                "except natprobe.NatProbeError as error:\n    print(error.status)\n"
            )

    @only_posix
    def test_interrupts_at_any_moment(self) -> None:
        """None is lost, also within callbacks, and the probe is as good as before."""
        process = run_python(f"""
            import natprobe, random, signal, sys

            class Odd(BaseException):
                pass

            def handler(number, frame):
                if armed:
                    raise Odd

            lost, ended, told = [], [], []
            sys.unraisablehook = lost.append
            signal.signal(signal.SIGALRM, handler)
            probe = natprobe.Probe(servers=["{self.good.name}"], on_event=told.append)
            for _ in range(400):
                armed = True
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 1e-3))
                    ended.append(str(probe.run().status))
                except Odd:
                    ended.append("odd")
                armed = False
                signal.setitimer(signal.ITIMER_REAL, 0)
            print(len(lost), sorted(set(ended)), probe.run().status)
            """)
        self.assertEqual(process.communicate(), ("0 ['odd', 'ok'] ok\n", ""))


if __name__ == "__main__":
    unittest.main()
