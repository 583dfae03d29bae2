# SPDX-License-Identifier: MIT
"""The enums of the C library. A value that a newer library adds is kept as a number: NatType(42)."""

from __future__ import annotations

import enum
import re
from typing import Any, Iterable, Optional, Tuple, Type, TypeVar

from ._library import decode, library

_ValueT = TypeVar("_ValueT", bound="_Value")
_FlagsT = TypeVar("_FlagsT", bound="_Flags")


class _Value(enum.IntEnum):
    """One value. str() and format() give its label, in every version of Python."""

    @classmethod
    def _missing_(cls, value: object) -> Optional[_Value]:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = f"{cls.__name__}({value:d})"
        member._value_ = int(value)
        return cls._value2member_map_.setdefault(int(value), member)  # type: ignore[return-value]

    @classmethod
    def from_label(cls: Type[_ValueT], label: str) -> _ValueT:
        """The value with this label. Raises ValueError for a label that it does not know."""
        for member in cls.__members__.values():
            if member.label == label:
                return member
        unknown = re.fullmatch(rf"{cls.__name__}\((-?\d+)\)", label)
        if not unknown:
            raise ValueError(f"{label!r} is not the label of a {cls.__name__}")
        return cls(int(unknown.group(1)))

    @property
    def is_known(self) -> bool:
        """Whether this package has a name for the value."""
        return self._name_ in type(self).__members__

    @property
    def label(self) -> str:
        """The library's short name, such as "port-restricted-cone"; "NatType(42)" for a value without a name here."""
        return self._name_.lower().replace("_", "-") if self.is_known else self._name_

    def __str__(self) -> str:
        return self.label

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self._name_}" if self.is_known else self._name_

    def __reduce_ex__(self, protocol: object) -> Tuple[Any, ...]:
        return type(self), (self._value_,)


class _Flags(enum.IntFlag):
    """Any number of bits. str() and format() give their labels, in every version of Python."""

    @classmethod
    def from_labels(cls: Type[_FlagsT], labels: Iterable[str]) -> _FlagsT:
        """The bits with these labels. Raises ValueError for a label that it does not know."""
        names = {bit.labels[0]: int(bit) for bit in cls.__members__.values() if len(bit.labels) == 1}
        number = 0
        for label in labels:
            unknown = re.fullmatch(rf"{cls.__name__}\((\d+)\)", label)
            if label not in names and not unknown:
                raise ValueError(f"{label!r} is not the label of a {cls.__name__}")
            number |= int(unknown.group(1)) if unknown else names[label]
        return cls(number)

    @property
    def labels(self) -> Tuple[str, ...]:
        """The library's short name of each bit that is set, from the lowest bit up."""
        return tuple(name.lower().replace("_", "-") if name[-1] != ")" else name for name in self._names())

    def _bits(self) -> Tuple[int, ...]:
        return tuple(1 << i for i in range(int(self).bit_length()) if int(self) >> i & 1)

    def _names(self) -> Tuple[str, ...]:
        names = {int(bit): name for name, bit in type(self).__members__.items()}
        return tuple(names.get(bit, f"{type(self).__name__}({bit})") for bit in self._bits())

    def __str__(self) -> str:
        return " ".join(self.labels)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __repr__(self) -> str:
        for name, member in type(self).__members__.items():
            if member == int(self):
                return f"{type(self).__name__}.{name}"
        return "|".join(n if n[-1] == ")" else f"{type(self).__name__}.{n}" for n in self._names()) or (
            f"{type(self).__name__}(0)"
        )

    def __reduce_ex__(self, protocol: object) -> Tuple[Any, ...]:
        return type(self), (int(self),)


class Status(_Value):
    """How a check or a call ended (enum np_error)."""

    OK = 0
    """There is a verdict."""
    PENDING = 1
    """The check goes on."""
    ARGUMENT = -1
    """An argument is malformed or out of range."""
    NO_MEMORY = -2
    """Out of memory."""
    SYSTEM = -3
    """The system refused a resource, such as one more descriptor."""
    BUSY = -4
    """The probe is running."""
    LIMIT = -5
    """A list is full: more than MAX_SERVERS servers."""
    ADDRESS_IN_USE = -10
    """The source port is taken."""
    ADDRESS_NOT_AVAILABLE = -11
    """This host does not have the source address, or the interface."""
    RESOLVE = -12
    """No server name could be resolved to an address of the chosen family."""
    NETWORK_UNREACHABLE = -13
    """There is no route to any server, or the host's own firewall refuses to send."""
    NO_RESPONSE = -20
    """Nothing was ever heard. The type is UDP_BLOCKED if the silence lasted the response timeout."""
    ADDRESS_CHANGED = -21
    """The external address changed during the check, and again after a restart."""
    INCONCLUSIVE = -22
    """Servers answered, but showed nothing beyond the external address."""
    TIMEOUT = -23
    """The time allowed ran out: after something came, or before anything was sent."""
    CANCELLED = -24
    """The check was cancelled."""
    BAD_RESPONSE = -25
    """Something answers at the servers' addresses, but not with usable answers."""
    NOT_OPEN = -26
    """A survey could not prove that this host is open to the internet."""

    @property
    def description(self) -> str:
        """A sentence, such as "No STUN server answered"."""
        return decode(library().np_strerror(self))


class NatType(_Value):
    """The RFC 3489 type where mapping and filtering are both known, otherwise what is known (enum np_nat_type)."""

    UNKNOWN = 0
    """Nothing is known."""
    OPEN_INTERNET = 1
    """No translation, nothing filtered."""
    FULL_CONE = 2
    """Endpoint-independent mapping and filtering."""
    RESTRICTED_CONE = 3
    """Endpoint-independent mapping, address-dependent filtering."""
    PORT_RESTRICTED_CONE = 4
    """Endpoint-independent mapping, address- and port-dependent filtering."""
    SYMMETRIC = 5
    """The mapping depends on the destination."""
    SYMMETRIC_UDP_FIREWALL = 6
    """No translation, but unsolicited datagrams are filtered."""
    UDP_BLOCKED = 7
    """No server could be reached over UDP."""
    CONE = 8
    """Endpoint-independent mapping, filtering unknown."""
    NO_NAT = 9
    """No translation, filtering unknown."""

    @property
    def description(self) -> str:
        """Text for people, such as "Port Restricted-cone NAT"."""
        return decode(library().np_nat_type_description(self))

    @property
    def grade(self) -> str:
        """What games call it: "Open", "Moderate", "Strict" or "Unknown"."""
        return decode(library().np_nat_type_grade(self))

    @property
    def advice(self) -> str:
        """What the type means for peer-to-peer connections, in one sentence."""
        return decode(library().np_nat_type_advice(self))


class Behaviour(_Value):
    """Mapping or filtering behaviour, RFC 4787 sections 4.1 and 5 (enum np_behaviour)."""

    UNKNOWN = 0
    """Not known."""
    NONE = 1
    """Mapping only: the external and the local address are the same."""
    ENDPOINT_INDEPENDENT = 2
    """The same for every destination."""
    ADDRESS_DEPENDENT = 3
    """Depends on the address of the other side."""
    ADDRESS_AND_PORT_DEPENDENT = 4
    """Depends on the address and the port of the other side."""
    ENDPOINT_DEPENDENT = 5
    """Depends on the other side; whether on its address or also on its port is not known."""

    @property
    def description(self) -> str:
        """Text for people."""
        return decode(library().np_behaviour_description(self))


class Evidence(_Flags):
    """What was seen and what was proven (enum np_evidence)."""

    ANSWERED = 1 << 0
    """At least one server answered a plain request."""
    SECOND_SERVER = 1 << 1
    """Servers at two unrelated addresses showed the mapping."""
    ALTERNATE = 1 << 2
    """The server named a usable second address (RFC 5780)."""
    ALTERNATE_ALIVE = 1 << 3
    """That second address answered a plain request."""
    ALTERNATE_REFUSED = 1 << 4
    """A server named a second address to which it would be wrong to send."""
    MAPPING_PROVEN = 1 << 5
    """The mapping was compared from two destination addresses, or there is none."""
    TEST_II_ANSWERED = 1 << 6
    """An unsolicited answer came through from another address."""
    TEST_III_ANSWERED = 1 << 7
    """An unsolicited answer came through from another port."""
    CONTROL_ANSWERED = 1 << 8
    """The missing answer came once the path to it was open."""
    FILTERING_PROVEN = 1 << 9
    """The filtering rests on an answer, or on silence with a control."""
    CHANGE_IGNORED = 1 << 10
    """A server answered CHANGE-REQUEST from the address that the request was sent to."""
    CHANGE_PARTIAL = 1 << 11
    """A server changed something else than the request asked for."""
    CHANGE_REJECTED = 1 << 12
    """A server answered CHANGE-REQUEST with an error."""
    CONTROL_SILENT = 1 << 13
    """The control failed: the server does not honour CHANGE-REQUEST."""
    LOSS = 1 << 14
    """Some datagrams were lost on the way."""
    CLASSIC = 1 << 15
    """A server answered only the RFC 3489 form of the request."""
    ALG = 1 << 16
    """Something rewrote MAPPED-ADDRESS on the way (RFC 5780 section 4.6)."""
    RESTARTED = 1 << 17
    """The external address changed once; the check was started again."""
    CONTRADICTION = 1 << 18
    """Answers contradicted each other; what rested on them was dropped."""
    MALFORMED = 1 << 19
    """A server sent unusable answers."""
    PROXIED = 1 << 20
    """Something on the path answers, or translates, for a server."""
    OUTVOTED = 1 << 21
    """A server contradicted the others and was left out."""
    TRANSLATED = 1 << 22
    """An IPv6 socket has an IPv4 external address (NAT64)."""

    @property
    def descriptions(self) -> Tuple[str, ...]:
        """A sentence for each bit that is set, in the order of `labels`."""
        return tuple(decode(library().np_evidence_description(bit)) for bit in self._bits())


class Scope(_Flags):
    """Which tests a probe runs (enum np_tests). Bits may be combined."""

    MAPPING = 1
    """External address and mapping only: one round trip with two servers."""
    FILTERING = 2
    """Whom the NAT lets in. Brings MAPPING."""
    DEFAULT = 3
    """Mapping and filtering."""
    PORT = 4
    """Optional, as are all below: is the source port open to everybody, as a forwarded one is?"""
    REFUSED = 8
    """Does a datagram that the NAT refuses take the port? Brings FILTERING."""
    HAIRPIN = 16
    """Do datagrams of this host to its own external address arrive?"""
    GATEWAY = 32
    """Is there another NAT behind the gateway?"""
    LIFETIME = 64
    """How long does an idle mapping live? Takes minutes: see Probe.lifetime_limit."""
    OPTIONAL = 124
    """All the optional ones."""


class Family(_Value):
    """Address family of a check (enum np_family)."""

    ANY = 0
    """That of the source address. Without one IPv4, and IPv6 if IPv4 has no route, no server or no answer."""
    IPV4 = 4
    """IPv4 only."""
    IPV6 = 6
    """IPv6 only."""


class AddressClass(_Value):
    """Which network the host is in, before any NAT: the class of its local address (enum np_address_class)."""

    UNKNOWN = 0
    """No local address is known, or it is one that no host can have."""
    GLOBAL = 1
    """All that is in none of the others."""
    PRIVATE = 2
    """10/8, 172.16/12, 192.168/16 (RFC 1918)."""
    SHARED = 3
    """100.64/10 (RFC 6598): of a carrier's NAT, and of some overlay networks."""
    SERVICE_CONTINUITY = 4
    """192.0.0.0/29 (RFC 7335): IPv4 over IPv6, by 464XLAT or DS-Lite."""
    BENCHMARK = 5
    """198.18/15 (RFC 2544): in practice the made-up addresses of a proxy."""
    LINK_LOCAL = 6
    """169.254/16, fe80::/10."""
    UNIQUE_LOCAL = 7
    """fc00::/7 (RFC 4193)."""
    LOOPBACK = 8
    """127/8, ::1."""


class LogLevel(_Value):
    """How much a log says, in order of increasing detail (enum np_log_level)."""

    ERROR = 1
    """What ended a check without a verdict."""
    WARNING = 2
    """Also what may make a verdict worse."""
    INFO = 3
    """Also the outcome."""
    DEBUG = 4
    """Also each step."""


class EventKind(_Value):
    """What an event reports (enum np_event_kind)."""

    SENT = 1
    """A request, or one more copy of it, was sent."""
    ANSWERED = 2
    """An answer to a request came."""
    CONCLUDED = 3
    """The mapping, the filtering or the whole check is settled."""
    PROGRESS = 4
    """A test of minutes goes on."""


class Request(_Value):
    """The requests of RFC 3489 section 10.1, by what they ask of the server (enum np_request)."""

    I = 1  # noqa: E741
    """A plain Binding request."""
    II = 2
    """The server has to answer from its other address and port (CHANGE-REQUEST)."""
    III = 3
    """The server has to answer from its other port (CHANGE-REQUEST)."""

    @property
    def label(self) -> str:
        """The library's short name: "I", "II", "III"."""
        return self._name_


class Purpose(_Value):
    """What a request serves, or what an event concludes (enum np_purpose)."""

    CHECK = 0
    """The whole check: what an EndedEvent concludes."""
    MAPPING = 1
    """The external address of the source socket, as one destination sees it."""
    FILTERING = 2
    """Who may send to a socket that has sent to one address only."""
    CONTROL = 3
    """Whether the server sends what was missing once the path is open."""
    OPTIONAL = 4
    """An optional test."""


class Tristate(_Value):
    """An answer of three values (enum np_tristate)."""

    UNKNOWN = 0
    """Not tested, or the test could not tell."""
    NO = 1
    """No."""
    YES = 2
    """Yes."""


class OutlookClass(_Value):
    """Whether two hosts will connect over UDP, and how (enum np_outlook_class)."""

    UNKNOWN = 0
    """What is not known decides."""
    DIRECT = 1
    """One side lets in whatever comes: the other sends to it."""
    PUNCH = 2
    """Both send to each other's external address."""
    PUNCH_LEARN = 3
    """The same; one side's port is learnt from the datagram that comes from it."""
    NEEDS_PREDICTION = 4
    """They connect only if one side's next external port is guessed."""
    RELAY = 5
    """They do not connect without a relay."""
    SAME_NAT = 6
    """Both have the same external address: try the local addresses first."""

    @property
    def description(self) -> str:
        """What it means and what to do, in one sentence."""
        return decode(library().np_outlook_class_description(self))


class OutlookRule(_Value):
    """Why: the rule that decided (enum np_outlook_rule)."""

    UNKNOWN = 0
    """More than one rule may apply; what is not known decides."""
    UDP_BLOCKED = 1
    """A side cannot use UDP."""
    NO_COMMON_FAMILY = 2
    """One side has IPv4, the other IPv6."""
    SAME_NAT = 3
    """Both sides have, or may have, the same external IP address."""
    OPEN = 4
    """Each side lets in a datagram that it did not ask for."""
    ONE_OPEN = 5
    """One side does, and its answer gets back."""
    PORTS_KNOWN = 6
    """Neither mapping depends on the destination."""
    PORT_LEARNT = 7
    """One mapping depends; the other side's filter lets its unknown port in."""
    PORT_UNKNOWN = 8
    """One mapping depends, and the other side's filter does not let it in."""
    ADDRESS_UNKNOWN = 9
    """The same, and not even the IP address of the dependent side is known."""
    BOTH_DEPENDENT = 10
    """Both mappings depend on the destination."""

    @property
    def description(self) -> str:
        """Why, in one sentence."""
        return decode(library().np_outlook_rule_description(self))


class First(_Value):
    """Which side has to send first (enum np_first)."""

    ANY = 0
    """Either may begin. Also if they do not connect."""
    OURS = 1
    """Our side, before anything of theirs reaches our NAT."""
    THEIRS = 2
    """Their side, before anything of ours reaches their NAT."""
    BOTH = 3
    """Both, at about the same time, and several times."""

    @property
    def description(self) -> str:
        """Who sends first, in one sentence."""
        return decode(library().np_first_description(self))


class Conduct(_Value):
    """What a server makes of a request with CHANGE-REQUEST (enum np_conduct)."""

    UNKNOWN = 0
    """Not asked, or not often enough to call it silent."""
    HONOURED = 1
    """It answers from exactly the address that it should."""
    PARTIAL = 2
    """It answers from another address than it should, or not always from the same."""
    IGNORED = 3
    """It answers from the address that was asked."""
    REJECTED = 4
    """It answers with an error."""
    SILENT = 5
    """It does not answer, although it answers plain requests."""


class WatchReason(_Value):
    """Why a watch makes a check (enum np_watch_reason)."""

    NONE = 0
    """No check has been made."""
    START = 1
    """The watch was started."""
    NETWORK = 2
    """The network of this host changed: an interface, an address or a route."""
    RESUME = 3
    """This host was suspended."""
    FAILURE = 4
    """note_failure() was called."""
    RETRY = 5
    """The check before gave no verdict."""
    FILTERING = 6
    """The check before could not test the filtering, and something had changed."""
    INTERVAL = 7
    """It was time."""


class WatchChange(_Flags):
    """What a watch found changed (enum np_watch_change)."""

    TYPE = 1 << 0
    """The type."""
    MAPPING = 1 << 1
    """The mapping."""
    FILTERING = 1 << 2
    """The filtering."""
    ADDRESS = 1 << 3
    """The external IP address; the port alone does not count."""


class Assumption(_Flags):
    """What an outlook rests on (enum np_assumption)."""

    ONE_IP = 1 << 0
    """A side with dependent mapping has one external IP address for all mappings of a socket."""
    FILTERING = 1 << 1
    """A filtering that was measured but is not proven is right."""
    FRESH = 1 << 2
    """A profile is right that is older than 15 minutes, or of unknown age."""
    LOW_TTL = 1 << 3
    """A first datagram with a low TTL opens the sender's NAT, and does not reach the peer's."""
    ANSWER_TO_SOURCE = 1 << 4
    """The programs answer to the address that a datagram came from."""

    @property
    def descriptions(self) -> Tuple[str, ...]:
        """A sentence for each bit that is set, in the order of `labels`."""
        return tuple(decode(library().np_assumption_description(bit)) for bit in self._bits())
