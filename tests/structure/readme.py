# SPDX-License-Identifier: MIT
"""
The README is short, its lines of C compile, its types are those of the header, and the texts of its report those of the
library. Each program in docs/USING.md is, letter for letter, a file in examples/, which the tests build and run.
"""
import json
import os
import re
import subprocess
import tempfile

import common

MOST_LINES = 150
LANGUAGES = {"c": ".c", "cpp": ".cpp", "python": ".py", "rust": ".rs", "go": ".go"}
AROUND = "#include <stdio.h>\n#include <natprobe/natprobe.h>\nint main(void)\n{\n%s\nreturn 0;\n}\n"


def blocks(text, language):
    return re.findall(r"^```%s\n(.*?)^```$" % language, text, flags=re.M | re.S)


def fragment_problems(readme, cc, includes):
    """Compiles each fragment of C as the body of a program."""
    found = blocks(readme, "c")
    problems = [] if found else ["the README shows no C"]
    for fragment in found:
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "fragment.c")
            with open(source, "w", encoding="utf-8") as f:
                f.write(AROUND % fragment)
            command = cc + ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"] + ["-I" + i for i in includes] + [source]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            problems.append("the C of the README does not compile:\n" + done.stdout)
    return problems


def program_problems(using, examples):
    problems = []
    for language, suffix in LANGUAGES.items():
        files = {common.read(path).strip() for path in common.source_files(examples, ["."], (suffix,))}
        found = blocks(using, language)
        problems += [] if found else ["docs/USING.md shows no program in %s" % language]
        problems += ["no file in %s is:\n%s" % (os.path.basename(examples), block) for block in found if block.strip() not in files]
    return problems


def type_problems(readme, enums):
    """The first column of the table of types against enum np_nat_type."""
    wanted = {name[len("NP_NAT_"):].lower().replace("_", "-") for name in json.loads(common.read(enums))["np_nat_type"]}
    table = re.search(r"^\| `nat_type` .*?\n\n", readme, flags=re.M | re.S)
    named = set(re.findall(r"^\| `([a-z-]+)` ", table.group(0).split("\n", 1)[1], flags=re.M)) if table else set()
    return ["the README's table of types: %s" % name for name in sorted(wanted ^ named)]


def report_problems(readme, texts):
    """The texts of the report that is shown against those of the library."""
    known = re.sub(r'"\s*\\?\n\s*"', "", common.read(texts))
    report = re.search(r"^\$ natprobe[^\n]*\n(.*?)^```$", readme, flags=re.M | re.S)
    if not report:
        return ["the README shows no report"]
    fields = dict(re.findall(r"^(NAT type|Meaning|Mapping|Filtering) +(.*(?:\n +.*)*)$", report.group(1), flags=re.M))
    shown = [re.sub(r"\s+", " ", text.split(" [")[0]) for text in fields.values()]
    return ["the library does not say: %s" % text for text in shown if '"%s"' % text not in known]


def main():
    p = common.parser(__doc__)
    p.add_argument("--cc", action="append", required=True, help="the C compiler, one word at a time")
    p.add_argument("documents", help="the folder of README.md and docs/USING.md")
    p.add_argument("tree")
    p.add_argument("include", nargs="+")
    args = p.parse_args()
    readme = common.read(os.path.join(args.documents, "README.md"))
    using = common.read(os.path.join(args.documents, "docs", "USING.md"))
    lines = readme.count("\n")
    problems = ["README.md has %d lines, %d are allowed" % (lines, MOST_LINES)] if lines > MOST_LINES else []
    problems += fragment_problems(readme, args.cc, args.include)
    problems += program_problems(using, os.path.join(args.tree, "examples"))
    problems += type_problems(readme, os.path.join(args.tree, "docs", "enums.json"))
    problems += report_problems(readme, os.path.join(args.tree, "libnatprobe", "error.c"))
    common.finish(problems, args.expect)


main()
