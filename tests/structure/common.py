# SPDX-License-Identifier: MIT
"""What the structure checks share: a check finds violations; a seeded violation must be among those found."""
import argparse
import os
import re
import subprocess
import sys

SKIP = 77  # meson's exit status for a skipped test


def parser(doc):
    p = argparse.ArgumentParser(description=doc)
    p.add_argument("--expect", metavar="TEXT", help="pass only if a violation with this text is found (self-test)")
    return p


def finish(violations, expect=None):
    """Ends a check. A self-test passes only when the seeded violation was found by name, not by any other failure."""
    for violation in violations:
        print(violation)
    if expect is None:
        print("%d violations" % len(violations))
        sys.exit(1 if violations else 0)
    found = any(expect in violation for violation in violations)
    print("seeded violation %s: %s" % ("found" if found else "NOT FOUND", expect))
    sys.exit(0 if found else 1)


def skip(reason):
    """A missing tool skips a check at home; in CI it is a failure."""
    in_ci = os.environ.get("CI") == "true"
    print("%s: %s" % ("missing" if in_ci else "skipped", reason))
    sys.exit(1 if in_ci else SKIP)


def run(command, **options):
    """Output of a command that must succeed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        print("failed (%d): %s\n%s" % (done.returncode, " ".join(command), done.stdout))
        sys.exit(1)
    return done.stdout


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def without_comments(c_source):
    """C source with comments blanked out; line numbers stay."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0)) if match.group(0)[0] == "/" else match.group(0)
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, c_source, flags=re.S)


def without_strings(c_source):
    return re.sub(r'"(?:\\.|[^"\\\n])*"', '""', c_source)


# Copies of the amalgamation, which libnatprobe/amalgamation/copies.py makes.
COPIES = {os.path.join("examples", *folder, name) for folder in (("go",), ("rust", "natprobe-sys", "vendored"))
          for name in ("natprobe.c", "natprobe.h")}


def source_files(root, folders, suffixes=(".c", ".h")):
    for folder in folders:
        for base, _, names in sorted(os.walk(os.path.join(root, folder))):
            for name in sorted(names):
                path = os.path.join(base, name)
                if name.endswith(suffixes) and os.path.relpath(path, root) not in COPIES:
                    yield path


class Tap:
    """Several checks in one program."""
    def __init__(self):
        self.count = 0
        self.failed = 0

    def check(self, name, violations):
        self.count += 1
        for violation in violations:
            print("# " + str(violation).replace("\n", "\n# "))
        print("%s %d - %s" % ("not ok" if violations else "ok", self.count, name), flush=True)
        self.failed += 1 if violations else 0

    def skip(self, name, reason):
        self.count += 1
        in_ci = os.environ.get("CI") == "true"
        print("%s %d - %s # SKIP %s" % ("not ok" if in_ci else "ok", self.count, name, reason), flush=True)
        self.failed += 1 if in_ci else 0

    def finish(self):
        print("1..%d" % self.count)
        sys.exit(1 if self.failed else 0)
