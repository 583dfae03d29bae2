# SPDX-License-Identifier: MIT
"""Exported symbols == symbol map == functions that natprobe.h declares with NP_API."""
import re

import common


def declarations(header):
    """The header without comments and preprocessor lines."""
    return re.sub(r"^\s*#.*$", "", common.without_comments(common.read(header)), flags=re.M)


def declared(header):
    return set(re.findall(r"\bNP_API\b[^;{]*?\b(\w+)\s*\(", declarations(header)))


def prototypes(header):
    return set(re.findall(r"\b(np_\w+)\s*\(", declarations(header)))


def mapped(symbol_map):
    """The names under "global:" of each node."""
    text = common.without_comments(common.read(symbol_map))
    names = set()
    for block in re.findall(r"global:(.*?)(?:local:|\})", text, flags=re.S):
        names |= set(re.findall(r"([\w*?]+)\s*;", block))
    return names


def exported(nm, library):
    names = set()
    for line in common.run([nm, "-D", "--defined-only", library]).splitlines():
        kind, name = line.split()[-2:]
        if kind != "A":  # version nodes
            names.add(re.sub(r"@.*", "", name))
    return names


def compare(left_name, left, right_name, right):
    return (["%s is in %s, not in %s" % (name, left_name, right_name) for name in sorted(left - right)]
            + ["%s is in %s, not in %s" % (name, right_name, left_name) for name in sorted(right - left)])


def main():
    p = common.parser(__doc__)
    p.add_argument("nm")
    p.add_argument("library")
    p.add_argument("symbol_map")
    p.add_argument("header")
    args = p.parse_args()
    header, listed, library = declared(args.header), mapped(args.symbol_map), exported(args.nm, args.library)
    problems = [] if header else ["no NP_API function in " + args.header]
    problems += ["%s has no NP_API in natprobe.h" % name for name in sorted(prototypes(args.header) - header)]
    problems += compare("natprobe.h", header, "the map", listed)
    problems += compare("the map", listed, "the library", library)
    common.finish(problems, args.expect)


main()
