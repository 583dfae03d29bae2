# SPDX-License-Identifier: MIT
"""What kind of NAT is this host behind? libnatprobe for Python 3.10 or later.

In one call:

    from natprobe import check_nat
    result = check_nat()                        # or: await check_nat_async()
    print(result.nat_type, result.external)     # port-restricted-cone 203.0.113.7:54320

With servers, tests, callbacks and a socket of your own, any number of times:

    from natprobe import Probe, Scope
    with Probe(servers=["stun.example.org"], scope=Scope.MAPPING) as probe:
        result = probe.run()                    # or: await probe.run_async()

Over IPv4 and over IPv6 at the same time:

    ipv4, ipv6 = check_nat_dual()               # or: await check_nat_dual_async()

A check that ends without a verdict raises a NatProbeError. Its class and `status` say why, `result` has what is known.

Will this host and a peer connect? Each sends the line of its profile to the other:

    ours = Profile.from_result(result)          # str(ours) is the line to send
    print(outlook(ours, Profile.parse(line)).outlook.description)

Is it still true? A watch makes the check again when the network changes, and now and then:

    async for status in Watch(Probe()):         # or: for status in Watch(Probe())
        print(status.reason, status.result.nat_type)

Which servers are good? From a host without NAT and firewall, a survey finds out:

    for report in Survey(Probe(), ["stun.example.org", "stun.example.net"]):
        print(report.server, report.is_capable, report.detail)

`natprobe.proxystore` stands in for `proxystore.p2p.nat`.

The package loads the shared library when it first needs it: the file that the environment variable NATPROBE_LIBRARY
names, otherwise the one inside the package, which a wheel brings, otherwise libnatprobe.so.1 where the system's loader
finds it (see ldconfig, LD_LIBRARY_PATH). If there is none that fits, the call raises an ImportError that says what to do.
"""

from ._arguments import Address, HasFileno
from ._dual import DualResult, check_nat_dual, check_nat_dual_async
from ._endpoint import Endpoint
from ._errors import (
    AddressChangedError,
    AddressInUseError,
    AddressNotAvailableError,
    BadResponseError,
    BusyError,
    CheckCancelledError,
    CheckTimeoutError,
    InconclusiveError,
    InvalidArgumentError,
    LimitError,
    NatProbeError,
    NatProbeOSError,
    NetworkUnreachableError,
    NoResponseError,
    NotOpenError,
    OutOfMemoryError,
    ProbeClosedError,
    ResolveError,
    ResourceError,
)
from ._events import AnsweredEvent, ConcludedEvent, EndedEvent, Event, ProgressEvent, SentEvent
from ._library import version, version_number
from ._outlook import Outlook, Profile, outlook
from ._probe import Probe
from ._results import Result
from ._settings import DEFAULT_LIFETIME_LIMIT, DEFAULT_RESPONSE_TIMEOUT, DEFAULT_TIMEOUT, MAX_SERVERS, OnDatagram, OnEvent, OnLog
from ._short import check_nat, check_nat_async
from ._stream import EventStream
from ._survey import MAX_SURVEY_SERVERS, Survey, SurveyReport, SurveyStatus
from ._values import (
    AddressClass,
    Assumption,
    Behaviour,
    Conduct,
    EventKind,
    Evidence,
    Family,
    First,
    LogLevel,
    NatType,
    OutlookClass,
    OutlookRule,
    Purpose,
    Request,
    Scope,
    Status,
    Tristate,
    WatchChange,
    WatchReason,
)
from ._watch import DEFAULT_WATCH_INTERVAL, Watch, WatchStatus

__version__ = "0.4.0"
"""The version of this package. version() is that of the library."""

__all__ = [
    "DEFAULT_LIFETIME_LIMIT",
    "DEFAULT_RESPONSE_TIMEOUT",
    "DEFAULT_TIMEOUT",
    "DEFAULT_WATCH_INTERVAL",
    "MAX_SERVERS",
    "MAX_SURVEY_SERVERS",
    "Address",
    "AddressChangedError",
    "AddressClass",
    "AddressInUseError",
    "AddressNotAvailableError",
    "AnsweredEvent",
    "Assumption",
    "BadResponseError",
    "Behaviour",
    "BusyError",
    "CheckCancelledError",
    "CheckTimeoutError",
    "ConcludedEvent",
    "Conduct",
    "DualResult",
    "EndedEvent",
    "Endpoint",
    "Event",
    "EventKind",
    "EventStream",
    "Evidence",
    "Family",
    "First",
    "HasFileno",
    "InconclusiveError",
    "InvalidArgumentError",
    "LimitError",
    "LogLevel",
    "NatProbeError",
    "NatProbeOSError",
    "NatType",
    "NetworkUnreachableError",
    "NoResponseError",
    "NotOpenError",
    "OnDatagram",
    "OnEvent",
    "OnLog",
    "OutOfMemoryError",
    "Outlook",
    "OutlookClass",
    "OutlookRule",
    "Probe",
    "ProbeClosedError",
    "Profile",
    "ProgressEvent",
    "Purpose",
    "Request",
    "ResolveError",
    "ResourceError",
    "Result",
    "Scope",
    "SentEvent",
    "Status",
    "Survey",
    "SurveyReport",
    "SurveyStatus",
    "Tristate",
    "Watch",
    "WatchChange",
    "WatchReason",
    "WatchStatus",
    "__version__",
    "check_nat",
    "check_nat_async",
    "check_nat_dual",
    "check_nat_dual_async",
    "outlook",
    "version",
    "version_number",
]

# So that reprs, tracebacks and pickles name the public module, whichever file a class is in.
for _name in __all__:
    if getattr(globals()[_name], "__module__", "").startswith("natprobe._"):
        globals()[_name].__module__ = "natprobe"
del _name
