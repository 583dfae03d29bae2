# SPDX-License-Identifier: MIT
"""Layers 0 to 2 never touch the system: the core archive may need nothing from outside but the pure functions below."""
import re

import common

ALLOWED = set("""
    bcmp memchr memcmp memcpy memmove memset strchr strcmp strlen strncmp
    snprintf vsnprintf inet_ntop inet_pton
    exp log pow sqrt
""".split())
# What compilers, stack protection, fortified headers, sanitizers and coverage add by themselves.
RUNTIME = re.compile(r"(__(asan|ubsan|tsan|msan|sanitizer|gcov|llvm|profc|sancov)_\w+"
                     r"|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|_?_tls_get_addr|__(mul|udiv|umod|div|mod)\w*[sdt]i3)$")


def base_name(symbol):
    """memcpy for memcpy@GLIBC_2.14 and for __memcpy_chk."""
    symbol = symbol.split("@")[0]
    fortified = re.match(r"__(\w+)_chk$", symbol)
    return fortified.group(1) if fortified else symbol


def main():
    p = common.parser(__doc__)
    p.add_argument("nm")
    p.add_argument("archive")
    args = p.parse_args()
    undefined = set(common.run([args.nm, "-u", "-j", args.archive]).split())
    defined = set(common.run([args.nm, "--defined-only", "-j", args.archive]).split())
    if not any(symbol.startswith("npi_stun_") for symbol in defined):
        common.finish(["%s does not hold the core" % args.archive], args.expect)
    outside = {symbol for symbol in undefined - defined if not symbol.endswith(":")}
    common.finish(sorted("the core uses " + symbol for symbol in outside
                         if base_name(symbol) not in ALLOWED and not RUNTIME.match(symbol)), args.expect)


main()
