# SPDX-License-Identifier: MIT
"""Writes the hand-made seeds of corpus/ (the others were found by the fuzzers). Run it again after adding one here."""
import os
import struct

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


def option(mapping_only=False, servers=1, deadline=15):
    return bytes([(1 if mapping_only else 0) | (servers - 1) << 1 | deadline << 4])


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
    "early-reject": bytes.fromhex("00f7ff03"),
    "address-changes": option() + bytes([A, PASS_TIME, 20]) + answer(0, 0, NAT, OTHER) + answer(1, 0, NAT + 1, OTHER) + answer(0, 0, NAT + 2, OTHER)
        + bytes([WAKE] * 10) + b"".join(answer(n, 0, NAT + n % 4, OTHER) for n in range(20)),
    "network-down": option(servers=4) + bytes([A, 1, 2, 3]) + bytes([UNSENT, 1] * 20),
    "no-room": option() + bytes([A]) + bytes([UNSENT, 0] * 20),
    "stopped": option() + bytes([A, WAKE, STOP]),
    "short-deadline": option(deadline=0) + bytes([A]) + bytes([WAKE] * 10),
    "ipv6": option() + bytes([0x30, PASS_TIME, 20]) + b"".join(answer(n, 0, 0x31, 0x72) for n in range(8)),
    "late-servers": option(deadline=8) + bytes([0x28]) + bytes([ADD | 0x40, 1]) + FIRST + bytes([WAKE] * 6),
}


def write(folder, name, content):
    path = os.path.join(HERE, "corpus", folder)
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, name + ".bin"), "wb") as f:
        f.write(content)


def main():
    for name, text in RFC5769.items():
        write("stun", "rfc5769-" + name, bytes.fromhex("".join(text.split())))
    for name, content in STUN.items():
        write("stun", name, content)
    for name, content in PROBE.items():
        write("probe", name, content)


main()
