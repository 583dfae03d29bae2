# SPDX-License-Identifier: MIT
"""Includes go down the layers only (docs/STRUCTURE.md), and programs outside see the public header alone."""
import os
import re

import common

LAYERS = [
    ["buf", "addr", "error", "log"],
    ["stun", "classify", "transaction"],
    ["limits", "probe"],
    ["transport", "resolve", "poller", "clock", "random", "servers", "sockaddr", "failure", "routing"],
    ["run", "natprobe"],
]
# Includes within a layer, and why.
AGREED = {
    ("addr", "buf"): "addresses are read from and written to bytes",
    ("transaction", "stun"): "npi_stun_id, the id by which an answer is told",
    ("probe", "limits"): "the experiment's rates and caps",
    ("resolve", "servers"): "the names to be resolved",
    ("transport", "sockaddr"): "addresses as the system has them",
    ("resolve", "sockaddr"): "addresses as the system has them",
    ("transport", "routing"): "a new socket takes the way of another",
    ("transport", "failure"): "which call failed",
    ("poller", "failure"): "which call failed",
    ("resolve", "failure"): "which call failed",
    ("resolve", "poller"): "wakes whoever waits for a name",
    ("natprobe", "run"): "the public call is the loop with its arguments checked",
}
# The system layer (3) knows nothing of STUN (1) or of the experiment (2).
FORBIDDEN = {(3, 1), (3, 2)}
# Headers of the language itself; anything else reaches for the system.
PURE = {"math.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "string.h", "inttypes.h", "natprobe/natprobe.h"}
# inet_pton and inet_ntop are pure; they come with AF_INET, which lives beside the socket calls. sans_io.py sees those.
PURE_IN_ADDR = {"arpa/inet.h", "netinet/in.h", "sys/socket.h"}
PROGRAM_BANNED = re.compile(r"natprobe/(?!natprobe\.h$)")


def module_of(path):
    """probe_schedule.c and probe_internal.h belong to the module probe; natprobe.c to natprobe."""
    return re.sub(r"_.*", "", os.path.splitext(os.path.basename(path))[0])


def layer_of(module):
    for number, modules in enumerate(LAYERS):
        if module in modules:
            return number
    return None


def includes(path):
    for number, line in enumerate(common.without_comments(common.read(path)).split("\n"), 1):
        match = re.match(r'\s*#\s*include\s*(?:"([^"]*)"|<([^>]*)>)', line)
        if match:
            yield number, match.group(1), match.group(2)


def check_quoted(module, included):
    mine, other = module_of(module), module_of(included)
    if layer_of(other) is None:
        return "%s is in no layer" % included
    if mine == other or (mine, other) in AGREED:
        return None
    upper, lower = layer_of(mine), layer_of(other)
    if lower < upper and (upper, lower) not in FORBIDDEN:
        return None
    return "%s (layer %d) must not include %s (layer %d)" % (mine, upper, included, lower)


def check_library_file(path):
    module = module_of(path)
    if layer_of(module) is None:
        return ["%s: in no layer" % path]
    problems = []
    for line, quoted, system in includes(path):
        problem = None
        if quoted:
            problem = check_quoted(module, quoted)
        elif layer_of(module) <= 2 and system not in PURE and not (module == "addr" and system in PURE_IN_ADDR):
            problem = "the core must not include <%s>" % system
        if problem:
            problems.append("%s:%d: %s" % (path, line, problem))
    return problems


def is_own(path, included):
    """A header beside the file, or the one that cgo makes of a package's exported functions."""
    return included == "_cgo_export.h" or os.path.exists(os.path.join(os.path.dirname(path), included))


def check_program_file(path):
    return ["%s:%d: a program sees only <natprobe/natprobe.h>, not %s" % (path, line, quoted or system)
            for line, quoted, system in includes(path)
            if (quoted and not is_own(path, quoted)) or (system and PROGRAM_BANNED.match(system))]


def main():
    p = common.parser(__doc__)
    p.add_argument("root")
    args = p.parse_args()
    library = list(common.source_files(args.root, ["libnatprobe"]))
    programs = list(common.source_files(args.root, ["examples"]))
    problems = [] if library else ["no source file under %s" % args.root]
    for path in library:
        problems += check_library_file(path)
    for path in programs:
        problems += check_program_file(path)
    common.finish(problems, args.expect)


main()
