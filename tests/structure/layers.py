# SPDX-License-Identifier: MIT
"""Every file of the library includes and calls only what layers.txt allows it, downwards and never in a circle.

A file is known by its name without folder and suffix: trial is engine/trial.c and engine/trial.h. Includes are read from
the text, calls from the symbols of the library's objects.

    layers.py [--write] TABLE ROOT NM ARCHIVE

--write puts into the table what each file really uses. The checks of the floors and of circles stay.
"""
import os
import re

import common

# The system layer (3) knows nothing of STUN (1) or of the experiment (2).
FORBIDDEN = {(3, 1), (3, 2)}
# Layers 0 to 2: headers of the language itself; anything else reaches for the system.
PURE_LAYERS = (0, 1, 2)
PURE = {"math.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "string.h", "inttypes.h", "natprobe/natprobe.h"}
# inet_pton and inet_ntop are pure; they come with AF_INET, which lives beside the socket calls. sans_io.py sees those.
PURE_IN_ADDR = {"arpa/inet.h", "netinet/in.h", "sys/socket.h"}
PROGRAM_BANNED = re.compile(r"natprobe/(?!natprobe\.h$)")


class Table:
    """Rows "FLOOR FILE: USED FILE...", and lines "FILE uses FILE: REASON" for two files of one floor."""

    def __init__(self, path):
        self.path = path
        self.floor, self.uses, self.row_of, self.reasons, self.problems = {}, {}, {}, {}, []
        for number, line in enumerate(common.read(path).splitlines(), 1):
            row = re.match(r"(\d+(?:\.\d+)?)\s+([\w,]+):(.*)$", line)
            reason = re.match(r"(\w+) uses (\w+): \w", line)
            if row:
                names = row.group(2).split(",")
                self.floor[names[0]] = tuple(int(n) for n in row.group(1).split("."))
                self.uses[names[0]] = set(row.group(3).split())
                self.row_of.update((name, names[0]) for name in names)
            elif reason:
                self.reasons[reason.groups()] = number
            elif line.strip() and not line.startswith("#"):
                self.problems.append("%s:%d: neither a row nor a reason" % (path, number))

    def check(self):
        """The table itself: every permission goes down, or has a reason."""
        problems = self.problems
        for name, used in self.uses.items():
            for other in sorted(used):
                if other not in self.floor:
                    problems.append("the row of %s names %s, which has no row" % (name, other))
                elif (self.floor[name][0], self.floor[other][0]) in FORBIDDEN:
                    problems.append("%s (layer %d) must not know of %s (layer %d)"
                                    % (name, self.floor[name][0], other, self.floor[other][0]))
                elif self.floor[other] >= self.floor[name] and not (
                        self.floor[other] == self.floor[name] and (name, other) in self.reasons):
                    problems.append("%s (floor %s) must not use %s (floor %s)"
                                    % (name, dotted(self.floor[name]), other, dotted(self.floor[other])))
        return problems + ["%s:%d: no row needs this reason" % (self.path, line) for (name, other), line in self.reasons.items()
                           if other not in self.uses.get(name, ())]

    def write(self, used):
        lines = common.read(self.path).split("\n")
        for number, line in enumerate(lines):
            row = re.match(r"(\d+(?:\.\d+)?\s+)([\w,]+):", line)
            if row:
                order = [name for name in self.floor if name in used.get(row.group(2).split(",")[0], {})]
                lines[number] = (row.group(0) + " " + " ".join(order)).rstrip()
        with open(self.path, "w", encoding="utf-8") as f:
            f.write("\n".join(lines))


def dotted(floor):
    return ".".join(str(n) for n in floor)


def stem(path):
    return os.path.splitext(os.path.basename(path))[0]


def includes(path):
    for number, line in enumerate(common.without_comments(common.read(path)).split("\n"), 1):
        match = re.match(r'\s*#\s*include\s*(?:"([^"]*)"|<([^>]*)>)', line)
        if match:
            yield number, match.group(1), match.group(2)


def included(files):
    """(file, other file, how) of each include of a header of the library."""
    for path in files:
        for line, quoted, _ in includes(path):
            if quoted:
                yield stem(path), stem(quoted), "%s:%d includes %s" % (path, line, quoted)


def objects(nm, archive, files, root):
    """{file: (defined, undefined symbols)}. The build names an object after the source's path, slashes as underscores."""
    mangled = {os.path.relpath(path, os.path.join(root, "libnatprobe")).replace(os.sep, "_") + ".o": stem(path)
               for path in files if path.endswith(".c")}
    found = {}
    for line in common.run([nm, "-A", archive]).splitlines():
        where, kind, symbol = re.match(r"(.*?):?\s*[0-9a-fA-F]*\s+(\w) (\S+)$", line).groups()
        member = os.path.basename(where.split(":")[-1])
        name = max((m for m in mangled if member == m or member.endswith("_" + m)), key=len, default=None)
        if name is None:
            continue
        defined, undefined = found.setdefault(mangled[name], (set(), set()))
        if kind in "TDBRVW":
            defined.add(symbol)
        elif kind == "U":
            undefined.add(symbol)
    return found


def called(found):
    """(file, other file, how) of each call, or other use of a symbol, across files."""
    owner = {symbol: name for name, (defined, _) in found.items() for symbol in defined}
    for name, (_, undefined) in found.items():
        for symbol in sorted(undefined):
            if symbol in owner and owner[symbol] != name:
                yield name, owner[symbol], "%s calls %s()" % (name, symbol)


def circles(used):
    """One circle for each file that can reach itself, without repeating a circle's files."""
    seen = set()
    for start in used:
        if start in seen:
            continue
        before, queue = {start: None}, [start]
        while queue:
            name = queue.pop(0)
            if start in used.get(name, {}):
                path = [start]
                while name is not None:
                    path.insert(0, name)
                    name = before[name]
                seen.update(path)
                yield path
                break
            for other in used.get(name, {}):
                if other not in before:
                    before[other] = name
                    queue.append(other)


def check_use(table, used):
    problems = []
    for name, others in used.items():
        for other, how in others.items():
            if other not in table.uses.get(name, ()):
                problems.append("%s must not use %s, says the table: %s" % (name, other, "; ".join(how[:3])))
        for other in sorted(table.uses.get(name, set()) - set(others)):
            problems.append("the table lets %s use %s, which it does not" % (name, other))
    for path in circles(used):
        how = [used[a][b][0] for a, b in zip(path, path[1:])]
        problems.append("circle: %s (%s)" % (" -> ".join(path), "; ".join(how)))
    return problems


def check_pure(table, files):
    return ["%s:%d: the core must not include <%s>" % (path, line, system)
            for path in files for line, _, system in includes(path)
            if system and table.floor.get(table.row_of.get(stem(path)), (9,))[0] in PURE_LAYERS
            and system not in PURE and not (stem(path) == "addr" and system in PURE_IN_ADDR)]


def is_own(path, name):
    """A header beside the file, or the one that cgo makes of a package's exported functions."""
    return name == "_cgo_export.h" or os.path.exists(os.path.join(os.path.dirname(path), name))


def check_program(path):
    return ["%s:%d: a program sees only <natprobe/natprobe.h>, not %s" % (path, line, quoted or system)
            for line, quoted, system in includes(path)
            if (quoted and not is_own(path, quoted)) or (system and PROGRAM_BANNED.match(system))]


def check_rows(table, files, found):
    """Each file has its row, each row its file, and each source of this system its object in the archive."""
    problems = []
    folders = {}
    for path in files:
        if folders.setdefault(stem(path), os.path.dirname(path)) != os.path.dirname(path):
            problems.append("%s: another folder has a file of this name" % path)
    problems += ["%s has no row in the table" % name for name in sorted(set(folders) - set(table.row_of))]
    problems += ["%s has a row, but there is no such file" % name for name in sorted(set(table.row_of) - set(folders))]
    rows_with_object = {table.row_of.get(name) for name in found}
    return problems + ["%s is not in the archive" % path for path in files
                       if path.endswith(".c") and table.row_of.get(stem(path)) not in rows_with_object]


def main():
    p = common.parser(__doc__)
    p.add_argument("--write", action="store_true", help="write into the table what is really used")
    p.add_argument("table")
    p.add_argument("root")
    p.add_argument("nm")
    p.add_argument("archive")
    args = p.parse_args()
    files = list(common.source_files(args.root, ["libnatprobe"]))
    table = Table(args.table)
    found = objects(args.nm, args.archive, files, args.root)
    used = {}
    for name, other, how in list(included(files)) + list(called(found)):
        name, other = table.row_of.get(name, name), table.row_of.get(other, other)
        if name != other:
            used.setdefault(name, {}).setdefault(other, []).append(how)
    if args.write:
        table.write(used)
        table = Table(args.table)
    problems = [] if files and found else ["no source file under %s, or no object in %s" % (args.root, args.archive)]
    problems += table.check() + check_rows(table, files, found) + check_use(table, used) + check_pure(table, files)
    for path in common.source_files(args.root, ["examples"]):
        problems += check_program(path)
    print("%d files, %d objects" % (len(files), len(found)))
    common.finish(problems, args.expect)


main()
