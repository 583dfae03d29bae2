#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example programs, against servers of ours, and what the driver checks by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unittest
from typing import Tuple

from support import HERE, PROGRAMS_FOLDER, Server, TestCase


class ExamplesTest(TestCase):
    """The programs, against servers of ours."""

    def run_example(self, name: str, *servers: str) -> Tuple[int, str, str]:
        command = [sys.executable, os.path.join(PROGRAMS_FOLDER, name), *servers]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        return done.returncode, done.stdout, done.stderr

    def test_check(self) -> None:
        code, out, err = self.run_example("check.py", self.good.name)
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"^Open Internet \(No NAT\), seen as 127\.0\.0\.1:\d+\n$")

    def test_check_without_a_verdict(self) -> None:
        self.assertEqual(self.run_example("check.py", "not:a:server")[:2], (1, ""))
        with Server(reply="nonsense") as server:
            code, out, err = self.run_example("check.py", server.name)
        self.assertEqual((code, out), (1, ""))
        self.assertRegex(err, "^bad-response: ")

    def test_check_where_the_filtering_is_unknown(self) -> None:
        with Server(change=False) as plain:
            code, out, err = self.run_example("check.py", plain.name)
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"^No NAT \(filtering unknown\), seen as 127\.0\.0\.1:\d+\n$")

    def test_check_async(self) -> None:
        with Server(change=False) as plain:
            code, out, err = self.run_example("check_async.py", self.good.name, plain.name)
            self.assertEqual((code, err), (0, ""))
            self.assertEqual(len(out.splitlines()), 2)
            self.assertIn(f"{self.good.name}: Open Internet (No NAT), seen as 127.0.0.1:", out)
            self.assertIn(f"{plain.name}: No NAT (filtering unknown), seen as 127.0.0.1:", out)

    def test_check_async_without_a_verdict(self) -> None:
        with Server(reply="nonsense") as server:
            code, out, err = self.run_example("check_async.py", server.name)
            self.assertRegex(out, rf"^{re.escape(server.name)}: bad-response: .*\n$")
        self.assertEqual((code, err), (1, ""))


class DriverTest(unittest.TestCase):
    """What the driver checks by itself."""

    def test_bad_input(self) -> None:
        command = [sys.executable, os.path.join(HERE, "driver.py"), "bad-input"]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^\d{3} checks passed\n$")


if __name__ == "__main__":
    unittest.main()
