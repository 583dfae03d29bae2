# SPDX-License-Identifier: MIT
"""
natprobe where ports run out. In a network namespace of its own the system has no port to give, one, two or more; behind
the NAT that its server pretends, which takes the next port, every datagram gets in.

    unshare --net python3 tests/integration/few_ports.py build/examples/natprobe

Prints what is wrong, one thing a line. Exit status 77: such a network cannot be made.
"""
import json
import re
import socket
import subprocess
import sys

import stand_in

FIRST, SECOND = "127.0.0.1", "127.0.0.2"
FREE = 40000  # the first of the ports that the system gives
CHOSEN = 30000  # one that it gives to nobody
ALL_TAKEN = r"bind\(port 0\): .+ \(all ports are taken\)"  # with the words of the C library's between
PATIENCE = 300


def is_fresh():
    """Nobody else's ports: in a namespace that was just made, not even loopback is up."""
    return subprocess.run(["ip", "-o", "link", "show", "up"], check=True, stdout=subprocess.PIPE).stdout == b""


def give_ports(count):
    """From now on the system has so many ports to give."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
        file.write("%d %d" % (FREE, FREE + count - 1))


def bound(ip, port):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((ip, port))
    return made


def pretended(client):
    return client[0], client[1] + 1


def natprobe(*arguments):
    done = subprocess.run([sys.argv[1], "-j", "-s", FIRST, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=PATIENCE)
    return json.loads(done.stdout or "{}")


def differences(name, says, **wanted):
    return ["%s: %s is %r, not %r" % (name, key, says.get(key), value) for key, value in wanted.items() if says.get(key) != value]


def reason(name, says, wanted):
    detail = says.get("detail", "")
    return [] if re.fullmatch(wanted, detail) else ["%s: the reason is %r" % (name, detail)]


def cone(name, port, *arguments):
    """All but the filtering is told, and why it is not."""
    says = natprobe(*arguments)
    return reason(name, says, "filtering unknown, no second socket: " + ALL_TAKEN) + differences(
        name, says, status="ok", nat_type="cone", mapping="endpoint-independent", filtering="unknown", external_ip=FIRST,
        external_port=port + 1, local_ip=FIRST, local_port=port)


def one_port():
    give_ports(1)
    return cone("one port", FREE) + cone("one port and a source", FREE, "-b", FIRST)


def all_taken(count):
    """Others have all of the ports, and the caller has chosen another one."""
    give_ports(count)
    others = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for other in others:
        other.bind(("", 0))
    says = natprobe()
    problems = differences("%d taken" % count, says, status="address-in-use", nat_type="unknown", packets_sent=0)
    problems += reason("%d taken" % count, says, "cannot use .+ as the source: " + ALL_TAKEN)
    problems += cone("%d taken and a port" % count, CHOSEN, "-p", str(CHOSEN))
    others.pop().close()
    problems += cone("%d taken but for one" % count, others[0].getsockname()[1] ^ 1) if count == 2 else []
    for other in others:
        other.close()
    return problems


def enough(count):
    """Nothing but the ports was in the way."""
    give_ports(count)
    return differences("%d ports" % count, natprobe(), status="ok", nat_type="full-cone", mapping="endpoint-independent",
                       filtering="endpoint-independent", external_ip=FIRST, detail="")


def main():
    try:
        if not is_fresh():
            sys.exit("start it in a network namespace of its own")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, stderr=subprocess.DEVNULL)
        give_ports(1)
        stand_in.Server(FIRST, SECOND, bound, pretended).start()
    except (OSError, subprocess.CalledProcessError):
        sys.exit(77)
    for problem in one_port() + all_taken(1) + all_taken(2) + enough(2) + enough(16):
        print(problem)


main()
