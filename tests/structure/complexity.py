# SPDX-License-Identifier: MIT
"""No function is longer than 60 lines or more complex than 15 (McCabe, as pmccabe counts)."""
import shutil

import common

LINES = 60
COMPLEXITY = 15


def main():
    p = common.parser(__doc__)
    p.add_argument("root")
    p.add_argument("folder", nargs="+")
    args = p.parse_args()
    if not shutil.which("pmccabe"):
        common.skip("pmccabe is not installed")
    files = list(common.source_files(args.root, args.folder, (".c",)))
    problems = [] if files else ["no source file under %s" % args.root]
    functions = 0
    for line in common.run(["pmccabe"] + files).splitlines():
        # modified complexity, complexity, statements, first line, lines, file(line): function
        fields = line.split("\t")
        functions += 1
        complexity, length, where = int(fields[1]), int(fields[4]), fields[5]
        if complexity > COMPLEXITY:
            problems.append("%s: complexity %d, more than %d" % (where, complexity, COMPLEXITY))
        if length > LINES:
            problems.append("%s: %d lines, more than %d" % (where, length, LINES))
    print("%d functions in %d files" % (functions, len(files)))
    common.finish(problems if functions else problems + ["pmccabe found no function"], args.expect)


main()
