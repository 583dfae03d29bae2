# SPDX-License-Identifier: MIT
"""
natprobe on an interface of its choice. A network namespace has two links to another one, in which is a server. The route
to the server takes the first link; an interface that was chosen has to take the second.

    unshare --net python3 tests/integration/interfaces.py build/examples/natprobe

Prints what is wrong, one thing a line. Exit status 77: such a network cannot be made.
"""
import ipaddress
import json
import os
import select
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import stun  # noqa: E402

LINKS = "link0", "link1"
FAMILIES = {4: ("198.51.100.1", "198.51.100.2"), 6: ("2001:db8:1::1", "2001:db8:1::2")}
PATIENCE = 300


def near(link, family):
    """The address of this host on a link; the far end has the next one."""
    return {4: ("192.0.2.1", "203.0.113.1"), 6: ("2001:db8:10::1", "2001:db8:11::1")}[family][LINKS.index(link)]


def far(link, family):
    return str(ipaddress.ip_address(near(link, family)) + 1)


def ip(*words):
    subprocess.run(["ip", *words], check=True, stderr=subprocess.DEVNULL)


def add_address(address, device):
    six = ":" in address
    ip("addr", "add", address + ("/64" if six else "/24"), "dev", device, *(["nodad"] if six else []))


def check_no_reverse_path():
    """An answer that comes on the link which the route does not name is not for the kernel to drop."""
    for where in ("all", "default", *LINKS):
        try:
            with open("/proc/sys/net/ipv4/conf/%s/rp_filter" % where, "r+") as file:
                if file.read().strip() != "0":
                    file.seek(0)
                    file.write("0")
        except OSError:
            sys.exit(77)


def make_near(peer):
    ip("link", "set", "lo", "up")
    for link in LINKS:
        ip("link", "add", link, "type", "veth", "peer", "name", "far-" + link)
        ip("link", "set", "far-" + link, "netns", str(peer))
        ip("link", "set", link, "up")
        for family in FAMILIES:
            add_address(near(link, family), link)
    check_no_reverse_path()


def add_routes():
    for metric, link in enumerate(LINKS, 1):
        for family, servers in FAMILIES.items():
            for server in servers:
                ip("-%d" % family, "route", "add", server, "via", far(link, family), "dev", link, "metric", str(metric))


def make_far():
    ip("link", "set", "lo", "up")
    for family, servers in FAMILIES.items():
        for server in servers:
            ip("addr", "add", server, "dev", "lo", *(["nodad"] if family == 6 else []))
    for link in LINKS:
        ip("link", "set", "far-" + link, "up")
        for family in FAMILIES:
            add_address(far(link, family), "far-" + link)


def serve():
    """Servers of RFC 5780 in both families, in a namespace of their own."""
    print("here", flush=True)
    sys.stdin.readline()  # the links are there
    make_far()
    at = {}
    for family, servers in FAMILIES.items():
        for address in servers:
            for port in (stun.PORT, stun.ALTERNATE_PORT):
                at[address, port] = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
                at[address, port].bind((address, port))
    print("ready", flush=True)
    while True:
        for ready in select.select([sys.stdin, *at.values()], [], [])[0]:
            if ready is sys.stdin:
                return
            answer(at, ready)


def answer(at, ready):
    data, client = ready.recvfrom(2000)
    request = stun.decode(data)
    address, port = next(where for where, s in at.items() if s is ready)
    pair = next(servers for servers in FAMILIES.values() if address in servers)
    other = pair[1 - pair.index(address)], stun.PORT + stun.ALTERNATE_PORT - port
    source = (other[0] if request.change & stun.CHANGE_IP else address, other[1] if request.change & stun.CHANGE_PORT else port)
    attributes = [(stun.XOR_MAPPED_ADDRESS, stun.encode_address(client[:2], request.key)),
                  (stun.OTHER_ADDRESS, stun.encode_address(other))]
    at[source].sendto(stun.Message(stun.SUCCESS, request.key, attributes).encode(), client)


def natprobe(*arguments):
    return subprocess.run([sys.argv[1], "-j", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)


LINK_LOCAL = "fe80::a"


def refusal(words, *arguments):
    done = natprobe(*arguments)
    return [] if done.returncode == 2 and words in done.stderr else ["%s: %d, %r" % (" ".join(arguments), done.returncode, done.stderr)]


def links_of_addresses():
    """A link-local address names its link, or is on the interface that was chosen."""
    ip("addr", "add", LINK_LOCAL + "/64", "dev", LINKS[1], "nodad")
    problems = refusal("another interface", "-i", LINKS[0], "-b", "%s%%%s" % (LINK_LOCAL, LINKS[1]), "-s", FAMILIES[6][0])
    for zone in "", "%" + LINKS[1]:
        silent = natprobe("-i", LINKS[1], "-b", LINK_LOCAL + zone, "-t", "0.3", "-s", "fe80::b")
        says = json.loads(silent.stdout or "{}")
        if says.get("status") != "no-response" or not (says.get("local_ip") or "").startswith(LINK_LOCAL + "%"):
            problems.append("-b %s: %r" % (LINK_LOCAL + zone, silent.stderr))
    silent = natprobe("-i", LINKS[1], "-6", "-t", "0.3", "-s", "fe80::b")
    if "name its interface" in silent.stderr or json.loads(silent.stdout or "{}").get("status") != "no-response":
        problems.append("a server on the chosen interface: %r" % silent.stderr)
    elsewhere = natprobe("-i", LINKS[0], "-6", "-s", "fe80::b%" + LINKS[1])
    if json.loads(elsewhere.stdout or "{}").get("status") != "network-unreachable":
        problems.append("a server on another interface: %r" % elsewhere.stderr)
    return problems


def verdict(link, family, *arguments):
    """An open host, whose sockets all take that link."""
    done = natprobe("-s", FAMILIES[family][0], *arguments)
    says = json.loads(done.stdout or "{}")
    wanted = {"status": "ok", "nat_type": "open-internet", "external_ip": near(link, family), "local_ip": near(link, family)}
    return ["%s: %s is %r, not %r" % (" ".join(arguments), key, says.get(key), value) for key, value in wanted.items()
            if says.get(key) != value]


def failure(status, words, *arguments):
    done = natprobe("-s", FAMILIES[4][0], *arguments)
    says = json.loads(done.stdout or "{}")
    right = done.returncode == 1 and says.get("status") == status and all(word in done.stderr for word in words)
    return [] if right else ["%s: status %r, %r" % (" ".join(arguments), says.get("status"), done.stderr)]


def main():
    servers = subprocess.Popen(["unshare", "--net", sys.executable, os.path.abspath(__file__), "--serve"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        if servers.stdout.readline() != "here\n":
            sys.exit(77)
        make_near(servers.pid)
        print("links", file=servers.stdin, flush=True)
        if servers.stdout.readline() != "ready\n":
            sys.exit(77)
        add_routes()
        check()
    except (OSError, subprocess.CalledProcessError):
        sys.exit(77)
    finally:
        servers.stdin.close()
        servers.wait(PATIENCE)


def check():
    problems = []
    for family in FAMILIES:
        problems += (
            verdict(LINKS[0], family)
            + verdict(LINKS[0], family, "-i", LINKS[0])
            + verdict(LINKS[1], family, "-i", LINKS[1])
            + verdict(LINKS[1], family, "--interface", LINKS[1], "-b", near(LINKS[1], family)))
    problems += failure("address-not-available", ["interface gone0", "No such device", "choose an interface"], "-i", "gone0")
    problems += links_of_addresses()
    for problem in problems:
        print(problem)


if sys.argv[1] == "--serve":
    serve()
else:
    main()
