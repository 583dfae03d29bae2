# SPDX-License-Identifier: MIT
"""What a check has found out."""

from __future__ import annotations

import dataclasses
import functools
import operator
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, TypeVar

from . import _endpoint
from ._endpoint import Endpoint
from ._library import CResult, decode
from ._values import AddressClass, Behaviour, Evidence, NatType, Status, Tristate

_ValueT = TypeVar("_ValueT")


def short_repr(value: Any) -> str:
    """The repr of a dataclass without the fields that have their defaults."""
    fields = [(field, getattr(value, field.name)) for field in dataclasses.fields(value)]
    told = ", ".join(f"{field.name}={this!r}" for field, this in fields if this != field.default)
    return f"{type(value).__name__}({told})"


@dataclass(frozen=True, kw_only=True, repr=False)
class Result:
    """What a check has found out (np_result). What is not known is None, or UNKNOWN where there is such a value."""

    status: Status = Status.OK
    """OK if there is a verdict, otherwise why there is none."""
    nat_type: NatType = NatType.UNKNOWN
    """The type of the NAT."""
    mapping: Behaviour = Behaviour.UNKNOWN
    """How the NAT chooses external ports."""
    filtering: Behaviour = Behaviour.UNKNOWN
    """Whom the NAT lets in."""
    evidence: Evidence = Evidence(0)
    """What the verdict rests on."""
    external: Optional[Endpoint] = None
    """The external (mapped) address and port of the source socket."""
    local: Optional[Endpoint] = None
    """The local address and port of the source socket. The address is never "0.0.0.0" or "::"."""
    server: Optional[Endpoint] = None
    """The server on which the verdict rests."""
    rtt: Optional[float] = None
    """Round-trip time to the server in seconds."""
    elapsed: float = 0.0
    """Seconds that the whole check took."""
    packets_sent: int = 0
    """Datagrams sent."""
    packets_received: int = 0
    """Datagrams received, answers or not."""
    ports_seen: int = 0
    """Mappings seen, of all sockets: external addresses with ports."""
    ports_kept: int = 0
    """Those of them whose external port is the local port."""
    port_step: Optional[int] = None
    """Step between the external ports of new mappings, if it was the same at least three times. The next one may differ."""
    external_ips: int = 0
    """External IP addresses seen, of all sockets."""
    local_ips: int = 0
    """Local IP addresses to which answers came, of all sockets."""
    local_class: AddressClass = AddressClass.UNKNOWN
    """Which network the local address is of."""
    port_open: Tristate = Tristate.UNKNOWN
    """Scope.PORT: can strangers send to the source port from outside?"""
    refused_takes_port: Tristate = Tristate.UNKNOWN
    """Scope.REFUSED: can a datagram that the NAT refuses change the port of the mapping to its sender?"""
    hairpin: Tristate = Tristate.UNKNOWN
    """Scope.HAIRPIN: do datagrams between two sockets of this host arrive, sent to their external addresses?"""
    hairpin_external: Tristate = Tristate.UNKNOWN
    """Scope.HAIRPIN: do those seem to come from the external address of the sender? NO: from an inner one."""
    another_nat: Tristate = Tristate.UNKNOWN
    """Scope.GATEWAY: is there another NAT behind the gateway?"""
    gateway_ip: str = ""
    """Scope.GATEWAY: the gateway that was asked."""
    gateway_external_ip: str = ""
    """Scope.GATEWAY: the external address that it named."""
    lifetime_recreated: Tristate = Tristate.UNKNOWN
    """Scope.LIFETIME: does the NAT make the same mapping again after one has gone?"""
    lifetime_min_s: int = 0
    """Scope.LIFETIME: an answered mapping lives idle for at least so many seconds; 0 when not known."""
    lifetime_max_s: int = 0
    """Scope.LIFETIME: and for less than so many; 0 when not known."""
    unanswered_min_s: int = 0
    """Scope.LIFETIME: as lifetime_min_s, of a mapping that no answer has come to."""
    unanswered_max_s: int = 0
    """Scope.LIFETIME: as lifetime_max_s, of a mapping that no answer has come to."""
    os_error: int = 0
    """The errno behind the status, or the resolver's EAI_* code for Status.RESOLVE; otherwise 0."""
    detail: str = ""
    """One sentence: why there is no verdict, or what is unknown and why. May be empty."""

    __repr__ = short_repr

    def to_dict(self) -> Dict[str, Any]:
        """The result for JSON, with the keys and the names that `natprobe --json` prints."""
        ip, port = self.external or ("", 0)
        local_ip, local_port = self.local or ("", 0)
        return {
            "status": self.status.label,
            "nat_type": self.nat_type.label,
            "mapping": self.mapping.label,
            "filtering": self.filtering.label,
            "external_ip": ip or None,
            "external_port": port or None,
            "local_ip": local_ip or None,
            "local_port": local_port or None,
            "server": None if self.server is None else str(self.server),
            "rtt_ms": None if self.rtt is None else round(self.rtt * 1000, 3),
            "elapsed_ms": round(self.elapsed * 1000, 3),
            "packets_sent": self.packets_sent,
            "packets_received": self.packets_received,
            "ports_seen": self.ports_seen,
            "ports_kept": self.ports_kept,
            "port_step": self.port_step,
            "external_ips": self.external_ips,
            "local_ips": self.local_ips,
            "local_class": self.local_class.label,
            **self._optional(),
            "evidence": list(self.evidence.labels),
            "detail": self.detail,
        }

    def _optional(self) -> Dict[str, Any]:
        """What the optional tests found, where they did."""
        found = {name: getattr(self, name) for name in _OPTIONAL}
        return {name: v.label if isinstance(v, Tristate) else v for name, v in found.items() if v}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Result:
        """The result that to_dict() or `natprobe --json` wrote; os_error, which is not part of it, is 0.

        What a newer version wrote can be read too: a type or behaviour that this package does not know is UNKNOWN, and
        such evidence is left out. So can what 0.3.0 wrote, which has no counts of ports and addresses.

        Raises:
            KeyError: a key is missing.
            ValueError: the status is none that this package knows, or an address has no port.
        """
        rtt_ms = values["rtt_ms"]
        return cls(
            status=Status.from_label(values["status"]),
            nat_type=_read(NatType.from_label, values["nat_type"], NatType.UNKNOWN),
            mapping=_read(Behaviour.from_label, values["mapping"], Behaviour.UNKNOWN),
            filtering=_read(Behaviour.from_label, values["filtering"], Behaviour.UNKNOWN),
            evidence=functools.reduce(operator.or_, map(_read_bit, values["evidence"]), Evidence(0)),
            external=_endpoint.known(values["external_ip"] or "", values["external_port"] or 0),
            local=_endpoint.known(values["local_ip"] or "", values["local_port"] or 0),
            server=_endpoint.parse(values["server"] or ""),
            rtt=None if rtt_ms is None else round(rtt_ms * 1000) / 1e6,
            elapsed=round(values["elapsed_ms"] * 1000) / 1e6,
            packets_sent=values["packets_sent"],
            packets_received=values["packets_received"],
            ports_seen=values.get("ports_seen", 0),
            ports_kept=values.get("ports_kept", 0),
            port_step=values.get("port_step"),
            external_ips=values.get("external_ips", 0),
            local_ips=values.get("local_ips", 0),
            local_class=_read(AddressClass.from_label, values.get("local_class", "unknown"), AddressClass.UNKNOWN),
            detail=values["detail"],
            **{name: _read_optional(name, values[name]) for name in _OPTIONAL if values.get(name) is not None},
        )


_ANSWERS = ("port_open", "refused_takes_port", "hairpin", "hairpin_external", "another_nat", "lifetime_recreated")
_TEXTS = ("gateway_ip", "gateway_external_ip")
_SECONDS = ("lifetime_min_s", "lifetime_max_s", "unanswered_min_s", "unanswered_max_s")
_OPTIONAL = _ANSWERS + _TEXTS + _SECONDS


def _read_optional(name: str, value: Any) -> Any:
    return _read(Tristate.from_label, value, Tristate.UNKNOWN) if name in _ANSWERS else value


def _read(from_label: Callable[[str], _ValueT], label: str, instead: _ValueT) -> _ValueT:
    try:
        return from_label(label)
    except ValueError:
        return instead


def _read_bit(label: str) -> Evidence:
    return _read(lambda one: Evidence.from_labels([one]), label, Evidence(0))


def from_c(raw: CResult) -> Result:
    """The result that C has filled."""
    others: Dict[str, Any] = {name: getattr(raw, name) for name in _SECONDS}
    others.update((name, Tristate(getattr(raw, name))) for name in _ANSWERS)
    others.update((name, decode(getattr(raw, name))) for name in _TEXTS)
    return Result(
        status=Status(raw.error),
        nat_type=NatType(raw.nat_type),
        mapping=Behaviour(raw.mapping),
        filtering=Behaviour(raw.filtering),
        evidence=Evidence(raw.evidence),
        external=_endpoint.known(decode(raw.external_ip), raw.external_port),
        local=_endpoint.known(decode(raw.local_ip), raw.local_port),
        server=_endpoint.parse(decode(raw.server)),
        rtt=raw.rtt_us / 1e6 if raw.rtt_us else None,
        elapsed=raw.elapsed_us / 1e6,
        packets_sent=raw.packets_sent,
        packets_received=raw.packets_received,
        ports_seen=raw.ports_seen,
        ports_kept=raw.ports_kept,
        port_step=raw.port_step or None,
        external_ips=raw.external_ips,
        local_ips=raw.local_ips,
        local_class=AddressClass(raw.local_class),
        os_error=raw.os_error,
        detail=decode(raw.detail),
        **others,
    )
