#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every program of the README runs as it stands there, against a server of ours."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
import unittest
from typing import Any, Dict, List
from unittest import mock

from support import PACKAGE_FOLDER, TestCase

import natprobe
from natprobe import Probe, _short


def text() -> str:
    """The README."""
    with open(os.path.join(PACKAGE_FOLDER, "README.md")) as file:
        return file.read()


class ReadmeTest(TestCase):
    """What the README says."""

    def run_block(self, code: str) -> str:
        server = self.good.name

        class AskingOurs(Probe):
            """Has our server in place of public ones."""

            def __init__(self, **settings: Any) -> None:
                super().__init__(**{**settings, "servers": [server]})

        out = io.StringIO()
        names: Dict[str, Any] = {"__name__": "readme"}
        with mock.patch.object(natprobe, "Probe", AskingOurs), mock.patch.object(_short, "Probe", AskingOurs):
            with contextlib.redirect_stdout(out):
                exec(compile(code, "README.md", "exec"), names)
        if "sock" in names:
            names["sock"].close()
        return out.getvalue()

    def test_every_program_runs(self) -> None:
        programs = re.findall(r"```python\n(.*?)```", text(), flags=re.DOTALL)
        expected = [
            r"open-internet [\d.]+:\d+\n",
            "",
            r"(127\.0\.0\.\d:\d+ sees [\d.]+:\d+ after \d\.\d{3} s\n)+open-internet\n",
            r"tell your peers: [\d.]+:\d+\nthe socket is yours again: \('0\.0\.0\.0', \d+\)\n",
            "",
        ]
        self.assertEqual(len(programs), len(expected))
        for program, pattern in zip(programs, expected):
            self.assertRegex(self.run_block(program), f"^{pattern}$")

    def names(self, heading: str) -> List[str]:
        """What stands in the first column of the table under a heading."""
        table = re.search(rf"^\| {heading} \|.*?\n\n", text(), flags=re.DOTALL | re.MULTILINE)
        assert table is not None
        cells = [row.split("|")[1] for row in table.group().strip().splitlines()[2:]]
        return [name for cell in cells for name in re.findall("`([^`]+)`", cell)]

    def test_every_property_and_error_is_named(self) -> None:
        self.assertEqual(sorted(self.names("Property")), sorted(inspect.signature(Probe).parameters))
        kinds = [getattr(natprobe, name) for name in natprobe.__all__ if name.endswith("Error")]
        plain = {natprobe.NatProbeError, natprobe.NatProbeOSError}
        self.assertEqual(sorted(self.names("Class")), sorted(kind.__name__ for kind in kinds if kind not in plain))


if __name__ == "__main__":
    unittest.main()
