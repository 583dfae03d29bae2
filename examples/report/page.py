# SPDX-License-Identifier: MIT
"""The page of a run. The same run gives the same bytes.

Each figure of the run stands in an element whose attribute data-from says where in the run it comes from, so that a
program can compare the two.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import pathlib
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

import jinja2
from markupsafe import Markup

import passage
import picture
from natprobe import (
    Behaviour,
    Endpoint,
    Evidence,
    Family,
    First,
    InvalidArgumentError,
    NatType,
    Outlook,
    OutlookClass,
    Profile,
    Result,
    Status,
    Tristate,
    outlook,
)
from record import Run, printable

TEMPLATES = pathlib.Path(__file__).resolve().parent / "templates"
GRADES = {"Open": "good", "Moderate": "good", "Strict": "bad"}
ANSWERS = {Tristate.YES: "yes", Tristate.NO: "no"}


@functools.lru_cache(maxsize=None)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )


def render(run: Run) -> str:
    """The page, as text of HTML."""
    css = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return _environment().get_template("page.html").render(css=Markup(css), css_digest=digest, **view(run))


def view(run: Run) -> Dict[str, Any]:
    """What the template shows."""
    result = Result.from_dict(run["result"])
    endpoints = passage.endpoints(run)
    profile = Profile.from_result(result, run["measured_at"])
    return {
        "run": run,
        "result": result,
        "has_verdict": result.status == Status.OK,
        "heading": heading(result),
        "mood": GRADES.get(result.nat_type.grade, "doubt"),
        "measured_iso": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(run["measured_at"])),
        "measured": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(run["measured_at"])),
        "facts": facts(run, result),
        "more": more_facts(run, result),
        "endpoints": endpoints,
        "pictures": [
            drawn for layout in (picture.WIDE, picture.NARROW) for drawn in picture.draw(run, endpoints, layout)
        ],
        "evidence": list(zip(result.evidence.labels, result.evidence.descriptions)),
        "unproven": unproven(result),
        "profile": line_of(profile),
        "peers": peers(profile, run["measured_at"]),
        "timeline": timeline(run),
    }


def heading(result: Result) -> str:
    """The verdict in a few words."""
    if result.nat_type == NatType.UNKNOWN and result.status != Status.OK:
        return "No verdict"
    return result.nat_type.description


# ---- Figures ----------------------------------------------------------------------------------------------------------


@dataclass
class Figure:
    """A value, and where in the run it comes from."""

    text: str
    source: str


@dataclass
class Fact:
    """A line of a table: a term, and words and figures that describe it."""

    term: str
    parts: List[Any]
    note: str = ""


def milliseconds(value: float) -> str:
    """With as many decimals as make sense."""
    return f"{value:.3f} ms" if value < 10 else f"{value:.1f} ms"


def facts(run: Run, result: Result) -> List[Fact]:
    """The verdict and the addresses."""
    values = run["result"]
    rows = [
        Fact("NAT type", [Figure(values["nat_type"], "result.nat_type")]),
        Fact("In games", [result.nat_type.grade]),
        Fact("Mapping", [result.mapping.description], "how the NAT chooses external ports"),
        Fact("Filtering", [result.filtering.description], "whom the NAT lets in"),
    ]
    for term, which in (("External address", "external"), ("Local address", "local")):
        text = picture.endpoint_text(run, which)
        rows.append(Fact(term, [Figure(text, f"result.{which}") if text else "not known"]))
    server = values["server"]
    rows.append(Fact("Server", [Figure(server, "result.server") if server else "none"], "on which the verdict rests"))
    return rows


def more_facts(run: Run, result: Result) -> List[Fact]:
    """What was counted, and what optional tests found."""
    values = run["result"]

    def figure(name: str, text: Optional[str] = None) -> Figure:
        return Figure(str(values[name]) if text is None else text, f"result.{name}")

    rows = [
        Fact("Status", [figure("status")], result.status.description),
        Fact("Mapping", [figure("mapping")]),
        Fact("Filtering", [figure("filtering")]),
        Fact(
            "Round trip",
            ["not known" if values["rtt_ms"] is None else figure("rtt_ms", milliseconds(values["rtt_ms"]))],
        ),
        Fact("Time of the check", [figure("elapsed_ms", milliseconds(values["elapsed_ms"]))]),
        Fact("Datagrams", [figure("packets_sent"), "sent,", figure("packets_received"), "received"]),
        Fact("Local port kept", ["in", figure("ports_kept"), "of", figure("ports_seen"), "mappings seen"]),
        Fact("Step between external ports", ["none" if values["port_step"] is None else figure("port_step")]),
        Fact("External IP addresses", [figure("external_ips")]),
        Fact("Local IP addresses", [figure("local_ips")]),
        Fact("Network of the local address", [figure("local_class")]),
    ]
    return rows + [Fact(term, [figure(name)]) for name, term in OPTIONAL.items() if name in values]


OPTIONAL = {
    "port_open": "Source port open to strangers",
    "refused_takes_port": "A refused datagram takes the port",
    "hairpin": "Datagrams to the own external address arrive",
    "hairpin_external": "They seem to come from the external address",
    "another_nat": "Another NAT behind the gateway",
    "gateway_ip": "Gateway",
    "gateway_external_ip": "External address that the gateway names",
    "lifetime_recreated": "A mapping that has gone is made again the same",
    "lifetime_min_s": "An answered mapping lives idle at least, seconds",
    "lifetime_max_s": "An answered mapping lives idle less than, seconds",
    "unanswered_min_s": "An unanswered mapping lives idle at least, seconds",
    "unanswered_max_s": "An unanswered mapping lives idle less than, seconds",
}


def unproven(result: Result) -> List[str]:
    """What the evidence leaves open."""
    if result.nat_type == NatType.UDP_BLOCKED:
        return ["No server answered. The servers may be down, all of them."]
    found = []
    if result.mapping == Behaviour.UNKNOWN:
        found.append("The mapping is not known.")
    elif Evidence.MAPPING_PROVEN not in result.evidence:
        found.append("The mapping is not proven.")
    if result.filtering == Behaviour.UNKNOWN:
        found.append("The filtering is not known.")
    elif Evidence.FILTERING_PROVEN not in result.evidence:
        found.append("The filtering was measured, but is not proven.")
    return found


# ---- Peers ------------------------------------------------------------------------------------------------------------

NONE, EI = Behaviour.NONE, Behaviour.ENDPOINT_INDEPENDENT
AD, APD = Behaviour.ADDRESS_DEPENDENT, Behaviour.ADDRESS_AND_PORT_DEPENDENT
# Mapping, filtering, external IP addresses.
PEERS: List[Tuple[NatType, str, Behaviour, Behaviour, int]] = [
    (NatType.OPEN_INTERNET, "", NONE, EI, 1),
    (NatType.SYMMETRIC_UDP_FIREWALL, "", NONE, APD, 1),
    (NatType.FULL_CONE, "", EI, EI, 1),
    (NatType.RESTRICTED_CONE, "", EI, AD, 1),
    (NatType.PORT_RESTRICTED_CONE, "", EI, APD, 1),
    (NatType.SYMMETRIC, "with one external IP address", APD, APD, 1),
    (NatType.SYMMETRIC, "with several external IP addresses", APD, APD, 2),
    (NatType.UDP_BLOCKED, "", Behaviour.UNKNOWN, Behaviour.UNKNOWN, 0),
]
# Addresses for documentation: no peer has them. The second of a family is for a host that has the first.
PEER_IPS = {Family.IPV4: ("192.0.2.1", "192.0.2.2"), Family.IPV6: ("2001:db8::1", "2001:db8::2")}
ANSWER_OF = {True: ("good", "Yes"), False: ("bad", "No"), None: ("doubt", "Not sure")}


@dataclass
class Peer:
    """A kind of peer, and whether it will connect."""

    name: str
    line: str
    outlook: Outlook
    mood: str
    answer: str
    hints: List[str]


def peers(ours: Profile, now: int) -> List[Peer]:
    """The outlook for each kind, if its profile is of the same moment."""
    return [_peer(ours, now, *kind) for kind in PEERS]


def _peer(
    ours: Profile, now: int, kind: NatType, more: str, mapping: Behaviour, filtering: Behaviour, ips: int
) -> Peer:
    family = ours.family if ours.family in PEER_IPS else Family.IPV4
    first, second = PEER_IPS[family]
    ip = second if ours.external is not None and ours.external.ip == first else first
    is_blocked = kind == NatType.UDP_BLOCKED
    theirs = Profile(
        mapping=mapping,
        filtering=filtering,
        filtering_proven=not is_blocked,
        family=family,
        udp_blocked=is_blocked,
        external=None if is_blocked else Endpoint(ip, 40000),
        external_ips=ips,
        measured_at=now,
    )
    found = outlook(ours, theirs, now)
    mood, answer = ANSWER_OF[found.connects]
    name = f"{kind.description}, {more}" if more else kind.description
    return Peer(name, str(theirs), found, mood, answer, _hints(found))


def _hints(found: Outlook) -> List[str]:
    """Why, who begins, and what that rests on."""
    hints = [found.rule.description]
    if (
        found.outlook in (OutlookClass.PUNCH, OutlookClass.PUNCH_LEARN, OutlookClass.DIRECT)
        and found.first != First.ANY
    ):
        hints.append(found.first.description)
    return hints + [f"This assumes: {text}" for text in found.assumes.descriptions]


def line_of(profile: Profile) -> str:
    """The line for a peer; without the external address if a server named one that no peer can send to."""
    try:
        Profile.parse(str(profile))
        return str(profile)
    except InvalidArgumentError:
        return str(profile.without_address())


# ---- Timeline ---------------------------------------------------------------------------------------------------------


@dataclass
class Moment:
    """A line of the timeline."""

    index: int
    kind: str
    arrow: str
    time: str
    at: str
    """Its place between 0 and 100."""
    words: str
    event: Dict[str, Any]


ARROWS = {"sent": "→", "answered": "←", "concluded": "●"}
PURPOSES = {
    "mapping": "to learn the external address",
    "filtering": "to test the filtering",
    "control": "to test the server, the path being open",
    "optional": "for an optional test",
}


def timeline(run: Run) -> List[Moment]:
    """Every datagram and every conclusion."""
    shown = [(index, event) for index, event in enumerate(run["events"]) if event["kind"] in ARROWS]
    whole = max([event["time_ms"] for _, event in shown], default=0) or 1
    return [
        Moment(
            index,
            event["kind"],
            ARROWS[event["kind"]],
            f"{event['time_ms']:.3f}",
            f"{100 * event['time_ms'] / whole:.2f}",
            _words(event),
            event,
        )
        for index, event in shown
    ]


def _words(event: Dict[str, Any]) -> str:
    if event["kind"] == "concluded":
        return {
            "check": "The check is over",
            "mapping": "The mapping is settled",
            "filtering": "The filtering is settled",
        }.get(event.get("purpose", ""), "Settled")
    return PURPOSES.get(event["purpose"], "")
