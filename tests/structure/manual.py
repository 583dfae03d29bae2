# SPDX-License-Identifier: MIT
"""The manual pages are well formed, and name every function (libnatprobe.3) and every option (natprobe.1)."""
import os
import re
import shutil
import subprocess

import common


def lint(path):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.splitlines() if done.returncode != 0 else []


def shown(path):
    """The page as read, without the hyphens and overstrikes of its form."""
    text = common.run(["mandoc", "-T", "utf8", "-O", "width=1000", path])
    return re.sub(r".\x08", "", text).replace("\u2010", "-").replace("\u2212", "-")


def main():
    p = common.parser(__doc__)
    p.add_argument("root")
    args = p.parse_args()
    if not shutil.which("mandoc"):
        common.skip("mandoc is not installed")
    library = os.path.join(args.root, "docs", "man", "libnatprobe.3")
    program = os.path.join(args.root, "docs", "man", "natprobe.1")
    header = common.without_comments(common.read(os.path.join(args.root, "include", "natprobe", "natprobe.h")))
    functions = re.findall(r"\bNP_API\b[^;{]*?\b(np_\w+)\s*\(", header)
    errors = re.findall(r"\b(NP_(?:OK|ERR_\w+))\s*=", header)
    options = re.findall(r'\{"([a-z-]+)", (?:no|required)_argument',
                         common.read(os.path.join(args.root, "examples", "natprobe.c")))
    pages = {library: functions + errors, program: ["--" + option for option in options]}
    problems = [] if functions and errors and options else ["nothing to look for"]
    for page, words in pages.items():
        problems += lint(page)
        text = shown(page)
        problems += ["%s does not mention %s" % (os.path.basename(page), word) for word in words if word not in text]
    common.finish(problems, args.expect)


main()
