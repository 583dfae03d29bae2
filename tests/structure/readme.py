# SPDX-License-Identifier: MIT
"""Each program shown in the README is, letter for letter, a file in examples/, which the tests build and run."""
import os
import re

import common


LANGUAGES = {"c": ".c", "python": ".py", "rust": ".rs", "go": ".go"}


def main():
    p = common.parser(__doc__)
    p.add_argument("readme")
    p.add_argument("examples")
    args = p.parse_args()
    readme = common.read(args.readme)
    problems = []
    for language, suffix in LANGUAGES.items():
        files = {common.read(path).strip() for path in common.source_files(args.examples, ["."], (suffix,))}
        blocks = re.findall(r"^```%s\n(.*?)^```$" % language, readme, flags=re.M | re.S)
        problems += [] if blocks else ["the README shows no program in %s" % language]
        problems += ["no file in %s is:\n%s" % (os.path.basename(args.examples), block) for block in blocks if block.strip() not in files]
    common.finish(problems, args.expect)


main()
