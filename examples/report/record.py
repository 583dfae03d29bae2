# SPDX-License-Identifier: MIT
"""A run: the result of a check and its events, as plain values that JSON can hold. A page is made of nothing else."""

from __future__ import annotations

import ipaddress
import json
import math
import os
import re
import time
import unicodedata
from typing import Any, Dict, List

import natprobe
from natprobe import Event, NatProbeError, Probe, Result

FORMAT = 1
LARGEST_FILE = 16 << 20
LATEST = 1 << 33  # seconds since 1970

Run = Dict[str, Any]

# What an event may have, and of what kind it is. A run may come from a file that somebody else wrote.
FIELDS: Dict[str, type] = {
    "kind": str,
    "purpose": str,
    "request": str,
    "copy": int,
    "remote": str,
    "external": str,
    "stun_error": int,
    "behaviour": str,
    "status": str,
    "nat_type": str,
    "test": str,
    "done": int,
    "total": int,
}
KINDS = {kind.label for kind in natprobe.EventKind}


class NoRunError(Exception):
    """The file has no run."""


def make(**settings: Any) -> Run:
    """Checks, and notes what happens."""
    events: List[Event] = []
    with Probe(on_event=events.append, **settings) as probe:
        try:
            result = probe.run()
        except NatProbeError as problem:
            if problem.result is None:
                raise
            result = problem.result
        servers = list(probe.servers)
    return {
        "format": FORMAT,
        "version": natprobe.version(),
        "measured_at": int(time.time()),
        "servers": servers,
        "result": result.to_dict(),
        "events": [event.to_dict() for event in events],
    }


def text_of(run: Run) -> str:
    """The run for a file."""
    return json.dumps(run, indent=1) + "\n"


def load(path: str) -> Run:
    """The run in a file. It may come from a stranger.

    Raises:
        NoRunError: the file has none; the message says why.
        OSError: it cannot be read.
    """
    if os.path.isfile(path) and os.path.getsize(path) > LARGEST_FILE:
        raise NoRunError(f"{path}: too large for a run")
    with open(path, "rb") as file:
        data = file.read(LARGEST_FILE + 1)
    try:
        return check(json.loads(data.decode("utf-8")))
    except (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError) as problem:
        raise NoRunError(f"{path}: no run of this format: {printable(str(problem))[:200]}") from problem


def check(values: Any) -> Run:
    """The same run, if it is one: every value of its kind, nothing that is not known."""
    if values["format"] != FORMAT:
        raise ValueError("another format")
    return {
        "format": FORMAT,
        "version": _text(values["version"]),
        "measured_at": _number(values["measured_at"], LATEST),
        "servers": [_text(server) for server in _list(values["servers"])],
        "result": _result(values["result"]),
        "events": [_event(event) for event in _list(values["events"])],
    }


def _result(values: Dict[str, Any]) -> Dict[str, Any]:
    """As this version of the package would write it."""
    for name, value in values.items():
        if isinstance(value, (int, float)) and not math.isfinite(value):
            raise ValueError(f"{name} is no number")
    model = Result.from_dict(values).to_dict()
    for name, value in model.items():
        kinds = str if name in _TEXTS else list if name == "evidence" else (int, float)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise TypeError(f"{name} is of another kind")
    for name in ("external_ip", "local_ip", "gateway_ip", "gateway_external_ip"):
        _ip(model.get(name) or "0.0.0.0")
    _endpoint(model["server"] or "0.0.0.0:0")
    return model


# The names of the result that are text; the others are numbers.
_TEXTS = {
    "status",
    "nat_type",
    "mapping",
    "filtering",
    "external_ip",
    "local_ip",
    "server",
    "local_class",
    "detail",
    "port_open",
    "refused_takes_port",
    "hairpin",
    "hairpin_external",
    "another_nat",
    "gateway_ip",
    "gateway_external_ip",
    "lifetime_recreated",
}


def _event(values: Dict[str, Any]) -> Dict[str, Any]:
    if values["kind"] not in KINDS:
        raise ValueError("an event of an unknown kind")
    event: Dict[str, Any] = {"time_ms": _time(values["time_ms"])}
    for name, kind in FIELDS.items():
        if name in values:
            read = _endpoint if name in ("remote", "external") else _text
            event[name] = read(values[name]) if kind is str else _number(values[name], 1 << 32)
    if event["kind"] in ("sent", "answered"):
        _text(event["purpose"]), _text(event["request"])
    return event


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(value, "a text")
    return value


def _ip(text: str) -> None:
    """Raises ValueError unless it is an address, of one interface perhaps."""
    address, _, zone = text.partition("%")
    ipaddress.ip_address(address)
    if not re.fullmatch(r"[\w.-]{0,15}", zone, flags=re.ASCII):
        raise ValueError("no interface has that name")


def _endpoint(value: Any) -> str:
    """An address and a port, as the library writes it."""
    found = re.fullmatch(r"(?:\[([^\]]*:[^\]]*)\]|([^:]*)):(\d{1,5})", _text(value))
    if found is None:
        raise ValueError("that is no address with a port")
    _ip(found[1] or found[2])
    return str(value)


def _list(value: Any) -> List[Any]:
    if not isinstance(value, list):
        raise _wrong(value, "a list")
    return value


def _number(value: Any, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise _wrong(value, "a whole number in its range")
    return value


def _time(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e12:
        raise _wrong(value, "a time")
    return value


def _wrong(value: Any, what: str) -> TypeError:
    return TypeError(f"{str(value)[:40]!r} is not {what}")


def printable(text: str) -> str:
    r"""The text with \u{...} in place of what cannot be seen, or changes how its surroundings are seen.

    That is control characters, those that turn the direction of text, and those that HTML does not allow.
    """
    return "".join(c if unicodedata.category(c) not in _UNSEEN else f"\\u{{{ord(c):x}}}" for c in text)


_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
