# SPDX-License-Identifier: MIT
"""Where the parts of the picture stand: this host, the NAT as a wall, and the endpoints of the servers behind it.

There are two layouts, for wide and for narrow windows. A picture that would not fit on one printed page is several.
"""

from __future__ import annotations

import dataclasses
from typing import List, Optional, Tuple

import passage
from record import Run, printable

TALLEST = 780
LANE = 36
GAP = 14
LINE = 15


@dataclasses.dataclass(frozen=True)
class Layout:
    """Distances in one of the layouts, in units of about a pixel."""

    name: str
    width: int
    host: Tuple[int, int, int]  # x, y, width
    nat: Tuple[int, int, int]
    trunk: int  # the x from which lanes begin
    wall: Tuple[int, int]  # x and width
    text: int  # the x of a lane's text
    end: int  # the x where lanes end
    box: Tuple[int, int]  # x and width of an endpoint's box
    line: int  # characters in a line of a box
    is_under: bool  # lanes are under the box, not beside it


WIDE = Layout("wide", 760, (0, 0, 200), (222, 0, 262), 100, (222, 22), 258, 514, (514, 246), 30, False)
NARROW = Layout("narrow", 340, (0, 0, 340), (28, 72, 312), 10, (28, 18), 60, 324, (60, 280), 38, True)


@dataclasses.dataclass
class Text:
    """A text in lines that fit."""

    lines: List[str]
    source: Optional[str] = None
    """Where in the run it comes from."""


@dataclasses.dataclass
class PlacedLane:
    """A lane at its height."""

    y: int
    lane: passage.Lane
    seen: List[Tuple[str, int]]
    """Ports of the external addresses seen, with their events."""


@dataclasses.dataclass
class PlacedEndpoint:
    """An endpoint at its height."""

    y: int
    height: int
    text: Text
    lanes: List[PlacedLane]


@dataclasses.dataclass
class Picture:
    """One picture: all that a template has to draw."""

    layout: Layout
    number: int
    host: Text
    nat_name: str
    nat: Text
    head: int  # height of the boxes of host and NAT
    height: int
    endpoints: List[PlacedEndpoint]


def fold(text: str, size: int) -> List[str]:
    """The text in lines, broken behind a colon or a dot if one is near."""
    text, lines = printable(text), []
    while len(text) > size:
        at = max(text.rfind(mark, size // 2, size) for mark in ":.") + 1 or size
        lines.append(text[:at])
        text = text[at:]
    return [*lines, text]


def nat_name(run: Run) -> str:
    """What stands on the wall."""
    result = run["result"]
    if result["nat_type"] == "udp-blocked":
        return "UDP blocked"
    if result["mapping"] == "unknown":
        return "NAT or none: not known"
    if result["mapping"] != "none":
        return "NAT"
    return {"endpoint-independent": "No NAT", "unknown": "No NAT; filter not known"}.get(
        result["filtering"], "Firewall, no NAT"
    )


def draw(run: Run, endpoints: List[passage.Endpoint], layout: Layout) -> List[Picture]:
    """One picture, or several."""
    pictures: List[Picture] = []
    for endpoint in endpoints:
        placed = _place(endpoint, layout)
        if not pictures or pictures[-1].height + placed.height > TALLEST:
            pictures.append(_empty(run, layout, len(pictures)))
        _add(pictures[-1], placed)
    return pictures or [_empty(run, layout, 0)]


def _empty(run: Run, layout: Layout, number: int) -> Picture:
    host = _end(run, "local", layout.line - 6 if layout is WIDE else layout.line)
    nat = _end(run, "external", layout.line)
    head = 30 + LINE * max(len(host.lines), len(nat.lines))
    if layout.is_under:  # the boxes are one above the other
        layout = dataclasses.replace(layout, nat=(layout.nat[0], head + GAP, layout.nat[2]))
    return Picture(layout, number, host, nat_name(run), nat, head, layout.nat[1] + head + GAP + 6, [])


def _end(run: Run, which: str, size: int) -> Text:
    text = endpoint_text(run, which)
    return Text(fold(text, size), f"result.{which}") if text else Text(["address not known"])


def endpoint_text(run: Run, which: str) -> str:
    """The local or the external address with its port; empty if it is not known."""
    ip, port = run["result"][f"{which}_ip"], run["result"][f"{which}_port"]
    if not ip:
        return f"port {port}" if port else ""
    shown = f"[{ip}]" if ":" in ip and port else ip
    return f"{shown}:{port}" if port else str(ip)


def _place(endpoint: passage.Endpoint, layout: Layout) -> PlacedEndpoint:
    """At the height 0."""
    text = Text(fold(endpoint.remote, layout.line), f"events.{endpoint.index}.remote")
    box = 12 + LINE * len(text.lines)
    seen = [(_port(external), index) for external, index in endpoint.seen.items() if _port(external)]
    lanes = []
    y = box if layout.is_under else 0
    for lane in endpoint.lanes:
        lanes.append(PlacedLane(y + 22, lane, seen[:3] if lane.group == "plain" else []))
        y += LANE + (8 if lanes[-1].seen else 0)
    return PlacedEndpoint(0, max(box, y + (4 if layout.is_under else 0)), text, lanes)


def _port(external: str) -> str:
    return external.rpartition(":")[2]


def _add(picture: Picture, placed: PlacedEndpoint) -> None:
    placed.y = picture.height
    for lane in placed.lanes:
        lane.y += placed.y
    picture.endpoints.append(placed)
    picture.height += placed.height + GAP
