#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Survey: with for and with async for, refused, cancelled and freed."""

from __future__ import annotations

import asyncio
import unittest
from typing import List

from support import TestCase, good_probe

from natprobe import (
    Conduct,
    InvalidArgumentError,
    NatType,
    NotOpenError,
    Probe,
    ProbeClosedError,
    Status,
    Survey,
    SurveyReport,
    Tristate,
)

NOT_OPEN = "[2001:db8::1]:3478"  # reported at once: the check proves IPv4 alone


class TestSurvey(TestCase):
    def test_for(self) -> None:
        with Survey(good_probe(self.good), [self.good.name, self.good.name, "127.0.0.1:9"], skip=["127.0.0.1:9"]) as survey:
            self.assertEqual((survey.status().servers, survey.status().ipv4_open), (1, Tristate.UNKNOWN))
            (report,) = list(survey)
            self.assertEqual((report.server, report.detail, report.status), (self.good.name, "", Status.OK))
            self.assertTrue(report.is_capable)
            self.assertEqual((report.change_both, report.change_port), (Conduct.HONOURED, Conduct.HONOURED))
            self.assertEqual((report.number, report.addresses, report.packets_sent), (1, 1, 12))
            assert report.rtt is not None
            self.assertGreater(report.rtt, 0)
            status = survey.status()
            self.assertEqual((status.done, status.capable, status.ipv4_open), (1, 1, Tristate.YES))
            self.assertEqual(status.check.nat_type, NatType.OPEN_INTERNET)

    def test_async_for(self) -> None:
        async def all_of() -> List[SurveyReport]:
            async with Survey(good_probe(self.good), [NOT_OPEN]) as survey:
                return [report async for report in survey]

        (report,) = asyncio.run(all_of())
        self.assertEqual((report.server, report.status), (NOT_OPEN, Status.NOT_OPEN))

    def test_refused(self) -> None:
        with Survey(Probe(servers=[self.silent.name], timeout=2, response_timeout=0.3), [NOT_OPEN]) as survey:
            with self.assertRaisesRegex(NotOpenError, "this host is not proven open"):
                next(survey)
            self.assertEqual(list(survey), [])

    def test_cancel(self) -> None:
        with Survey(good_probe(self.good), [self.good.name, NOT_OPEN]) as survey:
            next(survey)
            survey.cancel()
            self.assertEqual(list(survey), [])

    def test_arguments(self) -> None:
        with self.assertRaisesRegex(InvalidArgumentError, "not a server: 'a b'"):
            Survey(good_probe(self.good), ["a b"])
        for servers, skip in ((["127.0.0.1:9\0"], []), ([], ["127.0.0.1:9\0"])):
            with self.assertRaisesRegex(InvalidArgumentError, "contains a NUL"):
                Survey(good_probe(self.good), servers, skip=skip)
        with self.assertRaisesRegex(TypeError, "several str"):
            Survey(good_probe(self.good), self.good.name)
        with self.assertRaisesRegex(TypeError, "must be str"):
            Survey(good_probe(self.good), [9])  # type: ignore[list-item]
        with Survey(good_probe(self.good), []) as survey, self.assertRaises(InvalidArgumentError):
            next(survey)
        with self.assertRaises(ProbeClosedError):
            next(survey)


if __name__ == "__main__":
    unittest.main()
