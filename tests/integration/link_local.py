# SPDX-License-Identifier: MIT
"""
natprobe on links: sources and servers such as fe80::1%eth0. In a network namespace of its own are two links that both
have the addresses of a server; the server listens on the second alone.

    unshare --net python3 tests/integration/link_local.py build/examples/natprobe

Prints what is wrong, one thing a line. Exit status 77: such a network cannot be made.
"""
import json
import socket
import subprocess
import sys

import stand_in
from stand_in import stun

LINKS = "link0", "link1"
SOURCE, FIRST, SECOND = "fe80::7", "fe80::a", "fe80::b"
PATIENCE = 300


def make_links():
    for link in LINKS:
        for line in (["link", "add", link, "type", "veth", "peer", "name", "far-" + link], ["link", "set", link, "up"],
                     ["link", "set", "far-" + link, "up"],
                     *(["addr", "add", ip + "/64", "dev", link, "nodad"] for ip in (SOURCE, FIRST, SECOND))):
            subprocess.run(["ip", *line], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, stderr=subprocess.DEVNULL)


def bound(ip, port):
    """On the second link."""
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.bind((ip, port, 0, socket.if_nametoindex(LINKS[1])))
    return made


def without_link(client):
    return client[0].split("%")[0], client[1]


def natprobe(*arguments):
    return subprocess.run([sys.argv[1], "-j", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)


def verdict(link, *arguments):
    """An open host on that link."""
    done = natprobe(*arguments)
    says = json.loads(done.stdout or "{}")
    wanted = {"status": "ok", "nat_type": "open-internet", "mapping": "none", "external_ip": SOURCE,
              "local_ip": "%s%%%d" % (SOURCE, socket.if_nametoindex(link)), "local_port": says.get("external_port"),
              "server": "[%s%%%d]:%d" % (FIRST, socket.if_nametoindex(link), stun.PORT)}
    return ["%s: %s is %r, not %r" % (" ".join(arguments), key, says.get(key), value) for key, value in wanted.items()
            if says.get(key) != value]


def failure(status, words, *arguments):
    done = natprobe(*arguments)
    says = json.loads(done.stdout or "{}")
    right = done.returncode == 1 and says.get("status") == status and all(word in done.stderr for word in words)
    return [] if right else ["%s: status %r, %r" % (" ".join(arguments), says.get("status"), done.stderr)]


def main():
    try:
        make_links()
    except (OSError, subprocess.CalledProcessError):
        sys.exit(77)
    stand_in.Server(FIRST, SECOND, bound, without_link).start()
    by_index = "%s%%%d" % (FIRST, socket.if_nametoindex(LINKS[1]))
    source = SOURCE + "%" + LINKS[1]
    server = FIRST + "%" + LINKS[1]
    problems = (
        verdict(LINKS[1], "-b", source, "-s", server)
        + verdict(LINKS[1], "-b", source, "-s", "[%s]:%d" % (server, stun.PORT))
        + verdict(LINKS[1], "-b", source, "-s", by_index)
        + verdict(LINKS[1], "-b", source, "-s", "stun:[%s%%25%s]" % (FIRST, LINKS[1]))
        + verdict(LINKS[1], "-b", source, "-s", FIRST)  # on the source's link
        + failure("no-response", [], "-b", SOURCE + "%" + LINKS[0], "-s", FIRST + "%" + LINKS[0], "--response-timeout", "0.3")
        + failure("no-response", [FIRST + "%eth0"], "-s", FIRST, "--response-timeout", "0.3")
        + failure("address-not-available", [SOURCE, "bind(port 0)", "fe80::1%eth0"], "-b", SOURCE, "-s", server)
        + failure("address-not-available", [SOURCE + "%gone0", "No such device", "interface"], "-b", SOURCE + "%gone0", "-s", server)
        + failure("address-not-available", ["fe80::99", "choose an address"], "-b", "fe80::99%" + LINKS[1], "-s", server)
        + failure("resolve", [FIRST + "%gone0", "No such device", "interface"], "-b", source, "-s", FIRST + "%gone0"))
    for problem in problems:
        print(problem)


main()
