# SPDX-License-Identifier: MIT
"""Writes the hand-made seeds of corpus/ (the others, found-*, were found by the fuzzers). Run it again after adding one here.

With --check it writes nothing and fails where a seed is missing, is not what it would write, or is known neither here nor
by the name of those that were found.
"""
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
COOKIE = bytes.fromhex("2112a442")
ID = bytes(range(1, 13))

# RFC 5769, sections 2.1 to 2.4.
RFC5769 = {
    "request": """000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36
        000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf""",
    "response-ipv4": """0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599fd9e90c3
        8c7489f92af9ba53f06be7d780280004c07d4c96""",
    "response-ipv6": """010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9
        00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c""",
    "long-term-request": """000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b900000015001c662f2f3439396b39353464
        364f4c33346f4c394653547679363473410014000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666""",
}


def attribute(kind, value, length=None):
    return struct.pack(">HH", kind, len(value) if length is None else length) + value + bytes(-len(value) % 4)


def message(kind, *attributes, cookie=COOKIE, length=None):
    body = b"".join(attributes)
    return struct.pack(">HH", kind, len(body) if length is None else length) + cookie + ID + body


def ipv4(last, port, family=1):
    return bytes([0, family]) + struct.pack(">H", port) + bytes([192, 0, 2, last])


def ipv6(last, port):
    return bytes([0, 2]) + struct.pack(">H", port) + bytes.fromhex("20010db8") + bytes(11) + bytes([last])


def xored(address, cookie=COOKIE):
    port = bytes(a ^ b for a, b in zip(address[2:4], cookie))
    ip = bytes(a ^ b for a, b in zip(address[4:], cookie + ID))
    return address[:2] + port + ip


def error(code, reason=b"no"):
    return attribute(9, bytes([0, 0, code // 100, code % 100]) + reason)


SUCCESS, FAILURE = 0x0101, 0x0111
MAPPED = attribute(0x0001, ipv4(1, 32853))
XOR_MAPPED = attribute(0x0020, xored(ipv4(1, 32853)))
CLASSIC = bytes.fromhex("01020304")

STUN = {
    "classic": message(SUCCESS, MAPPED, attribute(4, ipv4(9, 3478)), attribute(5, ipv4(10, 3479)), cookie=CLASSIC),
    "rfc5780": message(SUCCESS, XOR_MAPPED, MAPPED, attribute(0x802B, ipv4(9, 3478)), attribute(0x802C, ipv4(10, 3479))),
    "old-xor-code": message(SUCCESS, attribute(0x8020, xored(ipv4(1, 32853)))),
    "old-xor-code-classic": message(SUCCESS, attribute(0x8020, xored(ipv4(1, 32853), CLASSIC)), cookie=CLASSIC),
    "ipv6": message(SUCCESS, attribute(0x0020, xored(ipv6(1, 5000))), attribute(0x802C, ipv6(2, 3479))),
    "alg": message(SUCCESS, XOR_MAPPED, attribute(1, ipv4(77, 1))),
    "error-420": message(FAILURE, error(420), attribute(10, b"\x00\x03")),
    "error-300-alternate": message(FAILURE, error(300), attribute(0x8023, ipv4(66, 3478))),
    "error-class-7": message(FAILURE, error(777)),
    "error-short": message(FAILURE, attribute(9, b"\x00\x00\x04")),
    "error-none": message(FAILURE),
    "no-attributes": message(SUCCESS),
    "unknown-required": message(SUCCESS, XOR_MAPPED, attribute(0x0033, b"\x00" * 4)),
    "unknown-optional": message(SUCCESS, attribute(0xC0DE, b"\x00" * 7), XOR_MAPPED),
    "duplicate-attributes": message(SUCCESS, XOR_MAPPED, attribute(0x0020, xored(ipv4(2, 2)))),
    "address-empty": message(SUCCESS, attribute(1, b"")),
    "address-short": message(SUCCESS, attribute(1, ipv4(1, 1)[:7])),
    "address-long": message(SUCCESS, attribute(1, ipv4(1, 1) + b"\x00")),
    "address-ipv6-long": message(SUCCESS, attribute(0x0020, xored(ipv6(1, 5000)) + bytes(20))),
    "address-ipv6-short": message(SUCCESS, attribute(0x0020, xored(ipv6(1, 5000))[:16])),
    "family-0": message(SUCCESS, attribute(1, ipv4(1, 1, 0))),
    "family-255": message(SUCCESS, attribute(1, ipv4(1, 1, 255))),
    "attribute-past-end": message(SUCCESS, attribute(0x8022, b"abcd", 0xFFFF)),
    "attribute-length-wraps": message(SUCCESS, attribute(0x8022, b"abcd", 0xFFFD), XOR_MAPPED),
    "attribute-header-cut": message(SUCCESS, XOR_MAPPED, b"\x80\x22"),
    "length-wraps": message(SUCCESS, XOR_MAPPED, length=65532),
    "length-odd": message(SUCCESS, XOR_MAPPED, length=13),
    "trailing-byte": message(SUCCESS, XOR_MAPPED) + b"\x00",
    "unpadded-classic": message(SUCCESS, struct.pack(">HH", 0x8022, 3) + b"abc", MAPPED, cookie=CLASSIC),
    "integrity-then-more": message(SUCCESS, XOR_MAPPED, attribute(8, bytes(20)), attribute(0x0020, xored(ipv4(2, 2)))),
    "fingerprint-wrong": message(SUCCESS, XOR_MAPPED, attribute(0x8028, b"\x00" * 4)),
    "fingerprint-not-last": message(SUCCESS, attribute(0x8028, b"\x00" * 4), XOR_MAPPED),
    "request": message(0x0001),
    "indication": message(0x0011),
    "shared-secret": message(0x0102, MAPPED),
    "rtp": b"\x80" + bytes(40),
    "many-empty-attributes": message(SUCCESS, *[attribute(0x8000, b"")] * 16371),
    "padding-maximal": message(SUCCESS, XOR_MAPPED, attribute(0x0026, bytes(65468))),
    "empty": b"",
}

# Scripts of fuzz_probe.c: options, servers, then events (the kind of each is its first byte modulo 10).
WAKE, PASS_TIME, ANSWER, ANSWER_RAW, UNSENT, ADD, STOP = 0, 1, 2, 5, 7, 8, 0xF9
A, B, Q, HOST, NAT = 0, 1, 0x40, 8, 24


def answer(request, source, mapped, other):
    """A good answer to the n-th datagram sent; source 0: from where that went."""
    return bytes([ANSWER, request, source, mapped, other])


def option(mapping_only=False, servers=1, deadline=15, more=0):
    return bytes([(1 if mapping_only else 0) | (servers - 1) << 1 | deadline << 4, more])


FIRST = bytes([ADD, A])  # the server, and that no more will come
OTHER = B | Q
PROBE = {
    "silence": option() + bytes([A]) + bytes([WAKE] * 40),
    "open": option() + bytes([A, PASS_TIME, 20]) + answer(0, 0, HOST, OTHER) + answer(1, 0, HOST, OTHER) + answer(2, B | Q | 0x80, HOST, OTHER)
        + answer(3, Q | 0x80, HOST, OTHER) + b"".join(answer(n, 0, HOST, OTHER) for n in range(4, 12)),
    "behind-a-nat": option() + bytes([A, PASS_TIME, 20]) + answer(0, 0, NAT, OTHER) + answer(1, 0, NAT, OTHER)
        + b"".join(bytes([WAKE]) + answer(n, 0, NAT, OTHER) for n in range(4, 40)),
    "ignoring-server": option() + bytes([A, PASS_TIME, 20]) + b"".join(answer(n, 0, NAT, OTHER) for n in range(12)),
    "two-servers": option(servers=2) + bytes([A, 3, PASS_TIME, 20]) + b"".join(answer(n, 0, NAT, 0) for n in range(12)),
    "mapping-only": option(True, 2) + bytes([A, 3, PASS_TIME, 20]) + b"".join(answer(n, 0, NAT, 0) for n in range(6)),
    "rejecting-server": option() + bytes([A, PASS_TIME, 5]) + bytes([ANSWER_RAW, 2, 0, 0, 8, 0, 9, 0, 4, 0, 0, 4, 20]) + answer(1, 0, NAT, OTHER),
    "early-reject": bytes.fromhex("0000f7ff03"),
    "address-changes": option() + bytes([A, PASS_TIME, 20]) + answer(0, 0, NAT, OTHER) + answer(1, 0, NAT + 1, OTHER) + answer(0, 0, NAT + 2, OTHER)
        + bytes([WAKE] * 10) + b"".join(answer(n, 0, NAT + n % 4, OTHER) for n in range(20)),
    "network-down": option(servers=4) + bytes([A, 1, 2, 3]) + bytes([UNSENT, 1] * 20),
    "no-room": option() + bytes([A]) + bytes([UNSENT, 0] * 20),
    "stopped": option() + bytes([A, WAKE, STOP]),
    "short-deadline": option(deadline=0) + bytes([A]) + bytes([WAKE] * 10),
    "ipv6": option() + bytes([0x30, PASS_TIME, 20]) + b"".join(answer(n, 0, 0x31, 0x72) for n in range(8)),
    "room-for-one": option(more=1) + bytes([A, PASS_TIME, 20]) + b"".join(answer(n, 0, NAT, OTHER) for n in range(12)),
    "alternate-private": option() + bytes([A, PASS_TIME, 20]) + b"".join(answer(n, 0, NAT, HOST) + bytes([WAKE]) for n in range(12)),
    "alternate-loopback": option() + bytes([A, PASS_TIME, 20]) + b"".join(answer(n, 0, NAT, 0x10 | Q) + bytes([WAKE]) for n in range(12)),
    "silenced": option() + bytes([A, PASS_TIME, 20, 19]) + b"".join(answer(n, 0, NAT, OTHER) for n in range(12)),
    "local-address-unknown": option() + bytes([A, PASS_TIME, 20, 29, 0, NAT, 9, 39]) + bytes([WAKE] * 4),
    "late-servers": option(deadline=8) + bytes([0x28]) + bytes([ADD | 0x40, 1]) + FIRST + bytes([WAKE] * 6),
}


# Inputs of fuzz_codec.c: options, then a request, or a response attribute by attribute.
REQUEST, OF_ERROR, WITH_COOKIE, UNPADDED = 1, 2, 4, 8
XOR, XOR_OLD, PLAIN, CHANGED_TO, CHANGED, ORIGIN, SOURCE, BAD, CODE, FOREIGN, INTEGRITY, FINGERPRINT = 0, 1, 2, 3, 4, 5, 6, 7, 14, 17, 22, 23


def put4(kind, last, port=32853):
    return bytes([kind, 0]) + struct.pack(">H", port) + bytes([192, 0, 2, last, 0])


def put6(kind, last, port=32853, form=1):
    return bytes([kind, form]) + struct.pack(">H", port) + bytes.fromhex("20010db8") + bytes(11) + bytes([last, 0])


def response(options, *attributes):
    return bytes([options, 0]) + CLASSIC + ID + b"".join(attributes)


CODE_420 = bytes([CODE, 6, 0, 0, 4, 20]) + b"no" + bytes(2)
CODEC = {
    "request": bytes([REQUEST, 0, 0, 0, 0, 0]) + CLASSIC + ID,
    "request-change": bytes([REQUEST, 0, 0, 0, 0, 6]) + CLASSIC + ID,
    "request-classic-change": bytes([REQUEST, 1, 255, 255, 255, 255]) + CLASSIC + ID,
    "rfc5780": response(WITH_COOKIE, put4(XOR, 1), put4(PLAIN, 1), put4(ORIGIN, 9, 3478), put4(CHANGED_TO, 10, 3479)),
    "rfc3489": response(0, put4(PLAIN, 1), put4(SOURCE, 9, 3478), put4(CHANGED, 10, 3479)),
    "rfc3489-old-xor": response(0, put4(XOR_OLD, 1), put4(CHANGED, 10, 3479)),
    "ipv6": response(WITH_COOKIE, put6(XOR, 1), put6(CHANGED_TO, 2)),
    "ipv4-mapped": response(WITH_COOKIE, put6(XOR, 1, form=3), put6(CHANGED_TO, 2, form=3)),
    "rewritten": response(WITH_COOKIE, put4(XOR, 1), put4(PLAIN, 2)),
    "first-counts": response(WITH_COOKIE, put4(XOR, 1), put4(XOR, 2), put4(CHANGED_TO, 3), put4(CHANGED_TO, 4)),
    "bad-then-good": response(WITH_COOKIE, bytes([BAD, 7]) + bytes(8), put4(XOR, 1)),
    "error-420": response(WITH_COOKIE | OF_ERROR, CODE_420),
    "error-twice": response(WITH_COOKIE | OF_ERROR, CODE_420, bytes([CODE, 4, 0, 0, 5, 0])),
    "error-not-allowed": response(WITH_COOKIE | OF_ERROR, bytes([CODE, 4, 0, 0, 2, 0]), bytes([CODE, 4, 0, 0, 4, 100]), CODE_420),
    "unknown-optional": response(WITH_COOKIE, bytes([FOREIGN, 0xC0, 0xDE, 3]) + b"abc" + bytes(1), put4(XOR, 1)),
    "unknown-required": response(WITH_COOKIE, bytes([FOREIGN, 0, 0x33, 4]) + b"abcd", put4(XOR, 1)),
    "integrity": response(WITH_COOKIE, put4(XOR, 1), bytes([INTEGRITY, 0]) + bytes(20), put4(CHANGED_TO, 10), bytes([FOREIGN, 0, 0x33, 0])),
    "fingerprint": response(WITH_COOKIE, put4(XOR, 1), bytes([FINGERPRINT, 0])),
    "fingerprint-wrong": response(WITH_COOKIE, put4(XOR, 1), bytes([FINGERPRINT, 1])),
    "fingerprint-not-last": response(WITH_COOKIE, bytes([FINGERPRINT, 0]), put4(XOR, 1)),
    "fingerprint-classic": response(0, bytes([FINGERPRINT, 1]), put4(PLAIN, 1)),
    "unpadded": response(UNPADDED, bytes([FOREIGN, 0xC0, 0xDE, 5]) + b"abcde", put4(PLAIN, 1)),
    "nobody": response(WITH_COOKIE, bytes([XOR, 0, 0, 0, 0, 0, 0, 0, 0])),
}

# What a user may write for a server.
NAMES = {
    "name": "stun.example.org", "name-port": "stun.example.org:3479", "name-dot": "example.org.", "ipv4": "192.0.2.1", "ipv4-port": "192.0.2.1:80",
    "ipv6": "2001:db8::1", "ipv6-brackets": "[2001:db8::1]", "ipv6-port": "[2001:db8::1]:3478", "ipv6-full": "1:2:3:4:5:6:7:8",
    "ipv6-ipv4": "::ffff:192.0.2.1", "ipv6-any": "::", "ipv6-end": "1:2:3:4:5:6:7::", "ipv6-zone": "fe80::1%eth0", "ipv6-bare-port": "2001:db8::1:3478",
    "zone-bracket": "[fe80::1%lo]:3478", "zone-uri": "stun:[fe80::1%25lo]", "zone-global": "2001:db8::1%lo",
    "uri": "stun:stun.example.org", "uri-port": "STUN:stun.example.org:3478", "uri-ipv6": "stun:[::1]:3478", "uri-ipv6-bare": "stun:::1",
    "secure": "stuns:stun.example.org", "turn": "turn:stun.example.org", "number": "1.2.3", "hexadecimal": "0x7f.1", "hexadecimal-label": "a.0xff",
    "octal": "010.0.0.1", "port-0": "a:0", "port-65535": "a:65535", "port-65536": "a:65536", "port-empty": "a:", "port-zeros": "a:00080",
    "port-long": "a:000080", "label-63": "a" * 63 + ".b", "label-64": "a" * 64 + ".b", "length-253": "a." * 126 + "b", "length-255": "a." * 127 + "b",
    "length-256": "a." * 127 + "bb", "length-257": "a." * 128 + "b",
    "dots": "a..b", "dot": ".", "underscore": "_stun._udp.example.org", "space": "a b", "control": "a\x01", "high": "a\u00e4", "empty": "",
    "bracket-open": "[::1", "bracket-only": "[", "bracket-tail": "[::1]x", "bracket-ipv4": "[192.0.2.1]", "unspecified": "0.0.0.0",
    "built-in": "\x20" + "".join(chr(33 + n) for n in range(64)),
}

# Worlds of world_input.c, byte for byte as world_from() reads them.
PASS, NATTED, LINUX, FIREWALL, BLOCKED = 0, 1, 4, 5, 6
INDEPENDENT, BY_ADDRESS, BY_PORT = 0, 1, 2


def pick(k, n):
    """What makes choose() return k."""
    return 0 if k == 0 else next(b for b in range(128, 256) if b % n == k)


def box(kind, mapping=0, filtering=0, bits=0, changes=()):
    flags = next(b for b in range(256) if b % 7 == kind and b >> 3 == bits)
    keeps = bytes([0]) if changes else b""
    return bytes([flags, mapping, filtering, 0, 0, pick(len(changes), 5)]) + keeps + bytes(changes)


def nat(mapping, filtering, changes=()):
    flags = next(b for b in range(256) if b % 7 in (1, 2, 3) and b >> 3 == 0)
    return bytes([flags]) + box(PASS, mapping, filtering, changes=changes)[1:]


def linux(input_firewall):
    return bytes([next(b for b in range(256) if b % 7 == LINUX and bool(b & 16) == input_firewall and b & 32 == 0)]) + bytes(5)


def server(change=0, plain=0, mapped=0, other=0, dialect=0, flags=0, more=0, late=0, rtt=0, lie=None):
    code = bytes([0]) if change == 5 else b""
    return bytes([pick(change, 8)]) + code + bytes([pick(plain, 9), pick(mapped, 9), pick(other, 4), pick(dialect, 3), flags, more]) \
        + (bytes([lie]) if lie is not None else b"") + bytes([pick(late, 8), pick(rtt, 8)])


def world(*boxes, servers=(server(),), listed=None, ipv6=False, rtt=0, loss=0, bits=0):
    shape = int(ipv6) | len(boxes) << 2 | (len(servers) - 1) << 4
    link = bytes([rtt | bits, pick(loss, 7), pick(loss, 7), 0, 0])
    return bytes([shape]) + b"".join(boxes) + link + b"".join(servers) + bytes(listed or [0] * len(servers))


LONG, MAPPING_ONLY, SMALL = 0, 8, 16
WORLDS = {
    "open": world(),
    "firewall": world(box(FIREWALL, 0, BY_PORT)),
    "blocked": world(box(BLOCKED, bits=8 | 16)),
    "full-cone": world(nat(INDEPENDENT, INDEPENDENT)),
    "restricted": world(nat(INDEPENDENT, BY_ADDRESS)),
    "port-restricted": world(nat(INDEPENDENT, BY_PORT)),
    "symmetric": world(nat(BY_PORT, BY_PORT)),
    "address-dependent": world(nat(BY_ADDRESS, BY_ADDRESS)),
    "linux": world(linux(False)),
    "linux-firewall": world(linux(True)),
    "two-boxes": world(nat(INDEPENDENT, BY_PORT), nat(INDEPENDENT, INDEPENDENT)),
    "lossy": world(nat(INDEPENDENT, BY_PORT), loss=3),
    "far": world(nat(INDEPENDENT, BY_ADDRESS), rtt=6, loss=1, bits=0x70),
    "ipv6": world(box(FIREWALL, 0, BY_PORT), ipv6=True),
    "address-changes": world(nat(INDEPENDENT, BY_PORT, changes=(12,))),
    "address-changes-twice": world(nat(INDEPENDENT, BY_PORT, changes=(12, 20))),
    "ignores": world(nat(INDEPENDENT, BY_PORT), servers=(server(change=1), server())),
    "ignores-alone": world(nat(INDEPENDENT, BY_ADDRESS), servers=(server(change=1),)),
    "port-only": world(nat(INDEPENDENT, BY_ADDRESS), servers=(server(change=2),)),
    "ip-only": world(nat(INDEPENDENT, BY_PORT), servers=(server(change=3),)),
    "rejects": world(nat(INDEPENDENT, BY_PORT), servers=(server(change=5), server(change=5))),
    "drops": world(nat(INDEPENDENT, BY_PORT), servers=(server(change=6),)),
    "partly": world(nat(INDEPENDENT, BY_PORT), servers=(server(change=2), server(change=3), server(change=7))),
    "deaf": world(nat(INDEPENDENT, BY_PORT), servers=(server(flags=7),)),
    "plain-two": world(nat(INDEPENDENT, BY_PORT), servers=(server(other=1, flags=0x18), server(other=1, flags=0x18)), listed=(1, 1)),
    "classic": world(nat(INDEPENDENT, BY_PORT), servers=(server(mapped=3, other=2, dialect=2),)),
    "silent-first": world(nat(INDEPENDENT, BY_PORT), servers=(server(plain=1), server())),
    "garbage": world(nat(INDEPENDENT, BY_PORT), servers=(server(plain=2), server(plain=3), server(plain=4), server(plain=6, lie=5))),
    "elsewhere": world(nat(INDEPENDENT, INDEPENDENT), servers=(server(plain=8), server(plain=8))),
    "rate-limited": world(nat(INDEPENDENT, BY_PORT), servers=(server(more=0x40),)),
    "flooded": world(nat(INDEPENDENT, BY_PORT), servers=(server(more=0x30),)),
    "listed-alternate": world(nat(INDEPENDENT, BY_PORT), servers=(server(), server()), listed=(0, 0x12)),
    "names-fail": world(servers=(server(), server()), listed=(8, 8)),
    "no-route": world(servers=(server(flags=0x80), server())),
}
for k in range(12):
    WORLDS["lie-%d" % k] = world(nat(INDEPENDENT, BY_PORT), servers=(server(flags=0x20, lie=k), server()))
WORLD = {name: content + bytes([LONG]) for name, content in WORLDS.items()}
WORLD["mapping-only"] = WORLDS["plain-two"] + bytes([MAPPING_ONLY])
WORLD["room-for-one"] = WORLDS["port-restricted"] + bytes([SMALL])
WORLD["short"] = WORLDS["port-restricted"] + bytes([2])
LOSE, REFUSE, PASS_SOME, END, HUSH, FORGE = 128 + 64, 128 + 80, 128 + 88, 128 + 96, 128 + 104, 128 + 112
WORLD["interference"] = WORLDS["port-restricted"] + bytes([LONG, 0, LOSE, 0, REFUSE, 0, 0, FORGE, 0, FORGE + 1, 0, FORGE + 2, 0, FORGE + 3, 0, 40,
                                                           FORGE + 4, 0, 25, 1, PASS_SOME, 100, REFUSE, 2, LOSE, 0, LOSE])
WORLD["stopped"] = WORLDS["port-restricted"] + bytes([LONG, 0, 0, 0, END])
WORLD["hushed"] = WORLDS["port-restricted"] + bytes([LONG, 0, 0, HUSH])

# Programs of fuzz_calls.c: a world, then calls. OTHER_HANDLE makes a call one of the second handle.
(MAKE, FREE, SET_ANY, _, SET_SOURCE, SET_SOCKET, ADD_SERVER, _, SET_EVENTS, SET_LOG, START, PROCESS, RUN, CANCEL, LOOP, _, PLAN, IN_CALLBACK, PASS_MS,
 OPEN_SOCKET, CLOSE_SOCKET, PUT_FOREIGN, PUT_RAW, CHECK_AT_ONCE, PASS_NULL, NAMES_OF, SET_TIMEOUT, SET_TESTS, CLEAR) = range(29)
OTHER_HANDLE = 128


def interrupting(call):
    """What makes PLAN interrupt the calls of a kind instead of refusing them."""
    return next(b for b in range(192, 256) if b % 25 == call)


LISTED = 128  # of ADD_SERVER: the servers of the world, from here on
TOLD = bytes([SET_LOG, 5, SET_EVENTS, 0])
BEGIN = bytes([MAKE]) + TOLD + bytes([ADD_SERVER, LISTED])
NATTED_WORLD = WORLDS["port-restricted"]
ALL_IN_LOOP = bytes([START, LOOP, 0])
CALLS = {
    "run": NATTED_WORLD + BEGIN + bytes([RUN]),
    "run-twice": NATTED_WORLD + BEGIN + bytes([RUN, RUN, FREE]),
    "loop": NATTED_WORLD + BEGIN + ALL_IN_LOOP,
    "names": NATTED_WORLD + bytes([MAKE]) + TOLD + bytes([ADD_SERVER, 0, ADD_SERVER, 1, RUN]),
    "names-odd": NATTED_WORLD + bytes([MAKE]) + TOLD + b"".join(bytes([ADD_SERVER, n]) for n in range(4, 10)) + ALL_IN_LOOP,
    "names-none": NATTED_WORLD + bytes([MAKE]) + TOLD + bytes([ADD_SERVER, 6, ADD_SERVER, 5, RUN]),
    "built-in": NATTED_WORLD + bytes([MAKE]) + TOLD + ALL_IN_LOOP,
    "freed-while-looking-up": NATTED_WORLD + bytes([MAKE, ADD_SERVER, 4, START, PROCESS, FREE]),
    "cancelled": NATTED_WORLD + BEGIN + bytes([START, PROCESS, CANCEL, PROCESS, PROCESS]),
    "cancelled-before": NATTED_WORLD + BEGIN + bytes([CANCEL, RUN, RUN]),
    "interrupted": NATTED_WORLD + BEGIN + bytes([PLAN, interrupting(10), 3, RUN]),
    "cancelled-in-callback": NATTED_WORLD + BEGIN + bytes([IN_CALLBACK, 1, 3, RUN]),
    "freed-in-callback": NATTED_WORLD + BEGIN + bytes([IN_CALLBACK, 2, 3, RUN]),
    "freed-in-start": NATTED_WORLD + BEGIN + bytes([IN_CALLBACK, 2, 0, START]),
    "calls-in-callback": NATTED_WORLD + BEGIN + bytes([IN_CALLBACK, 4, 2, RUN]),
    "sets-in-callback": NATTED_WORLD + BEGIN + bytes([IN_CALLBACK, 7, 2, RUN]),
    "two-handles": NATTED_WORLD + BEGIN + bytes([OTHER_HANDLE | MAKE, OTHER_HANDLE | ADD_SERVER, LISTED, START, OTHER_HANDLE | START, LOOP, 140,
                                                 OTHER_HANDLE | LOOP, 0, LOOP, 0]),
    "other-in-callback": NATTED_WORLD + BEGIN + bytes([OTHER_HANDLE | MAKE, OTHER_HANDLE | ADD_SERVER, LISTED, OTHER_HANDLE | START, IN_CALLBACK, 5, 1, RUN]),
    "own-socket": NATTED_WORLD + BEGIN + bytes([OPEN_SOCKET, 0, SET_SOCKET, 0, START, PUT_FOREIGN, 0, 5, PUT_FOREIGN, 0, 200, LOOP, 140, PUT_RAW, 0, 2, 1, 1,
                                                PUT_FOREIGN, 0, 201, LOOP, 0, PUT_FOREIGN, 0, 1]),
    "own-socket-error": NATTED_WORLD + BEGIN + bytes([OPEN_SOCKET, 0, SET_SOCKET, 0, START, PUT_RAW, 0, 255, PUT_FOREIGN, 0, 9, LOOP, 0]),
    "own-socket-freed": NATTED_WORLD + BEGIN + bytes([OPEN_SOCKET, 0, SET_SOCKET, 0, START, IN_CALLBACK, 2, 0, PUT_FOREIGN, 0, 200, LOOP, 0]),
    "own-socket-dual": NATTED_WORLD + BEGIN + bytes([OPEN_SOCKET, 1, SET_SOCKET, 0, RUN]),
    "own-socket-closed": NATTED_WORLD + BEGIN + bytes([OPEN_SOCKET, 0, SET_SOCKET, 0, CLOSE_SOCKET, 0, RUN]),
    "own-socket-bad": NATTED_WORLD + BEGIN + b"".join(bytes([OPEN_SOCKET, n, SET_SOCKET, n]) for n in range(7)) + bytes([RUN]),
    "own-socket-ipv6": WORLDS["ipv6"] + BEGIN + bytes([OPEN_SOCKET, 2, SET_SOCKET, 0, RUN]),
    "ipv6": WORLDS["ipv6"] + BEGIN + bytes([RUN]),
    "ipv6-by-name": WORLDS["ipv6"] + bytes([MAKE]) + TOLD + bytes([ADD_SERVER, 0, ADD_SERVER, 14, RUN]),
    "loopback": NATTED_WORLD + BEGIN + bytes([SET_SOURCE, 2, 0, RUN]),
    "source-taken": NATTED_WORLD + BEGIN + bytes([OPEN_SOCKET, 0, SET_SOURCE, 0, 2, RUN]),
    "source-not-own": NATTED_WORLD + BEGIN + bytes([SET_SOURCE, 7, 0, RUN]),
    "source-on-link": WORLDS["ipv6"] + BEGIN + bytes([SET_SOURCE, 10, 0, RUN, SET_SOURCE, 11, 0, RUN]),
    "source-no-link": WORLDS["ipv6"] + BEGIN + bytes([SET_SOURCE, 12, 0, RUN]),
    "source-mapped": NATTED_WORLD + BEGIN + bytes([SET_SOURCE, 13, 0, RUN]),
    "families-apart": NATTED_WORLD + BEGIN + bytes([SET_SOURCE, 1, 0, SET_ANY, 4, 4, RUN]),
    "no-time": NATTED_WORLD + BEGIN + bytes([SET_TIMEOUT, 2, RUN]),
    "blocked": WORLDS["blocked"] + BEGIN + bytes([RUN]),
    "no-route": WORLDS["no-route"] + BEGIN + bytes([RUN]),
    "at-once": NATTED_WORLD + bytes([CHECK_AT_ONCE, 0, CHECK_AT_ONCE, 192, CHECK_AT_ONCE, 193, CHECK_AT_ONCE, 194, CHECK_AT_ONCE, 195, CHECK_AT_ONCE, 4, CHECK_AT_ONCE, 185]),
    "null": NATTED_WORLD + bytes([PASS_NULL, PROCESS, RUN, START, CANCEL, FREE, MAKE, PASS_NULL, PROCESS, NAMES_OF, 70, NAMES_OF, 200]),
    "mapping-only": WORLDS["plain-two"] + BEGIN + bytes([ADD_SERVER, LISTED + 1, SET_TESTS, 1, RUN]),
    "tests-bad": NATTED_WORLD + BEGIN + b"".join(bytes([SET_TESTS, n]) for n in (0, 4, 5, 255, 251, 2)) + bytes([RUN]),
    "many-servers": NATTED_WORLD + bytes([MAKE]) + bytes([ADD_SERVER, 10] * 34) + bytes([CLEAR, ADD_SERVER, LISTED, RUN]),
}
for k in range(25):  # each call of the system fails: the first time, the third time, and from the second time on
    CALLS["fails-%02d" % k] = NATTED_WORLD + BEGIN[:5] + bytes([PLAN, k, 0, 0, ADD_SERVER, 0, RUN, PLAN, k, 2, 0, RUN, PLAN, k, 193, 0]) + ALL_IN_LOOP
PROFILES = {
    "nothing": "np1",
    "all": "np1 m=apd f=ad fp=1 v=4 x=203.0.113.7:54320 b=0 ips=2 pk=1/3 ps=-2 trap=1 t=1795651200",
    "ipv6": "np1 m=none f=ei v=6 x=[2001:db8::1]:65535 b=1",
    "ipv6-bare": "np1 x=2001:db8::1 v=6 f=dep m=dep",
    "mapped": "np1 x=[::ffff:192.0.2.1]",
    "unknown-keys": "np1 zz=1 m=? a9=b=c trap=? fp=0",
    "twice": "np1 m=ei m=ei",
    "later": "np2 m=ei",
    "longest": "np1 z=" + "x" * 153,
    "too-long": "np1 z=" + "x" * 154,
    "multicast": "np1 x=224.0.0.1:1",
    "ports": "np1 pk=3/1",
    "families": "np1 v=6 x=192.0.2.1",
    "pair": "np1 m=ei f=ad fp=1 v=4 x=203.0.113.7:1 ips=1 trap=0 t=99\nnp1 m=apd f=apd v=4 x=198.51.100.2 ips=1 t=99",
    "pair-same": "np1 m=ei f=ei x=192.0.2.1\nnp1 m=? f=apd x=192.0.2.1:9 b=0",
    "pair-unknown": "np1 m=? f=? v=4\nnp1 m=dep f=dep ips=2",
}
# macOS, FreeBSD, OpenBSD, NetBSD: their number, the size of a header, where flags and addresses are, and the gap.
KERNELS = {"macos": (0, 92, 8, 12, 4, 5), "freebsd": (1, 152, 8, 12, 8, 5), "openbsd": (2, 96, 16, 12, 8, 5),
           "netbsd": (3, 120, 8, 12, 8, 4)}


def name_of(ip, align, length=16, family=2):
    name = (bytes([length, family, 0, 0]) + bytes(ip))[:length].ljust(length, b"\0")
    return name + bytes(-len(name) % align if length else align)


def route(kernel, network, mask, hop, flags=0):
    _, size, flags_at, addrs_at, align, version = KERNELS[kernel]
    header = bytearray(size)
    header[2:4] = bytes([version, 4])
    struct.pack_into("<I", header, flags_at, flags | 1 | (2 if hop else 0))
    struct.pack_into("<I", header, addrs_at, 7)
    struct.pack_into("<H", header, 6 if kernel == "openbsd" else 4, 5)
    if kernel == "openbsd":
        struct.pack_into("<H", header, 4, size)
    body = name_of(network, align) + (name_of(hop, align) if hop else name_of(b"", align, 20, 18))
    body += name_of(mask, align, 4 + len(mask), 255) if mask else name_of(b"", align, 0)
    struct.pack_into("<H", header, 0, size + len(body))
    return bytes(header) + body


def table(kernel):
    """Short enough for replay.c to change it."""
    routes = [
        route(kernel, [0, 0, 0, 0], [], [192, 168, 1, 1]),
        route(kernel, [192, 168, 1, 0], [255, 255, 255], None),
        route(kernel, [203, 0, 113, 0], [255, 255, 255], [192, 168, 1, 2], 0x1000000 if kernel == "macos" else 0),
        route(kernel, [203, 0, 113, 0], [255, 255, 255, 128], [192, 168, 1, 3], 8),
    ]
    return bytes([KERNELS[kernel][0]]) + b"".join(routes if KERNELS[kernel][1] < 100 else routes[::2])


def gateway_says(answer, seen=(203, 0, 113, 7), several=0):
    return bytes([4, len(answer)]) + bytes(answer) + bytes([several, *seen])


GATEWAY = {
    **{"table-" + kernel: table(kernel) for kernel in KERNELS},
    "seen": gateway_says([0, 128, 0, 0, 0, 0, 0, 1, 203, 0, 113, 7]),
    "behind": gateway_says([0, 128, 0, 0, 0, 0, 0, 1, 100, 64, 0, 2]),
    "behind-several": gateway_says([0, 128, 0, 0, 0, 0, 0, 1, 10, 0, 0, 2], several=1),
    "behind-inside": gateway_says([0, 128, 0, 0, 0, 0, 0, 1, 10, 0, 0, 2], (10, 0, 0, 3)),
    "differs": gateway_says([0, 128, 0, 0, 0, 0, 0, 1, 203, 0, 113, 8]),
    "nonsense": gateway_says([0, 128, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
    "itself": gateway_says([0, 128, 0, 0, 0, 0, 0, 1, 192, 168, 1, 1]),
    "failure": gateway_says([0, 128, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0]),
    "pcp": gateway_says([2, 128, 0, 1] + [0] * 20),
    "request": gateway_says([0, 0]),
}

FOLDERS = {
    "stun": dict({"rfc5769-" + name: bytes.fromhex("".join(text.split())) for name, text in RFC5769.items()}, **STUN),
    "codec": CODEC,
    "names": {name: text.encode() for name, text in NAMES.items()},
    "profile": {name: text.encode() for name, text in PROFILES.items()},
    "gateway": GATEWAY,
    "probe": PROBE,
    "world": WORLD,
    "calls": CALLS,
}


def path_of(folder, name):
    return os.path.join(HERE, "corpus", folder, name + ".bin")


def write(folder, name, content):
    os.makedirs(os.path.dirname(path_of(folder, name)), exist_ok=True)
    with open(path_of(folder, name), "wb") as f:
        f.write(content)


def read(folder, name):
    if not os.path.exists(path_of(folder, name)):
        return None
    with open(path_of(folder, name), "rb") as f:
        return f.read()


def check():
    """What is wrong with the folders."""
    problems = []
    for folder, seeds in FOLDERS.items():
        problems += ["%s/%s.bin is not what %s makes" % (folder, name, os.path.basename(__file__))
                     for name, content in seeds.items() if read(folder, name) != content]
        for entry in sorted(os.listdir(os.path.join(HERE, "corpus", folder))):
            name, suffix = os.path.splitext(entry)
            if suffix != ".bin" or (name not in seeds and not name.startswith("found-")):
                problems.append("%s/%s is of unknown origin" % (folder, entry))
    return problems


def main():
    if sys.argv[1:] == ["--check"]:
        problems = check()
        print("\n".join(problems) if problems else "all seeds are as they are made")
        sys.exit(1 if problems else 0)
    for folder, seeds in FOLDERS.items():
        for name, content in seeds.items():
            write(folder, name, content)


if __name__ == "__main__":
    main()
