# SPDX-License-Identifier: MIT
"""Profiles of hosts, and whether two of them will connect."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass, replace
from typing import Any, Dict, Optional

from . import _arguments, _endpoint
from ._endpoint import Endpoint
from ._errors import InvalidArgumentError
from ._library import IP_TEXT_SIZE, PROFILE_TEXT_SIZE, COutlook, CProfile, CResult, decode, library
from ._results import Result, short_repr
from ._values import Assumption, Behaviour, Family, First, OutlookClass, OutlookRule, Status, Tristate


@dataclass(frozen=True, kw_only=True, repr=False)
class Profile:
    """What a peer needs to know of a host (np_profile). str() gives the line to send to the peer."""

    mapping: Behaviour = Behaviour.UNKNOWN
    """How the NAT chooses external ports."""
    filtering: Behaviour = Behaviour.UNKNOWN
    """Whom the NAT lets in."""
    filtering_proven: bool = False
    """Whether the filtering is proven."""
    family: Family = Family.ANY
    """The family of the external address; ANY if it is not known."""
    external: Optional[Endpoint] = None
    """The external address; port 0 if only the address is known."""
    udp_blocked: bool = False
    """No server could be reached over UDP."""
    refused_takes_port: Tristate = Tristate.UNKNOWN
    """Does a datagram that the NAT refuses take the port from the next mapping?"""
    external_ips: int = 0
    """External IP addresses seen; 0 if that is not known."""
    ports_seen: int = 0
    """Mappings seen."""
    ports_kept: int = 0
    """Those of them whose external port is the local port."""
    port_step: Optional[int] = None
    """Step between the external ports of new mappings."""
    measured_at: Optional[int] = None
    """When it was measured: seconds since 1970."""

    __repr__ = short_repr

    @classmethod
    def from_result(cls, result: Result, now: Optional[float] = None) -> Profile:
        """The profile of a result, also of that of an error. now is the time, by default that of the clock."""
        raw, profile = CResult(), CProfile()
        raw.error, raw.nat_type, raw.evidence = result.status, result.nat_type, int(result.evidence)
        raw.mapping, raw.filtering, raw.port_step = result.mapping, result.filtering, result.port_step or 0
        raw.ports_seen, raw.ports_kept, raw.external_ips = result.ports_seen, result.ports_kept, result.external_ips
        ip, raw.external_port = result.external or ("", 0)
        raw.external_ip, raw.local_ip = _ip(ip), _ip(result.local.ip if result.local else "")
        library().np_profile_from_result(raw, _seconds(now), profile)
        return _from_c(profile)

    @classmethod
    def parse(cls, line: str) -> Profile:
        """The profile that a line is. It may come from a stranger, and need not be true.

        Raises:
            InvalidArgumentError: it is no such line; the message says why.
        """
        profile, reason = CProfile(), ctypes.c_char_p()
        text = line.encode("utf-8", "replace").replace(b"\0", b"\n")  # neither is printable: refused like any other
        if library().np_profile_parse(text, profile, ctypes.byref(reason)) != Status.OK:
            raise InvalidArgumentError(decode(reason.value), Status.ARGUMENT)
        return _from_c(profile)

    def without_address(self) -> Profile:
        """The same without the external address, for a line that others read too."""
        return replace(self, external=None)

    def __str__(self) -> str:
        """The line. Raises InvalidArgumentError if the external address is none."""
        text = ctypes.create_string_buffer(PROFILE_TEXT_SIZE)
        if library().np_profile_format(_to_c(self), text, len(text)) != Status.OK:
            raise InvalidArgumentError(f"{self.external} is no address that a line can tell", Status.ARGUMENT)
        return decode(text.value)


@dataclass(frozen=True, kw_only=True, repr=False)
class Outlook:
    """Whether two hosts will connect (np_outlook_result)."""

    outlook: OutlookClass = OutlookClass.UNKNOWN
    """The worst that is possible, or UNKNOWN or SAME_NAT."""
    best: OutlookClass = OutlookClass.UNKNOWN
    """If all that is not known is as good as can be."""
    worst: OutlookClass = OutlookClass.UNKNOWN
    """If all that is not known is as bad as can be."""
    first: First = First.ANY
    """Who has to send first."""
    assumes: Assumption = Assumption(0)
    """What the outlook rests on."""
    rule: OutlookRule = OutlookRule.UNKNOWN
    """The rule that decided."""

    __repr__ = short_repr

    @property
    def connects(self) -> Optional[bool]:
        """Will they connect? None: what is not known decides, or both are behind the same NAT."""
        if self.outlook in (OutlookClass.UNKNOWN, OutlookClass.SAME_NAT) or not self.outlook.is_known:
            return None
        return self.outlook in (OutlookClass.DIRECT, OutlookClass.PUNCH, OutlookClass.PUNCH_LEARN)

    def to_dict(self) -> Dict[str, Any]:
        """The outlook for JSON, as `natprobe --outlook --json` prints it."""
        return {
            "outlook": self.outlook.label,
            "best": self.best.label,
            "worst": self.worst.label,
            "first": self.first.label,
            "assumes": list(self.assumes.labels),
            "rule": self.rule.label,
            "advice": self.outlook.description,
        }


def outlook(ours: Profile, theirs: Profile, now: Optional[float] = None) -> Outlook:
    """Whether two hosts will connect over UDP. Sends nothing. now is the time, by default that of the clock."""
    raw = COutlook()
    library().np_outlook(_to_c(ours), _to_c(theirs), _seconds(now), raw)
    return Outlook(
        outlook=OutlookClass(raw.outlook),
        best=OutlookClass(raw.best),
        worst=OutlookClass(raw.worst),
        first=First(raw.first),
        assumes=Assumption(raw.assumes),
        rule=OutlookRule(raw.rule),
    )


def _seconds(now: Optional[float]) -> int:
    return int(time.time() if now is None else now)


def _ip(text: str) -> bytes:
    encoded = _arguments.encode(text, "address")
    if len(encoded) >= IP_TEXT_SIZE:  # the C library has no room for it
        raise InvalidArgumentError(f"not an address: {text!r}", Status.ARGUMENT)
    return encoded


def _to_c(profile: Profile) -> CProfile:
    ip, port = profile.external or ("", 0)
    return CProfile(
        measured_at=profile.measured_at or 0,
        mapping=profile.mapping,
        filtering=profile.filtering,
        filtering_proven=profile.filtering_proven,
        family=profile.family,
        udp_blocked=profile.udp_blocked,
        refused_takes_port=profile.refused_takes_port,
        port_step=profile.port_step or 0,
        external_ips=profile.external_ips,
        ports_seen=profile.ports_seen,
        ports_kept=profile.ports_kept,
        external_port=port,
        external_ip=_ip(ip),
    )


def _from_c(raw: CProfile) -> Profile:
    return Profile(
        mapping=Behaviour(raw.mapping),
        filtering=Behaviour(raw.filtering),
        filtering_proven=bool(raw.filtering_proven),
        family=Family(raw.family),
        external=_endpoint.known(decode(raw.external_ip), raw.external_port),
        udp_blocked=bool(raw.udp_blocked),
        refused_takes_port=Tristate(raw.refused_takes_port),
        external_ips=raw.external_ips,
        ports_seen=raw.ports_seen,
        ports_kept=raw.ports_kept,
        port_step=raw.port_step or None,
        measured_at=raw.measured_at or None,
    )
