#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""When things are freed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import threading
import unittest
import warnings
import weakref
from typing import Any, Callable
from unittest import mock

from support import WAYS, TestCase, descriptors, good_probe, only_posix, silent_probe

import natprobe
from natprobe import Event, NatType, Probe, _callbacks, _handle, _waiting


class LifeTest(TestCase):
    """When things are freed."""

    def setUp(self) -> None:
        gc.collect()
        gc.disable()
        catching = warnings.catch_warnings()
        catching.__enter__()
        self.addCleanup(catching.__exit__, None, None, None)
        warnings.simplefilter("ignore", ResourceWarning)
        self.before = descriptors()

    def tearDown(self) -> None:
        gc.enable()

    @only_posix
    def test_with_frees(self) -> None:
        with good_probe(self.good) as probe:
            probe.run()
            self.assertGreater(descriptors(), self.before)
        self.assertEqual(descriptors(), self.before)
        self.assertTrue(probe.closed)

    def test_the_last_reference_frees(self) -> None:
        for way, run in WAYS:
            probe = good_probe(self.good, on_event=print, on_log=print)
            probe.on_event = None
            run(probe)
            alive = weakref.ref(probe)
            del probe
            with self.subTest(way):
                self.assertIsNone(alive())
                self.assertEqual(descriptors(), self.before)

    def test_the_last_reference_frees_after_an_error(self) -> None:
        def fail(event: Event) -> None:
            raise ZeroDivisionError

        for way, run in (WAYS[0], WAYS[2]):
            probe = good_probe(self.good, on_event=fail)
            with contextlib.suppress(ZeroDivisionError):
                run(probe)
            alive = weakref.ref(probe)
            del probe
            with self.subTest(way):
                self.assertIsNone(alive())
                self.assertEqual(descriptors(), self.before)

    def test_the_last_reference_frees_after_an_error_in_asyncio(self) -> None:
        async def main() -> None:
            before = descriptors()
            for server, kind in ((self.silent, natprobe.NoResponseError), (self.good, ZeroDivisionError)):
                probe = good_probe(server, response_timeout=0.05)
                if kind is ZeroDivisionError:
                    probe.on_event = lambda event: 1 / 0
                with contextlib.suppress(kind):
                    await probe.run_async()
                alive = weakref.ref(probe)
                del probe
                self.assertIsNone(alive())
                self.assertEqual(descriptors(), before)

        asyncio.run(main())

    @only_posix
    def test_a_check_in_progress_is_freed(self) -> None:
        probe = silent_probe(self.silent)
        probe.start()
        self.assertGreater(descriptors(), self.before)
        del probe
        self.assertEqual(descriptors(), self.before)

    def test_cycles_are_collected(self) -> None:
        probe: Any = silent_probe(self.silent)
        probe.on_event = lambda event, probe=probe: None
        probe.start()
        del probe
        gc.collect()
        self.assertEqual(descriptors(), self.before)

    def test_nothing_is_left_of_a_constructor_that_fails(self) -> None:
        known = len(_callbacks._listeners)
        self.assertRaises(natprobe.InvalidArgumentError, Probe, servers=["bad server"])
        self.assertEqual(len(_callbacks._listeners), known)

    def test_use_after_close(self) -> None:
        probe = good_probe(self.good)
        probe.close()
        with self.assertRaisesRegex(ValueError, "the probe is closed"):
            probe.run()
        with self.assertRaisesRegex(natprobe.ProbeClosedError, "the probe is closed"):
            asyncio.run(probe.run_async())
        probe.cancel()
        probe.close()

    def test_a_probe_that_was_never_closed_is_warned_of(self) -> None:
        for leave_open in (True, False):
            probe: Any = good_probe(self.good)
            if not leave_open:
                probe.close()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                del probe
            self.assertEqual([warning.category for warning in caught], [ResourceWarning] * leave_open)
            self.assertEqual(descriptors(), self.before)
            for warning in caught:
                self.assertRegex(str(warning.message), "^unclosed <natprobe.Probe idle, servers=")

    def test_the_repr_tells_the_state(self) -> None:
        probe = silent_probe(self.silent)
        for state, change in (("idle", probe.start), ("running", probe.close), ("closed", probe.close)):
            self.assertEqual(repr(probe), f"<natprobe.Probe {state}, servers=['{self.silent.name}']>")
            change()

    def in_child(self, code: Callable[[], object]) -> None:
        """A forked child has to come to its end, and to be content."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of fork() beside threads
            child = os.fork()
        if child == 0:
            signal.alarm(5)
            try:
                os._exit(0 if code() else 1)
            finally:
                os._exit(2)
        self.assertEqual(os.waitpid(child, 0)[1], 0)

    @only_posix
    def test_a_forked_child_never_frees(self) -> None:
        """In none of the ways in which a probe ends, with a warning neither."""
        for end in ("close", "del", "with"):
            probe: Any = good_probe(self.good)
            probe.run()

            def child(end: str = end) -> bool:
                nonlocal probe
                library = mock.MagicMock()
                probe._library = library
                probe._finalizer.detach()
                probe._finalizer = weakref.finalize(probe, _handle._free, library, probe._handle, probe._owner)
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    if end == "close":
                        probe.close()
                        probe.cancel()
                    elif end == "with":
                        with probe:
                            pass
                    else:
                        del probe
                        gc.collect()
                return not library.mock_calls and not caught

            self.in_child(child)
            probe.close()

    @only_posix
    def test_a_forked_child_does_not_wait_for_a_lock_of_the_parents(self) -> None:
        probe = good_probe(self.good)
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with probe._lock:
                held.set()
                done.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()

        def child() -> bool:
            probe.cancel()
            probe.close()
            with contextlib.suppress(natprobe.ProbeClosedError):
                probe.run()
            return True

        self.in_child(child)
        done.set()
        thread.join()
        probe.close()

    @only_posix
    def test_a_forked_child_does_not_disturb_the_parent(self) -> None:
        probe: Any = good_probe(self.good)
        probe.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of fork() beside threads
            child = os.fork()
        if child == 0:
            refused = 0
            for call in (probe.process, probe.run, probe.fileno, lambda: setattr(probe, "timeout", 1)):
                with contextlib.suppress(natprobe.NatProbeError):
                    try:
                        call()
                    except natprobe.ProbeClosedError:
                        refused += 1
            probe.cancel()
            probe.close()
            del probe
            os._exit(0 if refused == 4 else 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        result = None
        while result is None:
            _waiting.wait(probe.fileno())
            result = probe.process()
        self.assertEqual(result.nat_type, NatType.OPEN_INTERNET)
        probe.close()


if __name__ == "__main__":
    unittest.main()
