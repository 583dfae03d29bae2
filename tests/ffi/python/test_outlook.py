#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Profiles there and back, and what is made of two of them."""

from __future__ import annotations

import unittest

from natprobe import Assumption, Behaviour, Endpoint, Evidence, Family, First, InvalidArgumentError, NatType, Outlook
from natprobe import OutlookClass, OutlookRule, Profile, Result, Status, Tristate, outlook

NOW = 1795651200
LINE = "np1 m=ei f=ad fp=1 v=4 x=203.0.113.7:54320 ips=1 pk=1/3 ps=-2 trap=0 t=1795651200"
CONE = Profile.parse(LINE)
SYMMETRIC = Profile.parse("np1 m=apd f=apd fp=0 x=198.51.100.2 ips=1 t=1795651200")


class ProfileTest(unittest.TestCase):
    """Profiles."""

    def test_there_and_back(self) -> None:
        self.assertEqual(
            CONE,
            Profile(
                mapping=Behaviour.ENDPOINT_INDEPENDENT,
                filtering=Behaviour.ADDRESS_DEPENDENT,
                filtering_proven=True,
                family=Family.IPV4,
                external=Endpoint("203.0.113.7", 54320),
                refused_takes_port=Tristate.NO,
                external_ips=1,
                ports_seen=3,
                ports_kept=1,
                port_step=-2,
                measured_at=NOW,
            ),
        )
        self.assertEqual(str(CONE), LINE)
        self.assertEqual(SYMMETRIC.external, Endpoint("198.51.100.2", 0))
        self.assertEqual(str(CONE.without_address()), LINE.replace(" x=203.0.113.7:54320", ""))
        self.assertEqual(repr(Profile(udp_blocked=True)), "Profile(udp_blocked=True)")

    def test_from_result(self) -> None:
        result = Result(
            nat_type=NatType.RESTRICTED_CONE,
            mapping=Behaviour.ENDPOINT_INDEPENDENT,
            filtering=Behaviour.ADDRESS_DEPENDENT,
            evidence=Evidence.FILTERING_PROVEN,
            external=Endpoint("203.0.113.7", 54320),
            local=Endpoint("192.168.1.2", 5000),
            ports_seen=3,
            ports_kept=1,
            port_step=-2,
            external_ips=1,
        )
        self.assertEqual(str(Profile.from_result(result, NOW)), LINE.replace(" trap=0", ""))
        blocked = Result(status=Status.NO_RESPONSE, nat_type=NatType.UDP_BLOCKED)
        self.assertTrue(Profile.from_result(blocked).udp_blocked)
        self.assertGreater(Profile.from_result(blocked).measured_at or 0, NOW // 2)

    def test_refused(self) -> None:
        for line, reason in (
            ("", "begin with"),
            ("np2", "version"),
            ("np1 m=x", "m is"),
            ("np1\0m=ei", "printable"),
            ("np1 z=\u00e4", "printable"),
            ("np1 z=" + "x" * 200, "longer"),
        ):
            with self.assertRaisesRegex(InvalidArgumentError, reason):
                Profile.parse(line)
        for ip, reason in (
            ("nowhere", "nowhere"),
            ("203.0.113.7\0", "NUL"),
            ("\udc80", "no address"),
            ("1" * 99, "not an address"),
        ):
            with self.assertRaisesRegex(InvalidArgumentError, reason):
                str(Profile(external=Endpoint(ip, 1)))
        for ip, reason in (("203.0.113.7\0", "NUL"), ("1" * 99, "not an address")):
            with self.assertRaisesRegex(InvalidArgumentError, reason):
                Profile.from_result(Result(external=Endpoint(ip, 1)))


class OutlookTest(unittest.TestCase):
    """Outlooks."""

    def test_learnt(self) -> None:
        expected = Outlook(
            outlook=OutlookClass.PUNCH_LEARN,
            best=OutlookClass.PUNCH_LEARN,
            worst=OutlookClass.PUNCH_LEARN,
            first=First.BOTH,
            assumes=Assumption.ONE_IP | Assumption.ANSWER_TO_SOURCE,
            rule=OutlookRule.PORT_LEARNT,
        )
        self.assertEqual(outlook(CONE, SYMMETRIC, NOW), expected)
        self.assertEqual(outlook(SYMMETRIC, CONE, NOW), expected)
        self.assertIn("fresh", outlook(CONE, SYMMETRIC).assumes.labels)
        self.assertIs(expected.connects, True)

    def test_whether_they_connect(self) -> None:
        for theirs, expected in (("np1 b=1", False), ("np1 m=ei f=ei", None), (LINE, None), ("np1 m=ei f=ei x=192.0.2.1", True)):
            self.assertIs(outlook(CONE, Profile.parse(theirs)).connects, expected, theirs)

    def test_json(self) -> None:
        seen = outlook(CONE, Profile.parse("np1 b=1"), NOW).to_dict()
        self.assertEqual((seen["outlook"], seen["best"], seen["rule"]), ("relay", "relay", "udp-blocked"))
        self.assertEqual((seen["first"], seen["assumes"]), ("any", ["fresh"]))

    def test_texts(self) -> None:
        for value in (*OutlookClass, *OutlookRule, *First):
            self.assertGreater(len(value.description), 10)
        self.assertEqual(len(set(Assumption(31).descriptions)), 5)
        self.assertEqual([kind.grade for kind in NatType][:4], ["Unknown", "Open", "Open", "Moderate"])


if __name__ == "__main__":
    unittest.main()
