# SPDX-License-Identifier: MIT
"""What happens during a check: one class for each kind of event."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, Optional

from . import _endpoint
from ._endpoint import Endpoint
from ._library import CEvent, decode
from ._results import short_repr
from ._values import Behaviour, EventKind, NatType, Purpose, Request, Scope, Status


@dataclass(frozen=True, kw_only=True, repr=False)
class Event:
    """Something that happened during a check (np_event): an instance of one of the classes below.

    An instance of this class itself is an event of a kind that a newer library has added.
    """

    kind: EventKind
    """What it reports."""
    time: float = 0.0
    """Seconds since the check began."""

    __repr__ = short_repr

    def to_dict(self) -> Dict[str, Any]:
        """The event for JSON: names in place of numbers, and without what is not known."""
        values: Dict[str, Any] = {"time_ms": round(self.time * 1000, 3), "kind": self.kind.label}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and field.name not in ("time", "kind"):
                values[field.name] = value if type(value) is int else str(value)
        return values


@dataclass(frozen=True, kw_only=True, repr=False)
class SentEvent(Event):
    """A request, or one more copy of it, was sent."""

    kind: EventKind = EventKind.SENT
    """EventKind.SENT."""
    purpose: Purpose
    """What the request serves."""
    request: Request
    """What it asks of the server."""
    copy: int = 1
    """1 for the first copy of a request, 2 for the next, ..."""
    remote: Optional[Endpoint] = None
    """Where it went."""


@dataclass(frozen=True, kw_only=True, repr=False)
class AnsweredEvent(Event):
    """An answer to a request came."""

    kind: EventKind = EventKind.ANSWERED
    """EventKind.ANSWERED."""
    purpose: Purpose
    """What the request serves."""
    request: Request
    """What the request asked of the server."""
    remote: Optional[Endpoint] = None
    """Where the answer came from."""
    external: Optional[Endpoint] = None
    """The external (mapped) address and port that the server saw."""
    stun_error: Optional[int] = None
    """The code of an error response (RFC 8489 section 14.8), None for success."""


@dataclass(frozen=True, kw_only=True, repr=False)
class ConcludedEvent(Event):
    """The mapping or the filtering is settled."""

    kind: EventKind = EventKind.CONCLUDED
    """EventKind.CONCLUDED."""
    purpose: Purpose
    """Which of the two."""
    behaviour: Behaviour = Behaviour.UNKNOWN
    """What it is."""
    remote: Optional[Endpoint] = None
    """The server on which it rests."""


@dataclass(frozen=True, kw_only=True, repr=False)
class EndedEvent(Event):
    """The whole check is settled. No event follows."""

    kind: EventKind = EventKind.CONCLUDED
    """EventKind.CONCLUDED."""
    purpose: Purpose = Purpose.CHECK
    """Purpose.CHECK."""
    status: Status = Status.OK
    """How it ended."""
    nat_type: NatType = NatType.UNKNOWN
    """The type of the NAT."""
    remote: Optional[Endpoint] = None
    """The server on which the verdict rests."""


@dataclass(frozen=True, kw_only=True, repr=False)
class ProgressEvent(Event):
    """A test of minutes goes on. It comes about once a second."""

    kind: EventKind = EventKind.PROGRESS
    """EventKind.PROGRESS."""
    test: Scope
    """Which test."""
    done: int = 0
    """Seconds that it has taken so far."""
    total: int = 0
    """Seconds that it takes at most."""


def from_c(raw: CEvent) -> Event:
    """The event that C reports."""
    kind, time = EventKind(raw.kind), raw.time_us / 1e6
    remote = _endpoint.parse(decode(raw.remote))
    if kind == EventKind.SENT:
        purpose, request = Purpose(raw.purpose), Request(raw.request)
        return SentEvent(time=time, purpose=purpose, request=request, copy=raw.copy, remote=remote)
    if kind == EventKind.ANSWERED:
        return AnsweredEvent(
            time=time,
            purpose=Purpose(raw.purpose),
            request=Request(raw.request),
            remote=remote,
            external=_endpoint.parse(decode(raw.external)),
            stun_error=raw.stun_error or None,
        )
    if kind == EventKind.CONCLUDED and raw.purpose == Purpose.CHECK:
        return EndedEvent(time=time, status=Status(raw.error), nat_type=NatType(raw.nat_type), remote=remote)
    if kind == EventKind.CONCLUDED:
        behaviour = Behaviour(raw.behaviour)
        return ConcludedEvent(time=time, purpose=Purpose(raw.purpose), behaviour=behaviour, remote=remote)
    if kind == EventKind.PROGRESS:
        return ProgressEvent(time=time, test=Scope(raw.test), done=raw.done_s, total=raw.total_s)
    return Event(kind=kind, time=time)
