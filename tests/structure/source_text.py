# SPDX-License-Identifier: MIT
"""What no source file may lack or hold: a licence line, and calls that a library must not make."""
import os
import re

import common

SPDX = "SPDX-License-Identifier: MIT"
# Unbounded, ending or disturbing the caller's process, or hidden global state.
BANNED_CALLS = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|srand|rand|random|signal|sigaction|exit|_exit|abort|assert"
                          r"|alloca|setenv|putenv|system|popen|fork|printf|puts|perror|gethostbyname|inet_ntoa|localtime|strerror)\s*\(")
FOLDERS = ["libnatprobe", "include", "examples", "tests"]
WITH_LICENCE = (".c", ".h", ".cpp", ".hpp", ".in", ".py", ".sh", ".map", "meson.build")
SEEDED = os.path.join("structure", "mutants") + os.sep
WITHOUT = (".pc.in", ".map")  # installed as they are


def check_licence(path):
    head = common.read(path)[:200]
    return [] if SPDX in head else ["%s: no SPDX line" % path]


def check_banned(path):
    text = common.without_strings(common.without_comments(common.read(path)))
    return ["%s:%d: %s() is banned" % (path, text.count("\n", 0, m.start()) + 1, m.group(1)) for m in BANNED_CALLS.finditer(text)]


def needs_licence(path):
    first_line = common.read(path).split("\n", 1)[0]
    return (path.endswith(WITH_LICENCE) or first_line.startswith("#!")) and not path.endswith(WITHOUT)


def is_text(path):
    with open(path, "rb") as f:
        return b"\0" not in f.read(4096)


def main():
    p = common.parser(__doc__)
    p.add_argument("root")
    args = p.parse_args()
    problems = []
    count = 0
    for path in common.source_files(args.root, FOLDERS, ("",)):
        name = os.path.relpath(path, args.root)
        parts = name.split(os.sep)
        if "__pycache__" in parts or "corpus" in parts or SEEDED in name or not is_text(path):
            continue
        count += 1
        problems += check_licence(path) if needs_licence(path) else []
    for path in common.source_files(args.root, ["libnatprobe"]):
        problems += check_banned(path)
    print("%d files" % count)
    common.finish(problems if count else ["no file under %s" % args.root], args.expect)


main()
