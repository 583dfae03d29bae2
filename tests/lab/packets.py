# SPDX-License-Identifier: MIT
"""
A log of the STUN packets on both sides of a translator, and what the translator does according to that log alone. No
answer of a server counts here: only which packet came out where, with which addresses.
"""

import collections
import dataclasses
import ipaddress
import socket
import struct
import threading

import lab
import stun
import worlds

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, PACKET_OUTGOING, UDP = 0x0003, 0x0800, 0x86DD, 4, 17
DRAIN_SECONDS = 0.1  # without a packet, until a log counts as complete
CLASSES = OWN, ADDRESS, STRANGER = "who was asked", "another port of who was asked", "a stranger"


@dataclasses.dataclass(frozen=True)
class Packet:
    leaves: bool  # the interface, by that host's will
    kind: int  # of the STUN message
    key: bytes
    source: tuple
    target: tuple


def parse(data, protocol, leaves, prefix):
    """A Packet, or None if it is no STUN over UDP. Addresses of the NAT64 prefix become the IPv4 addresses in them."""
    if protocol == ETH_P_IP and len(data) >= 20 and data[9] == UDP:
        addresses, rest = (data[12:16], data[16:20]), data[4 * (data[0] & 15) :]
    elif protocol == ETH_P_IPV6 and len(data) >= 40 and data[6] == UDP:
        addresses, rest = (data[8:24], data[24:40]), data[40:]
    else:
        return None
    try:
        message = stun.decode(rest[8 : struct.unpack_from("!H", rest, 4)[0]])
    except (struct.error, stun.Malformed):
        return None
    source, target = (
        (str(ipaddress.ip_address(address[12:] if prefix and address.startswith(prefix) else address)), port)
        for address, port in zip(addresses, struct.unpack_from("!HH", rest))
    )
    return Packet(leaves, message.kind, message.key, source, target)


class Log:
    """What passes an interface as long as the block lasts; complete after it."""

    def __init__(self, namespace, interface, prefix=None):
        self.prefix = ipaddress.ip_network(prefix).network_address.packed[:12] if prefix else None
        self.packets = []
        self.is_over = threading.Event()
        self.sock = lab.inside(namespace, socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        self.sock.bind((interface, ETH_P_ALL))
        self.sock.settimeout(DRAIN_SECONDS)
        self.thread = threading.Thread(target=self.read, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.is_over.set()
        self.thread.join()
        self.sock.close()

    def read(self):
        while True:
            try:
                data, (_, protocol, kind, *_) = self.sock.recvfrom(65535)
            except socket.timeout:
                if self.is_over.is_set():
                    return
                continue
            packet = parse(data, protocol, kind == PACKET_OUTGOING, self.prefix)
            if packet:
                self.packets.append(packet)


class Truth:
    """What a translator did with the requests and answers that a log inside and a log outside show."""

    def __init__(self, inside, outside, published=()):
        self.published = published  # external ports that somebody outside may always send to
        self.inside, self.outside = inside.packets, outside.packets
        self.externals = self.read_mappings()
        self.passed = self.read_filtering()

    def read_mappings(self):
        """{source inside: {destination: {external addresses}}}"""
        asked = {p.key: p for p in self.inside if p.leaves and p.kind == stun.REQUEST}
        found = collections.defaultdict(lambda: collections.defaultdict(set))
        for packet in self.outside:
            if packet.leaves and packet.kind == stun.REQUEST and packet.key in asked:
                found[asked[packet.key].source][packet.target].add(packet.source)
        return found

    def read_filtering(self):
        """{who sent: {whether it came in}} of the answers to external addresses, by what those had asked until then."""
        came_in = {(p.key, p.source) for p in self.inside if not p.leaves and p.kind == stun.SUCCESS}
        asked = collections.defaultdict(set)  # external address: destinations
        found = {name: set() for name in (*CLASSES, "published")}
        for packet in self.outside:
            if packet.leaves and packet.kind == stun.REQUEST:
                asked[packet.source].add(packet.target)
            elif not packet.leaves and packet.kind == stun.SUCCESS and packet.target in asked:
                known = asked[packet.target]
                name = OWN if packet.source in known else STRANGER
                if name == STRANGER and packet.source[0] in {ip for ip, _ in known}:
                    name = ADDRESS
                if packet.target[1] in self.published and name != OWN:
                    name = "published"
                found[name].add((packet.key, packet.source) in came_in)
        return found

    @property
    def mapping(self):
        seen = set()
        for source, by_target in self.externals.items():
            every = set().union(*by_target.values())
            if every == {source}:
                seen.add(worlds.NONE)
            elif len(every) > 1:
                by_ip = collections.defaultdict(set)
                for (ip, _), externals in by_target.items():
                    by_ip[ip] |= externals
                is_by_address = all(len(externals) == 1 for externals in by_ip.values())
                seen.add(worlds.ADDRESS if is_by_address else worlds.ADDRESS_AND_PORT)
            elif len({ip for ip, _ in by_target}) > 1 and len(by_target) > 2:  # enough to know
                seen.add(worlds.ENDPOINT_INDEPENDENT)
        return " and ".join(sorted(seen)) or worlds.UNKNOWN

    @property
    def filtering(self):
        if self.passed[OWN] != {True}:
            return worlds.UNKNOWN
        if self.passed[STRANGER] == {True} and False not in self.passed[ADDRESS]:
            return worlds.ENDPOINT_INDEPENDENT
        if self.passed[STRANGER] == {False} and len(self.passed[ADDRESS]) == 1:
            return worlds.ADDRESS if True in self.passed[ADDRESS] else worlds.ADDRESS_AND_PORT
        return "mixed: %s" % self.passed

    def ports(self, local_port):
        """The external addresses of a local port."""
        found = set()
        for source, by_target in self.externals.items():
            if source[1] == local_port:
                found = found.union(*by_target.values())
        return found
