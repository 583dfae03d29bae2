#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Finding the library, and refusing one that does not fit."""

from __future__ import annotations

import json
import os
import re
import types
import unittest
from typing import Any

from support import ROOT, only_posix, run_python

import driver
import natprobe
from natprobe import _library


class LibraryTest(unittest.TestCase):
    """Which library is loaded, and when."""

    def import_with(self, library: str) -> str:
        process = run_python("import natprobe; print(natprobe.version())", NATPROBE_LIBRARY=library)
        out, err = process.communicate()
        return out.strip() or err.strip().splitlines()[-1]

    @only_posix
    def test_the_variable_names_the_file(self) -> None:
        natprobe.version()
        with open("/proc/self/maps") as maps:
            path = next(line.split()[-1] for line in maps if "libnatprobe.so" in line)
        self.assertEqual(self.import_with(path), natprobe.version())

    def test_a_missing_library_is_explained(self) -> None:
        message = self.import_with("/nonexistent/libnatprobe.so")
        self.assertRegex(message, r"^ImportError: .*nonexistent[/\\]+libnatprobe.so.*NATPROBE_LIBRARY")

    @only_posix
    def test_another_library_is_refused(self) -> None:
        self.assertRegex(self.import_with("libc.so.6"), "^ImportError: libc.so.6 is not a libnatprobe")

    def test_it_is_loaded_on_first_use(self) -> None:
        """Values, results and errors need none: so they can be unpickled and shown anywhere."""
        process = run_python(
            """
            import natprobe, os, pickle
            from natprobe import proxystore
            result = natprobe.Result(nat_type=natprobe.NatType.CONE, evidence=natprobe.Evidence.LOSS)
            print(pickle.loads(pickle.dumps(result)), result.nat_type, result.to_dict()["evidence"])
            print(natprobe.BusyError("busy", natprobe.Status.BUSY))
            try:
                natprobe.Probe()
            except ImportError:
                del os.environ["NATPROBE_LIBRARY"]
            natprobe.Probe().close()
            """,
            NATPROBE_LIBRARY="/nonexistent/libnatprobe.so",
        )
        out, err = process.communicate()
        shown = "Result(nat_type=NatType.CONE, evidence=Evidence.LOSS) cone ['loss']\nbusy\n"
        self.assertEqual((out, err), (shown, ""))

    def fake(self, **more: int) -> Any:
        values = {
            "np_version_number": _library.WRITTEN_FOR,
            "np_result_size": _library.ctypes.sizeof(_library.CResult),
            "np_event_size": _library.ctypes.sizeof(_library.CEvent),
            "np_profile_size": _library.ctypes.sizeof(_library.CProfile),
            "np_outlook_result_size": _library.ctypes.sizeof(_library.COutlook),
            "np_watch_status_size": _library.ctypes.sizeof(_library.CWatchStatus),
            "np_survey_report_size": _library.ctypes.sizeof(_library.CSurveyReport),
            "np_survey_status_size": _library.ctypes.sizeof(_library.CSurveyStatus),
            **more,
        }
        functions = {name: (lambda *args, name=name: values.get(name, 0)) for name in _library.PROTOTYPES}
        return types.SimpleNamespace(_name="fake", **functions)

    def test_what_fits_is_taken(self) -> None:
        for version in (_library.WRITTEN_FOR, _library.WRITTEN_FOR + 1, 0x010000):
            _library.check(self.fake(np_version_number=version))

    def test_an_old_release_is_refused(self) -> None:
        with self.assertRaisesRegex(ImportError, r"0\.1\.9 is too old: natprobe needs 0\.\d\.0"):
            _library.check(self.fake(np_version_number=0x000109))
        with self.assertRaisesRegex(ImportError, "too old"):
            _library.check(self.fake(np_version_number=_library.WRITTEN_FOR - 1))

    def test_other_sizes_are_refused(self) -> None:
        for name in ("np_result_size", "np_event_size", "np_profile_size", "np_outlook_result_size", "np_watch_status_size",
                     "np_survey_report_size", "np_survey_status_size"):
            with self.assertRaisesRegex(ImportError, "has 8 bytes"):
                _library.check(self.fake(**{name: 8}))

    def test_a_missing_function_is_named(self) -> None:
        library = self.fake()
        del library.np_probe_fd
        with self.assertRaisesRegex(ImportError, "np_probe_fd"):
            _library.check(library)

    def test_every_function_of_the_header_is_declared(self) -> None:
        with open(os.path.join(ROOT, "include", "natprobe", "natprobe.h")) as file:
            header = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
        found = re.findall(r"^NP_API [^;(]*?\b(np_\w+)\(([^;]*)\);", header, flags=re.MULTILINE)
        counts = {name: 0 if arguments == "void" else arguments.count(",") + 1 for name, arguments in found}
        self.assertEqual(counts, {name: len(types) for name, (_, types) in _library.PROTOTYPES.items()})

    def test_every_value_is_that_of_the_header(self) -> None:
        with open(os.path.join(ROOT, "docs", "enums.json")) as file:
            recorded = json.load(file)
        self.assertEqual(driver.constants(), {k: v for group in recorded.values() for k, v in group.items()})

    def test_the_version(self) -> None:
        number = natprobe.version_number()
        self.assertEqual(natprobe.version(), f"{number >> 16}.{number >> 8 & 255}.{number & 255}")
        self.assertEqual(natprobe.__version__, natprobe.version())  # of the tree that both are in


if __name__ == "__main__":
    unittest.main()
