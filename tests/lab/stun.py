# SPDX-License-Identifier: MIT
"""
A small STUN codec for the lab's own client and servers (RFC 8489, RFC 5780, RFC 3489). Shares nothing with the library.
"""

import ipaddress
import os
import struct

COOKIE = 0x2112A442
PORT, ALTERNATE_PORT = 3478, 3479
REQUEST, SUCCESS, FAILURE = 0x0001, 0x0101, 0x0111
MAPPED_ADDRESS, CHANGE_REQUEST, CHANGED_ADDRESS, ERROR_CODE = 0x0001, 0x0003, 0x0005, 0x0009
XOR_MAPPED_ADDRESS, RESPONSE_ORIGIN, OTHER_ADDRESS = 0x0020, 0x802B, 0x802C
CHANGE_IP, CHANGE_PORT = 4, 2


class Malformed(Exception):
    """The bytes are no STUN message."""


class Message:
    """A message with its attributes as a list of (type, value); key is the cookie and the id, 16 bytes."""

    def __init__(self, kind, key, attributes=()):
        self.kind = kind
        self.key = key
        self.attributes = list(attributes)

    def get(self, wanted):
        return next((value for kind, value in self.attributes if kind == wanted), None)

    @property
    def has_cookie(self):
        return self.key[:4] == struct.pack("!I", COOKIE)

    @property
    def change(self):
        value = self.get(CHANGE_REQUEST)
        return struct.unpack("!I", value)[0] if value and len(value) == 4 else 0

    @property
    def mapped(self):
        """(ip, port) that the server saw, or None."""
        if self.get(XOR_MAPPED_ADDRESS):
            return decode_address(self.get(XOR_MAPPED_ADDRESS), self.key)
        return decode_address(self.get(MAPPED_ADDRESS)) if self.get(MAPPED_ADDRESS) else None

    def encode(self):
        body = b""
        for kind, value in self.attributes:
            body += struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)
        return struct.pack("!HH", self.kind, len(body)) + self.key + body


def request(change=0):
    key = struct.pack("!I", COOKIE) + os.urandom(12)
    return Message(REQUEST, key, [(CHANGE_REQUEST, struct.pack("!I", change))] if change else [])


def decode(data):
    if len(data) < 20 or data[0] & 0xC0 or struct.unpack_from("!H", data, 2)[0] != len(data) - 20:
        raise Malformed
    message = Message(struct.unpack_from("!H", data)[0], data[4:20])
    at = 20
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("!HH", data, at)
        if at + 4 + size > len(data):
            raise Malformed
        message.attributes.append((kind, data[at + 4 : at + 4 + size]))
        at += 4 + size + -size % 4
    return message


def mask(data, key):
    return bytes(a ^ b for a, b in zip(data, key))


def encode_address(address, key=None):
    """Value of an address attribute; with a key that of the XOR-ed kind (RFC 8489 section 14.2)."""
    ip, port = ipaddress.ip_address(address[0]), struct.pack("!H", address[1])
    packed = ip.packed
    if key:
        port, packed = mask(port, key), mask(packed, key)
    return bytes([0, 1 if ip.version == 4 else 2]) + port + packed


def decode_address(value, key=None):
    port, packed = value[2:4], value[4:]
    if key:
        port, packed = mask(port, key), mask(packed, key)
    return str(ipaddress.ip_address(packed)), struct.unpack("!H", port)[0]


def error(code, reason):
    return ERROR_CODE, struct.pack("!HBB", 0, code // 100, code % 100) + reason.encode()
