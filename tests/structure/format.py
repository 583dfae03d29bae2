# SPDX-License-Identifier: MIT
"""C and C++ files are as clang-format leaves them, and no line is above 120 columns: the style leaves comments alone."""
import os
import shutil
import subprocess

import common

COLUMNS = 120
SUFFIXES = (".c", ".h", ".cpp", ".hpp")
FOLDERS = ["libnatprobe", "include", "examples", "tests"]
SEEDED = os.path.join("structure", "mutants") + os.sep


def long_lines(path):
    return ["%s:%d: %d columns, more than %d" % (path, number, len(line), COLUMNS)
            for number, line in enumerate(common.read(path).splitlines(), 1) if len(line) > COLUMNS]


def main():
    p = common.parser(__doc__)
    p.add_argument("root")
    args = p.parse_args()
    if not shutil.which("clang-format"):
        common.skip("clang-format is not installed")
    files = [path for path in common.source_files(args.root, FOLDERS, SUFFIXES) if SEEDED not in os.path.relpath(path, args.root)]
    problems = [] if files else ["no source file under %s" % args.root]
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", "--style=file", *files],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    problems += [line for line in done.stdout.splitlines() if ": error:" in line]
    if done.returncode != 0 and not problems:
        problems.append("clang-format fails: " + done.stdout)
    for path in files:
        problems += long_lines(path)
    print("%d files" % len(files))
    common.finish(problems, args.expect)


main()
