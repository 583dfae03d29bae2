# SPDX-License-Identifier: MIT
"""
STUN servers that behave as servers on the internet do, well and badly: one process, one address pair per behaviour.

The table below is also what the lab expects of a client: FLOOR is how much it must at least find out when it has this
server alone. More is welcome, wrong is not.
"""

import collections
import dataclasses
import heapq
import os
import select
import socket
import struct
import sys
import time

import stun

NOTHING, ADDRESS, MAPPING, FULL = "nothing", "address", "mapping", "full"
PREFIX = "203.0.113."
BYSTANDER = (PREFIX + "99", stun.ALTERNATE_PORT)  # somebody else's host, which never asked for a packet


@dataclasses.dataclass(frozen=True)
class Behaviour:
    floor: str
    change: str = "honour"  # what CHANGE-REQUEST does: honour, ignore, reject, drop, port-only, ip-only
    other: object = "true"  # OTHER-ADDRESS: "true", None, or the address named instead
    alive: bool = True  # whether the alternate address answers
    form: str = "modern"  # modern, classic (only RFC 3489 requests, only its attributes) or xor-only
    spoil: str = ""  # how answers are spoilt on their way out, see SPOILERS
    late: float = 0  # seconds by which answers to CHANGE-REQUEST come late
    lie: str = ""  # see Liar


BEHAVIOURS = {
    "good": Behaviour(FULL),
    "ignores": Behaviour(MAPPING, change="ignore"),
    "ignores-one-address": Behaviour(ADDRESS, change="ignore", other=None, alive=False),
    "xor-only": Behaviour(ADDRESS, change="ignore", other=None, alive=False, form="xor-only"),
    "rejects": Behaviour(MAPPING, change="reject"),
    "rejects-one-address": Behaviour(ADDRESS, change="reject", other=None, alive=False),
    "drops": Behaviour(MAPPING, change="drop"),
    "drops-one-address": Behaviour(ADDRESS, change="drop", other=None, alive=False),
    "changes-port-only": Behaviour(MAPPING, change="port-only"),
    "changes-ip-only": Behaviour(MAPPING, change="ip-only"),
    "dead-alternate": Behaviour(ADDRESS, alive=False, other=BYSTANDER),
    "closed-alternate": Behaviour(ADDRESS, alive=False),
    "private-alternate": Behaviour(ADDRESS, other=("192.168.1.1", 3479)),
    "loopback-alternate": Behaviour(ADDRESS, other=("127.0.0.1", 3479)),
    "multicast-alternate": Behaviour(ADDRESS, other=("224.0.0.1", 3479)),
    "any-alternate": Behaviour(ADDRESS, other=("0.0.0.0", 3479)),
    "own-alternate": Behaviour(ADDRESS, other="own"),
    "classic": Behaviour(ADDRESS, form="classic"),
    "late": Behaviour(MAPPING, late=0.7),
    "noisy": Behaviour(FULL, spoil="noise-first"),
    "repeats": Behaviour(FULL, spoil="repeat"),
    "garbage": Behaviour(NOTHING, spoil="garbage"),
    "cut-short": Behaviour(NOTHING, spoil="cut"),
    "wrong-id": Behaviour(NOTHING, spoil="wrong-id"),
    "echo": Behaviour(NOTHING, spoil="echo"),
    "redirects": Behaviour(NOTHING, spoil="redirect"),
    "unauthorised": Behaviour(NOTHING, spoil="unauthorised"),
    "mapped-nowhere": Behaviour(NOTHING, spoil="nowhere"),
}

# What a survey has to see through beside these. No check needs to find out anything with them.
LIARS = {
    "external-wrong": Behaviour(NOTHING, lie="external"),
    "external-changes": Behaviour(NOTHING, lie="external-changes"),
    "alternate-changes": Behaviour(NOTHING, lie="alternate-changes"),
    "honours-now-and-then": Behaviour(NOTHING, lie="change-now-and-then"),
    "answers-twice": Behaviour(NOTHING, lie="two-faced"),
    "answers-from-elsewhere": Behaviour(NOTHING, lie="elsewhere"),
    "lazy": Behaviour(NOTHING, lie="lazy"),
    "floods": Behaviour(NOTHING, lie="flood"),
}
ALL = {**BEHAVIOURS, **LIARS}

SPOILERS = {
    "": lambda request, answer: [answer],
    "noise-first": lambda request, answer: [b"", os.urandom(3), os.urandom(64), request, answer[:-1], answer],
    "repeat": lambda request, answer: [answer] * 20,
    "garbage": lambda request, answer: [os.urandom(len(answer))],
    "cut": lambda request, answer: [answer[:-4]],
    "wrong-id": lambda request, answer: [answer[:8] + os.urandom(12) + answer[20:]],
    "echo": lambda request, answer: [request],
    "redirect": lambda request, answer: [
        failure(request, 300, "Try Alternate", [(0x8023, stun.encode_address(BYSTANDER))])
    ],
    "unauthorised": lambda request, answer: [failure(request, 401, "Unauthorized")],
    "nowhere": lambda request, answer: [
        stun.Message(
            stun.SUCCESS, request[4:20], [(stun.XOR_MAPPED_ADDRESS, stun.encode_address(("0.0.0.0", 0), request[4:20]))]
        ).encode()
    ],
}


def failure(request, code, reason, attributes=()):
    return stun.Message(stun.FAILURE, request[4:20], [stun.error(code, reason), *attributes]).encode()


def addresses(name):
    """The two IP addresses of a behaviour."""
    first = 100 + 2 * list(ALL).index(name)
    return PREFIX + str(first), PREFIX + str(first + 1)


class OddServer:
    """One behaviour on its addresses A and B with ports P and Q; sockets are open only where it is alive."""

    def __init__(self, name):
        self.behaviour = ALL[name]
        self.ips = addresses(name)
        self.sockets = {}
        for ip in self.ips[: 2 if self.behaviour.alive else 1]:
            for port in (stun.PORT, stun.ALTERNATE_PORT):
                self.sockets[ip, port] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self.sockets[ip, port].bind((ip, port))

    def flipped(self, at, change):
        ip = self.ips[self.ips[0] == at[0]] if change & stun.CHANGE_IP else at[0]
        port = stun.PORT + stun.ALTERNATE_PORT - at[1] if change & stun.CHANGE_PORT else at[1]
        return ip, port

    def answers_from(self, at, change):
        """The address from which to answer, or None for silence."""
        how = self.behaviour.change
        if how in ("ignore", "reject") or not change:
            return at
        kept = {"port-only": stun.CHANGE_PORT, "ip-only": stun.CHANGE_IP}.get(how, stun.CHANGE_IP | stun.CHANGE_PORT)
        return None if how == "drop" else self.flipped(at, change & kept)

    def other_address(self, at):
        other = self.behaviour.other
        if other == "true":
            return self.flipped(at, stun.CHANGE_IP | stun.CHANGE_PORT)
        return self.flipped(at, stun.CHANGE_PORT) if other == "own" else other

    def answer(self, request, client, at, source):
        form, other = self.behaviour.form, self.other_address(at)
        attributes = [(stun.XOR_MAPPED_ADDRESS, stun.encode_address(client, request.key))]
        if form != "xor-only":
            attributes.append((stun.MAPPED_ADDRESS, stun.encode_address(client)))
        if form == "classic":
            del attributes[0]
        elif form == "modern":
            attributes.append((stun.RESPONSE_ORIGIN, stun.encode_address(source)))
        if other:
            attributes.append(
                (stun.CHANGED_ADDRESS if form == "classic" else stun.OTHER_ADDRESS, stun.encode_address(other))
            )
        return stun.Message(stun.SUCCESS, request.key, attributes).encode()

    def reply(self, data, client, at):
        """[(delay, socket, bytes)] with which a datagram is answered."""
        try:
            request = stun.decode(data)
        except stun.Malformed:
            return []
        if request.kind != stun.REQUEST or (self.behaviour.form == "classic" and request.has_cookie):
            return []
        source = self.answers_from(at, request.change)
        if source not in self.sockets:
            return []
        if request.change and self.behaviour.change == "reject":
            return [
                (
                    0,
                    self.sockets[at],
                    failure(data, 420, "Unknown Attribute", [(0x000A, struct.pack("!H", stun.CHANGE_REQUEST))]),
                )
            ]
        spoilt = SPOILERS[self.behaviour.spoil](data, self.answer(request, client, at, source))
        return [(self.behaviour.late if request.change else 0, self.sockets[source], piece) for piece in spoilt]


class Liar(OddServer):
    """One that is honest but for one thing, which its name says."""

    FLOOD = 6000  # datagrams for each request

    def __init__(self, name):
        super().__init__(name)
        self.lie = self.behaviour.lie
        self.times = collections.Counter()  # that a client has asked one thing
        self.is_odd_time = False

    def answers_from(self, at, change):
        if self.lie == "change-now-and-then" and self.is_odd_time:
            return at
        return super().answers_from(at, stun.CHANGE_PORT if self.lie == "elsewhere" and not change else change)

    def other_address(self, at):
        return BYSTANDER if self.lie == "alternate-changes" and self.is_odd_time else super().other_address(at)

    def answer(self, request, client, at, source):
        if self.lie == "external":
            client = (BYSTANDER[0], client[1])
        elif self.lie == "external-changes":
            client = (client[0], 1024 + sum(self.times.values()))
        return super().answer(request, client, at, source)

    def reply(self, data, client, at):
        asked = client, at, data[20:]
        self.times[asked] += 1
        self.is_odd_time = self.times[asked] % 2 == 0
        answers = super().reply(data, client, at)
        is_plain = len(data) == 20
        if self.lie == "lazy" and at == (self.ips[0], stun.PORT) and is_plain and self.times[asked] % 3:
            return []
        if self.lie == "two-faced" and answers and not is_plain:
            return answers + [(0, self.sockets[at], answers[0][2])]
        if self.lie == "flood" and answers:
            return answers + [(0, self.sockets[at], b"flood")] * self.FLOOD
        return answers


def serve(servers):
    poller = select.poll()
    by_fd = {}
    for server in servers:
        for at, sock in server.sockets.items():
            by_fd[sock.fileno()] = (server, sock, at)
            poller.register(sock, select.POLLIN)
    waiting = []  # heap of (when, number, socket, bytes, client)
    number = 0
    while True:
        pause = max(0, (waiting[0][0] - time.monotonic()) * 1000) if waiting else None
        for fd, _ in poller.poll(pause):
            server, sock, at = by_fd[fd]
            data, client = sock.recvfrom(2048)
            for delay, out, piece in server.reply(data, client, at):
                number += 1
                heapq.heappush(waiting, (time.monotonic() + delay, number, out, piece, client))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, out, piece, client = heapq.heappop(waiting)
            out.sendto(piece, client)


def main():
    serve([Liar(name) if name in LIARS else OddServer(name) for name in sys.argv[1:] or BEHAVIOURS])


if __name__ == "__main__":
    main()
