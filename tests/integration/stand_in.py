# SPDX-License-Identifier: MIT
"""A server of RFC 5780, for tests of natprobe in a network of their own."""
import os
import select
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import stun  # noqa: E402


class Server(threading.Thread):
    """At two IP addresses. bound makes the socket of an IP and a port, and seen tells how a client's address looks."""

    def __init__(self, first, second, bound, seen):
        super().__init__(daemon=True)
        self.other_ip = {first: second, second: first}
        self.seen = seen
        self.at = {(ip, port): bound(ip, port) for ip in self.other_ip for port in (stun.PORT, stun.ALTERNATE_PORT)}

    def run(self):
        while True:
            for ready in select.select(self.at.values(), [], [])[0]:
                self.answer(ready)

    def answer(self, ready):
        data, client = ready.recvfrom(2000)
        request = stun.decode(data)
        ip, port = next(where for where, s in self.at.items() if s is ready)
        other = self.other_ip[ip], stun.PORT + stun.ALTERNATE_PORT - port
        source = other[0] if request.change & stun.CHANGE_IP else ip, other[1] if request.change & stun.CHANGE_PORT else port
        attributes = [(stun.XOR_MAPPED_ADDRESS, stun.encode_address(self.seen(client), request.key)),
                      (stun.OTHER_ADDRESS, stun.encode_address(other))]
        self.at[source].sendto(stun.Message(stun.SUCCESS, request.key, attributes).encode(), client)
