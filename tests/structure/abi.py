# SPDX-License-Identifier: MIT
"""The binary interface of the shared library is the one recorded in abi/: no symbol, type or layout has changed.

abidw reads from the debugging information what is exported and what the public headers say of it, abidiff compares.
Constants are in no debugging information that a function leads to; enums.py guards those.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import common

HERE = os.path.dirname(os.path.abspath(__file__))
RECORD = os.path.join(HERE, "abi", "libnatprobe-x86_64.abi")
X86_64 = (2, 62)  # ELFCLASS64, EM_X86_64
ABIDIFF_FAILED = 1 | 2  # bits of its exit status; the others tell of differences
# Nothing of the machine, the build folder or the source lines, so that the record changes only with the interface.
DUMP = ["abidw", "--exported-interfaces-only", "--drop-private-types", "--drop-undefined-syms",
        "--type-id-style", "hash", "--no-parameter-names", "--no-show-locs", "--no-corpus-path", "--no-comp-dir-path",
        "--no-elf-needed"]
DIFF = ["abidiff", "--no-default-suppression", "--harmless", "--no-show-locs", "--show-bytes"]
DEFINED = re.compile(r"<class-decl name='(np_probe|np_watch|np_survey|sockaddr)' [^>]*[^/>] id='(\w+)'>.*?</class-decl>", flags=re.S)
DECLARED = r"<class-decl name='\1' is-struct='yes' visibility='default' is-declaration-only='yes' id='\2'/>"


def architecture(library):
    with open(library, "rb") as f:
        head = f.read(20)
    return head[4], int.from_bytes(head[18:20], "little")


def dump(library, includes, out):
    """Writes what the library exports, in abidw's words."""
    folders = [word for include in includes for word in ("--headers-dir", include)]
    common.run(DUMP + folders + ["--out-file", out, library])
    text = common.read(out)
    if "<function-decl" not in text:
        common.skip("%s has no debugging information" % library)
    text = re.sub(r" path='[^']*/", " path='", text)
    # With what clang writes abidw takes the handles for public, although only source files have their members. The members
    # of struct sockaddr are the system's: natprobe.h only says that there is one.
    text = DEFINED.sub(DECLARED, text)
    with open(out, "w", encoding="utf-8") as f:
        f.write(text)


def differences(recorded, found):
    """What abidiff says, line by line; nothing when the two are the same."""
    done = subprocess.run(DIFF + [recorded, found], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode < 0 or done.returncode & ABIDIFF_FAILED:
        common.finish(["abidiff failed (%d): %s" % (done.returncode, done.stdout)])
    lines = [line for line in done.stdout.splitlines() if line.strip() and "changes summary:" not in line]
    return lines if done.returncode != 0 else []


def advice(lines, args):
    """What to do about differences; abidiff marks what was added with [A], changed with [C] and deleted with [D]."""
    text = "\n".join(lines)
    only_added = "[A]" in text and not re.search(r"\[[CD]\]|SONAME|architecture", text)
    verdict = "This breaks no program, but has to be recorded"
    if not only_added:
        verdict = ("This breaks programs linked before, unless all it does is to use some of a reserved tail: undo it,"
                   " or raise soversion in meson.build and record it")
    return "%s: python3 tests/structure/abi.py --record %s" % (verdict, " ".join([args.library] + args.include))


def main():
    p = common.parser(__doc__)
    p.add_argument("--record", action="store_true", help="write the record instead of comparing with it")
    p.add_argument("library", help="the shared library, with debugging information")
    p.add_argument("include", nargs="+", help="folder of the public headers")
    args = p.parse_args()
    for tool in ("abidw", "abidiff"):
        if not shutil.which(tool):
            common.skip("%s (abigail-tools) is not installed" % tool)
    if architecture(args.library) != X86_64:
        print("skipped: the interface is recorded for x86-64 only; header.py checks the layout everywhere")
        sys.exit(common.SKIP)
    if args.record:
        dump(args.library, args.include, RECORD)
        print("recorded: %s" % RECORD)
        return
    with tempfile.TemporaryDirectory() as folder:
        found = os.path.join(folder, "found.abi")
        dump(args.library, args.include, found)
        lines = differences(RECORD, found)
    common.finish(lines + ([advice(lines, args)] if lines else []), args.expect)


main()
