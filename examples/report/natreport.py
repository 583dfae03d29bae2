#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks what NAT this host is behind, and writes what it found as one HTML page that loads nothing from elsewhere.

Exit status: 0 the page has a verdict, 1 the page says why there is none, 2 wrong usage, or the page could not be made.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import Any, Dict, List, Optional

sys.dont_write_bytecode = True
try:
    import natprobe
    import page
    import record
except ImportError as problem:
    sys.exit(f"natreport: {problem}\nREADME.md beside this program says how to install what it needs.")

TESTS = natprobe.Scope.OPTIONAL.labels


def tests(text: str) -> natprobe.Scope:
    """The value of --tests."""
    if text == "all":
        return natprobe.Scope.OPTIONAL & ~natprobe.Scope.LIFETIME
    chosen = text.split(",")
    for name in chosen:
        if name not in TESTS:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(TESTS)}, all")
    return natprobe.Scope.from_labels(chosen)


def arguments(words: Optional[List[str]]) -> argparse.Namespace:
    """What the command line says."""
    summary, _, statuses = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="natreport", description=summary, epilog=statuses)
    out = parser.add_argument_group("output")
    out.add_argument("-o", "--output", metavar="FILE", help="write the page to this file (default: standard output)")
    out.add_argument("--json", metavar="FILE", help="also write the run, result and events, to this file")
    out.add_argument(
        "--from", dest="source", metavar="FILE", help="check nothing: make the page of a run that --json wrote"
    )
    check = parser.add_argument_group("check")
    check.add_argument(
        "-s",
        "--server",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="ask this STUN server, not the built-in public ones; again for more",
    )
    check.add_argument("-b", "--bind", metavar="IP", help="send from this local address")
    check.add_argument("-i", "--interface", metavar="NAME", help="send on this network interface")
    check.add_argument("-p", "--port", type=int, default=0, metavar="PORT", help="send from this local port")
    family = check.add_mutually_exclusive_group()
    family.add_argument("-4", dest="family", action="store_const", const=natprobe.Family.IPV4, help="use IPv4 only")
    family.add_argument("-6", dest="family", action="store_const", const=natprobe.Family.IPV6, help="use IPv6 only")
    check.add_argument(
        "-t",
        "--timeout",
        type=float,
        default=natprobe.DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help="time allowed in all (default: %(default)g)",
    )
    check.add_argument(
        "--tests",
        type=tests,
        default=natprobe.Scope(0),
        metavar="LIST",
        help=f"optional tests, with commas between them: {', '.join(TESTS)} (takes minutes), or all (but lifetime)",
    )
    options = parser.parse_args(words)
    if options.source and (options.server or options.bind or options.interface or options.port or options.family):
        parser.error("--from checks nothing: it excludes the options of a check")
    return options


def get_run(options: argparse.Namespace) -> Dict[str, Any]:
    """A run of now, or one of a file."""
    if options.source:
        return record.load(options.source)
    return record.make(
        servers=options.server,
        source_ip=options.bind,
        interface=options.interface,
        source_port=options.port,
        family=options.family or natprobe.Family.ANY,
        timeout=options.timeout,
        scope=natprobe.Scope.DEFAULT | options.tests,
    )


def write(path: Optional[str], text: str) -> None:
    """UTF-8 with plain line ends on every system."""
    if path is None:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    else:
        pathlib.Path(path).write_bytes(text.encode())


def main(words: Optional[List[str]] = None) -> int:
    """The exit status."""
    options = arguments(words)
    try:
        run = get_run(options)
        if options.json:
            write(options.json, record.text_of(run))
        write(options.output, page.render(run))
    except (record.NoRunError, natprobe.NatProbeError, ImportError, OSError) as problem:
        print(f"natreport: {problem}", file=sys.stderr)
        return 2
    if run["result"]["status"] == natprobe.Status.OK.label:
        return 0
    status = natprobe.Status.from_label(run["result"]["status"])
    print(f"natreport: no verdict: {record.printable(run['result']['detail'] or status.description)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
