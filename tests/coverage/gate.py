# SPDX-License-Identifier: MIT
"""Reads gcovr's JSON: prints lines and branches of each file, names what is missing in those that must be covered whole,
and ends with status 1 where something is missing there, too little of all is reached, or a file was not measured. TAP."""
import argparse
import json
import pathlib
import sys

# Of the files that speak to the kernel those for other kernels are not compiled, and nothing that is for Windows.
NOT_HERE = {"poller_epoll.c", "poller_kqueue.c", "gateway_bsd.c", "netchange_route.c"}
WINDOWS = "_windows.c"


class File:
    def __init__(self, record, folder):
        parts = pathlib.PurePath(record["file"]).parts  # below the folder's own folder, or below the folder
        self.name = "/".join(parts[1:] if parts[0] == folder.name else parts)
        self.source = (folder / self.name).read_text(encoding="utf-8").split("\n")
        self.lines = [line for line in record["lines"] if not line.get("gcovr/noncode")]
        self.branches = [(line, number, branch) for line in self.lines for number, branch in enumerate(line["branches"])]

    def lines_reached(self):
        return sum(line["count"] > 0 for line in self.lines)

    def branches_taken(self):
        return sum(branch["count"] > 0 for _, _, branch in self.branches)

    def missing(self):
        for line in self.lines:
            if line["count"] == 0:
                yield line["line_number"], "line never reached"
        for line, number, branch in self.branches:
            if branch["count"] == 0:
                yield line["line_number"], "branch %d of %d never taken" % (number, len(line["branches"]))

    def show_missing(self):
        found = sorted(self.missing())
        for number, what in found:
            print("# %s:%d: %s: %s" % (self.name, number, what, self.source[number - 1].strip()))
        return len(found)


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def row(name, files):
    lines = sum(len(f.lines) for f in files)
    reached = sum(f.lines_reached() for f in files)
    branches = sum(len(f.branches) for f in files)
    taken = sum(f.branches_taken() for f in files)
    print("# %-20s %5d of %5d lines %6.1f %%   %5d of %5d branches %6.1f %%" %
          (name, reached, lines, percent(reached, lines), taken, branches, percent(taken, branches)))
    return percent(reached, lines), percent(taken, branches)


def unmeasured(folder, files):
    expected = {str(path.relative_to(folder)) for path in folder.rglob("*.c") if not path.name.endswith(WINDOWS)}
    expected -= NOT_HERE
    return sorted(expected - {f.name for f in files if f.lines})


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def check(self, good, what):
        self.count += 1
        self.failed += not good
        print("%s %d - %s" % ("ok" if good else "not ok", self.count, what))


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--whole", nargs="+", metavar="FILE", help="must be covered in every line and branch")
    p.add_argument("--lines", type=float, required=True, help="percent of all lines that must be reached")
    p.add_argument("--branches", type=float, required=True, help="percent of all branches that must be taken")
    p.add_argument("folder", type=pathlib.Path, help="the sources")
    p.add_argument("report")
    args = p.parse_args()
    with open(args.report, encoding="utf-8") as f:
        files = sorted((File(record, args.folder) for record in json.load(f)["files"]), key=lambda file: file.name)
    for file in files:
        row(file.name, [file])
    lines, branches = row("all", files)
    named = [file for file in files if file.lines]
    missing = {file.name: file.show_missing() for file in named}
    tap = Tap()
    for name in args.whole:
        tap.check(missing.get(name) == 0, "%s: every line and branch" % name)
    tap.check(lines >= args.lines, "%.1f %% of all lines, of %g" % (lines, args.lines))
    tap.check(branches >= args.branches, "%.1f %% of all branches, of %g" % (branches, args.branches))
    lost = unmeasured(args.folder, files)
    tap.check(not lost, "every file is measured" + "".join(", but not %s" % name for name in lost))
    print("1..%d" % tap.count)
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
