# SPDX-License-Identifier: MIT
"""Each C program shown in the README is, letter for letter, a file in examples/ (which the build compiles and a test runs)."""
import os
import re

import common


def main():
    p = common.parser(__doc__)
    p.add_argument("readme")
    p.add_argument("examples")
    args = p.parse_args()
    files = {common.read(path).strip() for path in common.source_files(args.examples, ["."], (".c",))}
    blocks = re.findall(r"^```c\n(.*?)^```$", common.read(args.readme), flags=re.M | re.S)
    problems = [] if blocks else ["the README shows no C program"]
    problems += ["no file in %s is:\n%s" % (os.path.basename(args.examples), block) for block in blocks if block.strip() not in files]
    common.finish(problems, args.expect)


main()
