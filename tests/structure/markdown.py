# SPDX-License-Identifier: MIT
"""Documents can be read in a terminal: no line of Markdown is too long, but for tables and code blocks."""
import os

import common

LONGEST = 100
FOLDERS = ["docs", "examples", "tests"]
SEEDED = os.path.join("structure", "mutants") + os.sep


def documents(root):
    yield from (os.path.join(root, name) for name in sorted(os.listdir(root)) if name.endswith(".md"))
    for path in common.source_files(root, FOLDERS, (".md",)):
        if SEEDED not in os.path.relpath(path, root):
            yield path


def long_lines(path):
    fence = None
    for number, line in enumerate(common.read(path).split("\n"), 1):
        text = line.strip()
        mark = text[:3]
        if mark in ("```", "~~~") and fence in (None, mark):
            fence = None if fence else mark
        elif fence is None and not text.startswith("|") and len(line) > LONGEST:
            yield number, len(line)
    if fence:
        yield number, "no end of a code block"


def main():
    p = common.parser(__doc__)
    p.add_argument("root")
    args = p.parse_args()
    paths = list(documents(args.root))
    problems = []
    for path in paths:
        for number, length in long_lines(path):
            what = length if isinstance(length, str) else "%d characters, %d are allowed" % (length, LONGEST)
            problems.append("%s:%d: %s" % (os.path.relpath(path, args.root), number, what))
    print("%d documents" % len(paths))
    common.finish(problems if paths else ["no document under %s" % args.root], args.expect)


main()
