# SPDX-License-Identifier: MIT
"""Adds up meson's test logs by leg: each case of a TAP program counts, and each other test. The last line is the sum."""
import argparse
import json
import os
import re
import sys

CASE = re.compile(r"^(not )?ok\b([^#\n]*)(# *skip)?.*((?:\n# .*)*)", re.IGNORECASE | re.MULTILINE)
REASON_LINES = 6
ASIDE_LINES = 12
PASSED, FAILED, SKIPPED = range(3)


def of_whole(result):
    if result in ("OK", "EXPECTEDFAIL"):
        return PASSED
    return SKIPPED if result == "SKIP" else FAILED


def cases_of(record):
    """Of a test that has to fail (should_fail) the whole counts, not the cases: they fail, as they should."""
    text = record.get("stdout", "")
    if record["result"] == "EXPECTEDFAIL" or not re.search(r"^1\.\.\d+", text, re.MULTILINE):
        return []
    return list(CASE.finditer(text))


def of_test(record):
    """Counts of one test; whatever failed as a whole has at least one failure, also when no case says so."""
    counts = [0, 0, 0]
    cases = cases_of(record)
    for case in cases:
        counts[FAILED if case.group(1) else SKIPPED if case.group(3) else PASSED] += 1
    whole = of_whole(record["result"])
    if not cases or (whole == FAILED and counts[FAILED] == 0):
        counts[whole] += 1
    return counts


def show_unpassed(leg, record):
    """Names what was skipped or failed, and why, so that the end of a long output says what to look for."""
    if record["result"] == "EXPECTEDFAIL":
        print("expected to fail in %s: %s" % (leg, record["name"]))
    for case in cases_of(record):
        if case.group(1) or case.group(3):
            what = "failed" if case.group(1) else "skipped"
            print("%s in %s: %s, %s" % (what, leg, record["name"], case.group(2).strip(" -")))
            reasons = case.group(4).splitlines()[1 : 1 + REASON_LINES] if case.group(1) else []
            for line in reasons:
                print("    " + line.strip("# "))
    whole = of_whole(record["result"])
    if whole != PASSED:
        print("%s in %s: %s" % ("failed" if whole == FAILED else "skipped", leg, record["name"]))
    if whole == FAILED:
        for line in record.get("stderr", "").splitlines()[-ASIDE_LINES:]:
            print("    " + line)


def of_log(leg, path):
    counts = [0, 0, 0]
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as f:
            for record in map(json.loads, f):
                counts = [a + b for a, b in zip(counts, of_test(record))]
                show_unpassed(leg, record)
    if sum(counts) == 0:
        print("failed in %s: %s has no test" % (leg, os.path.basename(path)))
        counts[FAILED] += 1
    return counts


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("log", nargs="*", help="LEG=FILE, a testlog.json; a leg may have several")
    legs = {}
    for item in p.parse_args().log:
        leg, path = item.split("=", 1)
        legs[leg] = [a + b for a, b in zip(legs.get(leg, [0, 0, 0]), of_log(leg, path))]
    for leg, counts in legs.items():
        print("%-20s %5d passed, %d failed, %d skipped" % (leg, *counts))
    total = [sum(column) for column in zip([0, 0, 0], *legs.values())]
    print("%d passed, %d failed, %d skipped" % tuple(total))
    sys.exit(1 if total[FAILED] or not total[PASSED] else 0)


main()
