# SPDX-License-Identifier: MIT
"""The survey: what can each server of a list do?"""

from __future__ import annotations

import collections
import ctypes
import dataclasses
from typing import Deque, Iterable, Optional, Type

from . import _arguments, _errors, _results
from ._library import CSurveyReport, CSurveyStatus, SurveyFn, decode
from ._probe import Probe
from ._results import Result
from ._takeover import Takeover
from ._values import Conduct, Status, Tristate

MAX_SURVEY_SERVERS = 200000
"""Most servers of one survey."""


@dataclasses.dataclass(frozen=True)
class SurveyReport:
    """What a survey found out about one address of one server (np_survey_report)."""

    status: Status
    """OK: it answers plain requests. Else why nothing is known of it."""
    is_capable: bool
    """Fit for every test of a check. If not, `detail` says what it lacks."""
    change_both: Conduct
    """What it makes of test II: to answer from its other address and port."""
    change_port: Conduct
    """What it makes of test III: to answer from its other port."""
    alternate_alive: Tristate
    """Whether its other address and its other ports answer plain requests."""
    external_right: Tristate
    """Whether it reports the address and port that this host sent from."""
    external_stable: Tristate
    """Whether it always reports the same."""
    is_classic: bool
    """Whether it answers only requests in the form of RFC 3489."""
    stun_error: int
    """Code of the error that it answers a plain request with; 0: none."""
    plain_sent: int
    """Plain requests sent to it."""
    plain_answered: int
    """Those of them that it answered."""
    packets_sent: int
    """All datagrams sent."""
    packets_received: int
    """All datagrams received."""
    number: int
    """Which address of the server this is, from 1; 0: it has none."""
    addresses: int
    """How many addresses of the server are reported."""
    late: float
    """By how many seconds an answer to test II or III takes longer than one to a plain request."""
    rtt: Optional[float]
    """Shortest round trip of a plain request in seconds; None: not measured."""
    server: str
    """The server with its port."""
    same_as: str
    """If not empty: the server under whose name this address was surveyed. Nothing else is known here then."""
    address: str
    """The address that was asked, "192.0.2.1:3478"."""
    alternate: str
    """The second address that it named."""
    external: str
    """The external address that it reported first."""
    detail: str
    """One sentence: what it lacks, or why nothing is known."""


@dataclasses.dataclass(frozen=True)
class SurveyStatus:
    """What a survey has done so far (np_survey_status)."""

    check: Result
    """The check that proved this host open, or failed to."""
    is_checking: bool
    """Whether this host is still being checked."""
    ipv4_open: Tristate
    """Whether this host is proven open over IPv4."""
    ipv6_open: Tristate
    """Whether this host is proven open over IPv6."""
    servers: int
    """Servers added, each once."""
    done: int
    """Those of them that are reported."""
    answered: int
    """Reports of servers that answer."""
    capable: int
    """Reports of capable servers."""


def _report(raw: CSurveyReport) -> SurveyReport:
    return SurveyReport(
        status=Status(raw.error),
        is_capable=raw.is_capable != 0,
        change_both=Conduct(raw.change_both),
        change_port=Conduct(raw.change_port),
        alternate_alive=Tristate(raw.alternate_alive),
        external_right=Tristate(raw.external_right),
        external_stable=Tristate(raw.external_stable),
        is_classic=raw.is_classic != 0,
        stun_error=raw.stun_error,
        plain_sent=raw.plain_sent,
        plain_answered=raw.plain_answered,
        packets_sent=raw.packets_sent,
        packets_received=raw.packets_received,
        number=raw.number,
        addresses=raw.addresses,
        late=raw.late_us / 1e6,
        rtt=raw.rtt_us / 1e6 if raw.rtt_us else None,
        server=decode(raw.server),
        same_as=decode(raw.same_as),
        address=decode(raw.address),
        alternate=decode(raw.alternate),
        external=decode(raw.external),
        detail=decode(raw.detail),
    )


class Survey(Takeover[SurveyReport]):
    """Asks each server of a list what it can do, from a host that is proven open first.

    It is made of a probe with its settings and callbacks, and takes it over: the probe is closed from then on.

        for report in Survey(Probe(), ["stun.example.org", "stun.example.net"]):
            print(report.server, report.is_capable, report.detail)

    `async for` works as well. The iteration raises NotOpenError if this host is not proven open. One thread or task at
    a time iterates. cancel(), close() and status() may come from others meanwhile.
    """

    _kind = "survey"

    def __init__(self, probe: Probe, servers: Iterable[str], *, skip: Iterable[str] = ()) -> None:
        asked, skipped = _arguments.several(servers, "servers"), _arguments.several(skip, "servers to skip")
        self._reports: Deque[SurveyReport] = collections.deque()
        super().__init__(probe)
        reports = self._reports  # not self, which the callback would keep alive
        self._on_report = SurveyFn(lambda raw, _: reports.append(_report(raw.contents)))
        self._check(self._library.np_survey_set_reports(self._handle, self._on_report, None), "")
        for function, names in ((self._library.np_survey_skip, skipped), (self._library.np_survey_add, asked)):
            for name in names:
                self._check(function(self._handle, _arguments.encode(name, "server")), name)

    @staticmethod
    def _check(code: int, what: str) -> None:
        if code != Status.OK:
            raise _errors.error(code, "not a server: %r" % what if code == Status.ARGUMENT else "")

    def status(self) -> SurveyStatus:
        """How far the survey is. From any thread, also while the survey is iterated over."""
        with self._lock:
            self._require_open()
            return self._read()

    def _read(self) -> SurveyStatus:
        raw = CSurveyStatus()
        self._library.np_survey_read(self._handle, ctypes.byref(raw))
        return SurveyStatus(
            check=_results.from_c(raw.check),
            is_checking=raw.is_checking != 0,
            ipv4_open=Tristate(raw.ipv4_open),
            ipv6_open=Tristate(raw.ipv6_open),
            servers=raw.servers,
            done=raw.done,
            answered=raw.answered,
            capable=raw.capable,
        )

    def _advance(self, end: Type[Exception]) -> Optional[SurveyReport]:
        """The next report, or None if it has to be waited for."""
        if not self._reports and not self._over:
            self._turn()
        if self._reports:
            return self._reports.popleft()
        if self._over:
            raise end
        return None

    def _turn(self) -> None:
        if not self._started:
            self._begin()
        code = self._call("process")
        if code == Status.PENDING:
            return
        self._over = True
        if code not in (Status.OK, Status.CANCELLED):
            check = self._read().check
            raise _errors.error(code, check.detail, check)
