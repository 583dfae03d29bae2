#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Enums, results and events: what they are called, how they are shown, and that nothing of them is lost."""

from __future__ import annotations

import ast
import copy
import dataclasses
import enum
import glob
import inspect
import json
import os
import pickle
import unittest
from typing import Any, List, Tuple

from support import PACKAGE_FOLDER

import natprobe
from natprobe import AddressClass, Assumption, Behaviour, Endpoint, EventKind, Evidence, Family, First, LogLevel
from natprobe import NatType, OutlookClass, OutlookRule, Probe, Purpose, Request, Result, Scope, Status, Tristate
from natprobe import _events, _results
from natprobe._library import CEvent, CResult, decode, library

# Each enum, and the function of C that names its values.
NAMED: List[Tuple[Any, str]] = [
    (Status, "np_error_name"),
    (NatType, "np_nat_type_name"),
    (Behaviour, "np_behaviour_name"),
    (EventKind, "np_event_kind_name"),
    (Request, "np_request_name"),
    (Purpose, "np_purpose_name"),
    (Family, "np_family_name"),
    (AddressClass, "np_address_class_name"),
    (LogLevel, "np_log_level_name"),
    (Tristate, "np_tristate_name"),
    (OutlookClass, "np_outlook_class_name"),
    (OutlookRule, "np_outlook_rule_name"),
    (First, "np_first_name"),
]
VALUES: List[Any] = [kind for kind, _ in NAMED]
FLAGS: List[Any] = [Evidence, Scope, Assumption]


class ValuesTest(unittest.TestCase):
    """Enums."""

    def test_labels_are_the_names_of_the_library(self) -> None:
        for kind, function in NAMED:
            for value in kind:
                self.assertEqual(value.label, decode(getattr(library(), function)(value)), repr(value))
        for bit in Evidence:
            self.assertEqual(bit.labels, (decode(library().np_evidence_name(bit)),))
        for one in Assumption:
            self.assertEqual(one.labels, (decode(library().np_assumption_name(one)),))

    def test_texts(self) -> None:
        every = Evidence((1 << 23) - 1)
        texts = (Status.NO_RESPONSE.description, NatType.CONE.advice, Behaviour.NONE.description, *every.descriptions)
        for text in texts:
            self.assertGreater(len(text), 3)
        self.assertEqual(NatType.PORT_RESTRICTED_CONE.description, "Port Restricted-cone NAT")
        self.assertEqual(len(set(every.descriptions)), 23)

    def test_evidence_has_a_sentence_for_each_label(self) -> None:
        seen = Evidence.LOSS | Evidence.ANSWERED
        known = {bit.labels: bit.descriptions for bit in (Evidence.ANSWERED, Evidence.LOSS)}
        self.assertEqual(seen.descriptions, known["answered",] + known["loss",])
        self.assertEqual(Evidence(0).descriptions, ())
        later = Evidence(1 << 30 | 1).descriptions
        self.assertEqual((len(later), later[0]), (2, Evidence.ANSWERED.descriptions[0]))

    def test_str_and_format_are_the_label(self) -> None:
        """In every version of Python, whose own enums differ."""
        for value, text in (
            (NatType.PORT_RESTRICTED_CONE, "port-restricted-cone"),
            (Status.NO_RESPONSE, "no-response"),
            (Request.III, "III"),
            (Family.IPV6, "ipv6"),
            (LogLevel.DEBUG, "debug"),
            (Evidence.LOSS | Evidence.ANSWERED, "answered loss"),
            (Evidence(0), ""),
            (Scope.MAPPING, "mapping"),
            (Scope.DEFAULT, "mapping filtering"),
            (NatType(42), "NatType(42)"),
            (Evidence(1 << 30 | 1), "answered Evidence(1073741824)"),
            (Endpoint("192.0.2.1", 7), "192.0.2.1:7"),
            (Endpoint("2001:db8::1", 7), "[2001:db8::1]:7"),
        ):
            self.assertEqual((str(value), f"{value}", f"{value:>40}"), (text, text, text.rjust(40)))
            self.assertEqual("%s" % (value,) if not isinstance(value, tuple) else text, text)

    def test_reprs_are_short(self) -> None:
        for value, text in (
            (NatType.CONE, "NatType.CONE"),
            (NatType(42), "NatType(42)"),
            (Evidence.LOSS | Evidence.ANSWERED, "Evidence.ANSWERED|Evidence.LOSS"),
            (Evidence(1 << 30 | 1), "Evidence.ANSWERED|Evidence(1073741824)"),
            (Evidence(0), "Evidence(0)"),
            (Scope.DEFAULT, "Scope.DEFAULT"),
            (Scope(131), "Scope.MAPPING|Scope.FILTERING|Scope(128)"),
            (Result(), "Result()"),
            (Result(nat_type=NatType.CONE, rtt=0.5), "Result(nat_type=NatType.CONE, rtt=0.5)"),
            (natprobe.EndedEvent(time=1.5), "EndedEvent(time=1.5)"),
        ):
            self.assertEqual(repr(value), text)
            self.assertEqual(eval(text, vars(natprobe)), value)

    def test_values_of_later_releases_survive(self) -> None:
        for kind in VALUES:
            later = kind(99)
            name = f"{kind.__name__}(99)"
            self.assertEqual((int(later), later.value, later.name, later.label, repr(later)), (99, 99, name, name, name))
            self.assertNotIn(name, kind.__members__)
            self.assertNotIn(later, list(kind))
            for way in (pickle.loads(pickle.dumps(later)), copy.deepcopy(later), kind(99), kind.from_label(name)):
                self.assertIs(way, later)
        for kind in FLAGS:
            later = kind(1 << 30 | 1)
            self.assertEqual(pickle.loads(pickle.dumps(later)), later)
            self.assertEqual(kind.from_labels(later.labels), later)

    def test_every_label_leads_back(self) -> None:
        for kind in VALUES:
            for value in kind:
                self.assertIs(kind.from_label(value.label), value)
                self.assertIs(pickle.loads(pickle.dumps(value)), value)
        every = Evidence((1 << 23) - 1)
        self.assertEqual(Evidence.from_labels(every.labels), every)

    def test_what_is_no_value_is_refused(self) -> None:
        for wrong in ("cone", 1.5, None):
            with self.assertRaises(ValueError):
                NatType(wrong)  # type: ignore[arg-type]
        for label in ("tetrahedral", "NatType(x)", "Status(1)", "CONE"):
            with self.assertRaises(ValueError):
                NatType.from_label(label)
        with self.assertRaises(ValueError):
            Evidence.from_labels(["tetrahedral"])


FULL = Result(
    status=Status.OK,
    nat_type=NatType.SYMMETRIC,
    mapping=Behaviour.ADDRESS_DEPENDENT,
    filtering=Behaviour.UNKNOWN,
    evidence=Evidence.ANSWERED | Evidence.LOSS,
    external=Endpoint("203.0.113.7", 54320),
    local=Endpoint("2001:db8::1", 7),
    server=Endpoint("2001:db8::2", 3478),
    rtt=0.012345,
    elapsed=0.5,
    packets_sent=3,
    packets_received=2,
    ports_seen=5,
    ports_kept=1,
    port_step=-2,
    external_ips=3,
    local_ips=4,
    local_class=AddressClass.SHARED,
    port_open=Tristate.YES,
    refused_takes_port=Tristate.NO,
    hairpin=Tristate.YES,
    hairpin_external=Tristate.NO,
    another_nat=Tristate.YES,
    gateway_ip="192.168.0.1",
    gateway_external_ip="100.64.0.7",
    lifetime_recreated=Tristate.NO,
    lifetime_min_s=30,
    lifetime_max_s=60,
    unanswered_min_s=15,
    unanswered_max_s=31,
    detail="why",
)


class ResultTest(unittest.TestCase):
    """np_result."""

    def test_what_c_fills_is_all_there(self) -> None:
        raw = CResult(
            error=0,
            nat_type=5,
            mapping=3,
            evidence=1 | 1 << 14,
            packets_sent=3,
            packets_received=2,
            ports_seen=5,
            ports_kept=1,
            port_step=-2,
            external_ips=3,
            local_ips=4,
            local_class=3,
            port_open=2,
            refused_takes_port=1,
            hairpin=2,
            hairpin_external=1,
            another_nat=2,
            gateway_ip=b"192.168.0.1",
            gateway_external_ip=b"100.64.0.7",
            lifetime_recreated=1,
            lifetime_min_s=30,
            lifetime_max_s=60,
            unanswered_min_s=15,
            unanswered_max_s=31,
            rtt_us=12345,
            elapsed_us=500000,
            external_ip=b"203.0.113.7",
            external_port=54320,
            local_ip=b"2001:db8::1",
            local_port=7,
            server=b"[2001:db8::2]:3478",
            detail=b"why",
        )
        self.assertEqual(_results.from_c(raw), FULL)

    def test_what_is_not_known_is_none(self) -> None:
        self.assertEqual(_results.from_c(CResult()), Result())
        self.assertEqual((Result().external, Result().local, Result().server, Result().rtt), (None,) * 4)
        self.assertEqual(_results.from_c(CResult(local_port=7)).local, Endpoint("", 7))

    def test_the_external_address_is_a_tuple(self) -> None:
        assert FULL.external is not None
        ip, port = FULL.external
        self.assertEqual((ip, port), ("203.0.113.7", 54320))
        self.assertEqual(FULL.external, ("203.0.113.7", 54320))
        self.assertEqual(FULL.external.ip, ip)

    def test_results_are_immutable_and_made_by_keyword(self) -> None:
        for field in dataclasses.fields(FULL):
            with self.assertRaises(dataclasses.FrozenInstanceError):
                setattr(FULL, field.name, None)
        self.assertEqual(FULL, pickle.loads(pickle.dumps(FULL)))
        self.assertEqual(hash(FULL), hash(copy.deepcopy(FULL)))
        with self.assertRaises(TypeError):
            Result(Status.OK)  # type: ignore[call-arg]

    def test_json_has_names(self) -> None:
        expected = {
            "status": "ok",
            "nat_type": "symmetric",
            "mapping": "address-dependent",
            "filtering": "unknown",
            "external_ip": "203.0.113.7",
            "external_port": 54320,
            "local_ip": "2001:db8::1",
            "local_port": 7,
            "server": "[2001:db8::2]:3478",
            "rtt_ms": 12.345,
            "elapsed_ms": 500.0,
            "packets_sent": 3,
            "packets_received": 2,
            "ports_seen": 5,
            "ports_kept": 1,
            "port_step": -2,
            "external_ips": 3,
            "local_ips": 4,
            "local_class": "shared",
            "port_open": "yes",
            "refused_takes_port": "no",
            "hairpin": "yes",
            "hairpin_external": "no",
            "another_nat": "yes",
            "lifetime_recreated": "no",
            "gateway_ip": "192.168.0.1",
            "gateway_external_ip": "100.64.0.7",
            "lifetime_min_s": 30,
            "lifetime_max_s": 60,
            "unanswered_min_s": 15,
            "unanswered_max_s": 31,
            "evidence": ["answered", "loss"],
            "detail": "why",
        }
        self.assertEqual(json.loads(json.dumps(FULL.to_dict())), expected)
        self.assertEqual(list(FULL.to_dict()), list(expected))

    def test_json_leads_back(self) -> None:
        later = dataclasses.replace(FULL, nat_type=NatType(42), evidence=Evidence(1 << 30), status=Status(-99))
        for result in (FULL, later, Result(), Result(local=Endpoint("", 7))):
            self.assertEqual(Result.from_dict(json.loads(json.dumps(result.to_dict()))), result)

    def test_what_a_newer_version_wrote_can_be_read(self) -> None:
        """Its names that this package does not know are not known here; a wrong status has no such value."""
        newer = {**FULL.to_dict(), "filtering": "quite-new", "evidence": ["loss", "quite-new"], "more": {}}
        read = Result.from_dict(newer)
        self.assertEqual((read.filtering, read.evidence), (Behaviour.UNKNOWN, Evidence.LOSS))
        self.assertEqual(Result.from_dict({**newer, "nat_type": "quite-new"}).nat_type, NatType.UNKNOWN)
        self.assertEqual(Result.from_dict({**newer, "local_class": "quite-new"}).local_class, AddressClass.UNKNOWN)
        with self.assertRaisesRegex(ValueError, "quite-new"):
            Result.from_dict({**newer, "status": "quite-new"})
        with self.assertRaisesRegex(KeyError, "detail"):
            Result.from_dict({key: value for key, value in newer.items() if key != "detail"})

    def test_what_an_older_version_wrote_can_be_read(self) -> None:
        counts = ("ports_seen", "ports_kept", "port_step", "external_ips", "local_ips", "local_class")
        older = Result.from_dict({key: value for key, value in FULL.to_dict().items() if key not in counts})
        self.assertEqual(older, dataclasses.replace(FULL, **{name: getattr(Result(), name) for name in counts}))


class EventTest(unittest.TestCase):
    """np_event: a class for each kind."""

    def test_each_kind_has_its_class(self) -> None:
        address = Endpoint("192.0.2.1", 3478)
        for raw, expected, form in (
            (
                CEvent(kind=1, purpose=2, request=3, copy=2, time_us=1500, remote=b"192.0.2.1:3478"),
                natprobe.SentEvent(
                    time=0.0015, purpose=Purpose.FILTERING, request=Request.III, copy=2, remote=address
                ),
                {
                    **{"time_ms": 1.5, "kind": "sent", "purpose": "filtering", "request": "III", "copy": 2},
                    **{"remote": "192.0.2.1:3478"},
                },
            ),
            (
                CEvent(kind=2, purpose=1, request=1, remote=b"192.0.2.1:3478", external=b"[2001:db8::1]:7"),
                natprobe.AnsweredEvent(
                    purpose=Purpose.MAPPING, request=Request.I, remote=address, external=Endpoint("2001:db8::1", 7)
                ),
                {
                    **{"time_ms": 0.0, "kind": "answered", "purpose": "mapping", "request": "I"},
                    **{"remote": "192.0.2.1:3478", "external": "[2001:db8::1]:7"},
                },
            ),
            (
                CEvent(kind=2, purpose=1, request=1, stun_error=420),
                natprobe.AnsweredEvent(purpose=Purpose.MAPPING, request=Request.I, stun_error=420),
                {"time_ms": 0.0, "kind": "answered", "purpose": "mapping", "request": "I", "stun_error": 420},
            ),
            (
                CEvent(kind=3, purpose=1, behaviour=2),
                natprobe.ConcludedEvent(purpose=Purpose.MAPPING, behaviour=Behaviour.ENDPOINT_INDEPENDENT),
                {"time_ms": 0.0, "kind": "concluded", "purpose": "mapping", "behaviour": "endpoint-independent"},
            ),
            (
                CEvent(kind=3, nat_type=8, remote=b"192.0.2.1:3478"),
                natprobe.EndedEvent(nat_type=NatType.CONE, remote=address),
                {
                    **{"time_ms": 0.0, "kind": "concluded", "purpose": "check", "status": "ok", "nat_type": "cone"},
                    **{"remote": "192.0.2.1:3478"},
                },
            ),
            (
                CEvent(kind=42, time_us=1000),
                natprobe.Event(kind=EventKind(42), time=0.001),
                {"time_ms": 1.0, "kind": "EventKind(42)"},
            ),
        ):
            event = _events.from_c(raw)
            self.assertEqual(event, expected)
            self.assertIs(type(event), type(expected))
            self.assertEqual(pickle.loads(pickle.dumps(event)), event)
            self.assertEqual(json.loads(json.dumps(event.to_dict())), form)
            with self.assertRaises(dataclasses.FrozenInstanceError):
                event.time = 2.0  # type: ignore[misc]


class DocumentationTest(unittest.TestCase):
    """Every public thing has its docstring, members and fields too."""

    def test_every_public_name_is_documented(self) -> None:
        for name in natprobe.__all__:
            value = getattr(natprobe, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                self.assertTrue(inspect.getdoc(value), name)
                self.assertEqual(value.__module__, "natprobe")
        for name, value in vars(Probe).items():
            self.assertTrue(name.startswith("_") or inspect.getdoc(value), name)

    def test_every_member_and_field_is_documented(self) -> None:
        checked = 0
        for path in glob.glob(os.path.join(PACKAGE_FOLDER, "natprobe", "*.py")):
            with open(path) as file:
                tree = ast.parse(file.read())
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef) and hasattr(natprobe, node.name):
                    checked += self.check_members(node)
        self.assertGreater(checked, 80)

    def check_members(self, node: ast.ClassDef) -> int:
        owner = getattr(natprobe, node.name)
        is_plain = issubclass(owner, enum.Enum) or dataclasses.is_dataclass(owner) or issubclass(owner, tuple)
        checked = 0
        for this, following in zip(node.body, [*node.body[1:], None]):
            name = getattr(getattr(this, "target", None) or getattr(this, "targets", [None])[0], "id", "_")
            if is_plain and not name.startswith("_"):
                documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
                self.assertTrue(documented, f"{node.name}.{name}")
                checked += 1
        return checked

    def test_pytest_collects_nothing_of_the_package(self) -> None:
        self.assertEqual([name for name in natprobe.__all__ if name.lower().startswith("test")], [])


if __name__ == "__main__":
    unittest.main()
