#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Shows which network natprobe.exe tests: that of the namespace in which its Wine's server runs, and that the runner of the
lab (tests/windows/wine-here) gives each namespace a server of its own.

    network.py NATPROBE.EXE

Prints TAP. Needs what the lab needs.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
WINDOWS = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(os.path.dirname(WINDOWS), "lab"))
import lab
import report as tap

SECONDS = 120


def add_network(name, net):
    """A namespace with one network, 10.NET.0.0/24, in which nobody answers."""
    lab.add_namespace(name)
    lab.ip(
        "link add eth0 type veth peer name other",
        "link set dev other up",
        "link set dev eth0 up",
        "addr add 10.%d.0.1/24 dev eth0" % net,
        namespace=name,
    )


def check(namespace, runner, natprobe, server):
    """(status, local address) that natprobe.exe tells."""
    # A file, not a pipe: what Wine leaves running would keep that open.
    with tempfile.TemporaryFile("w+") as file:
        lab.inside(
            namespace,
            subprocess.run,
            [os.path.join(WINDOWS, runner), natprobe, "--json", "-s", server, "--response-timeout", "0.3"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
        )
        file.seek(0)
        result = json.load(file)
    return result["status"], result["local_ip"]


def start_server(namespace):
    """Wine's server, which stays when programs end, for the folder in WINEPREFIX."""
    server = shutil.which("wineserver64", path=os.environ["PATH"] + ":/usr/lib/wine")
    lab.inside(namespace, subprocess.run, [server, "-p60"], stdin=subprocess.DEVNULL, check=True)
    check(namespace, "wine", os.path.abspath(sys.argv[1]), "10.1.0.9")


def main():
    natprobe = os.path.abspath(sys.argv[1])
    lab.enter(paths=[natprobe], tap=True)
    report = tap.Report(True)
    for number, name in enumerate(("first", "second"), 1):
        add_network(name, number)
    expected = {
        ("first", "wine-here", "10.1.0.9"): ("no-response", "10.1.0.1"),
        ("second", "wine-here", "10.2.0.9"): ("no-response", "10.2.0.1"),
        ("second", "wine-here", "10.1.0.9"): ("network-unreachable", None),
    }
    for (namespace, runner, server), right in expected.items():
        seen = check(namespace, runner, natprobe, server)
        report.check(
            "%s asks %s with a server of its own" % (namespace, server),
            [] if seen == right else ["%s, not %s" % (seen, right)],
            str(seen),
        )
    # What the lab must not do: the second namespace uses the folder, and so the server, of the first.
    first = lab.inside("first", os.stat, "/proc/thread-self/ns/net").st_ino
    os.environ["WINEPREFIX"] = "/run/wine-%d" % first
    start_server("first")
    for server, right in (("10.1.0.9", ("no-response", "10.1.0.1")), ("10.2.0.9", ("network-unreachable", None))):
        seen = check("second", "wine", natprobe, server)
        report.check(
            "second asks %s with the server of first, and is in the wrong network" % server,
            [] if seen == right else ["%s, not %s" % (seen, right)],
            str(seen),
        )
    sys.exit(report.finish())


main()
