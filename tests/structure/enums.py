# SPDX-License-Identifier: MIT
"""docs/enums.json, from which bindings are made, is what the compiler sees in natprobe.h: every value, no more, no less."""
import json
import os
import re
import subprocess
import tempfile

import common


def names_in_header(header):
    """{enum or "macros": [names]} as written in the header."""
    text = common.without_comments(common.read(header))
    found = {enum: re.findall(r"\b(NP_\w+)\b\s*=", body) for enum, body in re.findall(r"\benum (np_\w+) \{(.*?)\}", text, flags=re.S)}
    found["macros"] = re.findall(r"^#define (NP_\w+)[ \t]+[0-9]+[ \t]*$", text, flags=re.M)
    return found


def values_differ(recorded, cc, includes):
    """Lets the compiler compare each value."""
    lines = ["#include <natprobe/natprobe.h>"]
    for group in recorded.values():
        lines += ['_Static_assert(%s == %d, "%s is not %d");' % (name, value, name, value) for name, value in group.items()]
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "enums.c")
        with open(source, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        done = subprocess.run(cc + ["-std=c11", "-fsyntax-only"] + ["-I" + i for i in includes] + [source],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return [line for line in done.stdout.splitlines() if "error" in line]


def main():
    p = common.parser(__doc__)
    p.add_argument("--cc", action="append", required=True)
    p.add_argument("record")
    p.add_argument("header")
    p.add_argument("include", nargs="+")
    args = p.parse_args()
    recorded = json.loads(common.read(args.record))
    header = names_in_header(args.header)
    problems = []
    for group in sorted(set(recorded) | set(header)):
        there, here = set(header.get(group, [])), set(recorded.get(group, {}))
        problems += ["%s: %s is not recorded" % (group, name) for name in sorted(there - here)]
        problems += ["%s: %s is not in natprobe.h" % (group, name) for name in sorted(here - there)]
    common.finish(problems + values_differ(recorded, args.cc, args.include), args.expect)


main()
