# SPDX-License-Identifier: MIT
"""What passed between this host and each endpoint of a server, and what did not: counted from the events of a run."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Set, Tuple

from record import Run

# How a lane is drawn, and what its outcome is called.
PASSED, SILENT, BLOCKED, ASKED, CAME, STOPPED, ODD = "passed", "silent", "blocked", "asked", "came", "stopped", "odd"
# The filterings that keep out what request II or III asks for.
KEEPS_OUT: Dict[str, Set[str]] = {
    "II": {"address-dependent", "address-and-port-dependent", "endpoint-dependent"},
    "III": {"address-and-port-dependent"},
}
GROUPS = {
    "plain": "Request I",
    "II": "Request II",
    "III": "Request III",
    "control-II": "Control II",
    "control-III": "Control III",
    "optional": "Optional test",
}


def group_of(event: Dict[str, Any]) -> str:
    """What a request or an answer is counted as."""
    if event["purpose"] == "optional":
        return "optional"
    if event["request"] not in KEEPS_OUT:
        return "plain"
    return f"control-{event['request']}" if event["purpose"] == "control" else str(event["request"])


@dataclasses.dataclass
class Lane:
    """The requests of one group to an endpoint, and the answers from it."""

    group: str
    remote: str
    sent: int = 0
    answered: int = 0
    errors: Set[int] = dataclasses.field(default_factory=set)
    state: str = SILENT
    outcome: str = ""

    @property
    def title(self) -> str:
        """The name of the group."""
        return GROUPS[self.group]

    @property
    def request(self) -> str:
        """I, II or III."""
        return self.group.rpartition("-")[2]


@dataclasses.dataclass
class Endpoint:
    """An address and port that was sent to, or that sent."""

    remote: str
    index: int
    """The first event that names it."""
    lanes: List[Lane] = dataclasses.field(default_factory=list)
    seen: Dict[str, int] = dataclasses.field(default_factory=dict)
    """The external addresses of the source socket that it saw, each with the first event that has it."""


def endpoints(run: Run) -> List[Endpoint]:
    """In the order of the events."""
    found: Dict[str, Endpoint] = {}
    lanes: Dict[Tuple[str, str], Lane] = {}
    for index, event in enumerate(run["events"]):
        if event["kind"] not in ("sent", "answered"):
            continue
        remote, group = event.get("remote", ""), group_of(event)
        endpoint = found.setdefault(remote, Endpoint(remote, index))
        if (remote, group) not in lanes:
            lanes[remote, group] = Lane(group, remote)
            endpoint.lanes.append(lanes[remote, group])
        _count(lanes[remote, group], event)
        if event["kind"] == "answered" and event["purpose"] == "mapping" and "external" in event:
            endpoint.seen.setdefault(event["external"], index)
    for lane in lanes.values():
        _judge(lane, lanes, run)
    for endpoint in found.values():
        endpoint.lanes.sort(key=lambda lane: list(GROUPS).index(lane.group))
    return list(found.values())


def _count(lane: Lane, event: Dict[str, Any]) -> None:
    if event["kind"] == "sent":
        lane.sent += 1
        return
    lane.answered += 1
    if "stun_error" in event:
        lane.errors.add(event["stun_error"])


def _judge(lane: Lane, lanes: Dict[Tuple[str, str], Lane], run: Run) -> None:
    """Sets the state and the outcome."""
    if lane.group in ("plain", "optional"):
        lane.state, lane.outcome = _judge_plain(lane, run)
    elif lane.sent == 0:
        opened = lane.group.startswith("control")
        lane.state, lane.outcome = CAME, (
            "let in, once the path was open" if opened else "let in, though nothing was sent here"
        )
    elif lane.errors:
        lane.state, lane.outcome = ODD, "refused with an error"
    elif lane.answered:
        lane.state, lane.outcome = ODD, "answered from here: the server ignores what it was asked"
    elif any(other.answered and not other.errors for other in lanes.values() if other.group == lane.group):
        lane.state, lane.outcome = ASKED, "an answer came from another endpoint"
    elif (
        lane.group in KEEPS_OUT and run["result"]["filtering"] in KEEPS_OUT[lane.group] and _is_judged(lane.remote, run)
    ):
        lane.state, lane.outcome = STOPPED, "the answer was kept out"
    else:
        lane.state, lane.outcome = _silence(run)


def _judge_plain(lane: Lane, run: Run) -> Tuple[str, str]:
    if lane.errors:
        return ODD, "answered with an error"
    if lane.answered:
        return PASSED, "answered" if lane.sent else "came, though nothing was sent here"
    return _silence(run)


def _silence(run: Run) -> Tuple[str, str]:
    if run["result"]["nat_type"] == "udp-blocked":
        return BLOCKED, "nothing came back"
    return SILENT, "no answer came"


def _is_judged(remote: str, run: Run) -> bool:
    """Whether the filtering rests on this endpoint."""
    return any(
        event["kind"] == "concluded" and event.get("purpose") == "filtering" and event.get("remote") == remote
        for event in run["events"]
    )
