# SPDX-License-Identifier: MIT
"""
The manual pages are well formed. libnatprobe.3 has the prototypes of natprobe.h, every constant and every member of the
structures, with the sizes of their arrays; natprobe.1 has every option.
"""
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


def squeezed(text):
    return re.sub(r"\s+", "", text)


def prototypes(header):
    """As one says them: without what is for the compiler, and without spaces."""
    text = re.sub(r"^\s*#.*$", "", header, flags=re.M)
    found = re.findall(r"\bNP_API\b([^;{]*?\b(np_\w+)\s*\([^;]*\))\s*;", text)
    found += re.findall(r"\b(typedef void \(\*(np_\w+)\)\([^;]*\))\s*;", text)
    return {name: squeezed(whole.replace("NP_MUST_USE", "")).replace("(void)", "()") for whole, name in found}


def prototype_problems(header, page):
    """mandoc shows a prototype on a line of its own below its type, with a semicolon."""
    shown_here = squeezed(page).replace("(void)", "()")
    return ["libnatprobe.3 does not declare %s as natprobe.h does" % name
            for name, whole in sorted(prototypes(header).items()) if whole + ";" not in shown_here]


def member_problems(header, page):
    problems = []
    for body, struct in re.findall(r"typedef struct \w+ \{(.*?)\} (\w+);", header, flags=re.S):
        for kind, name, size in re.findall(r"(\w+) (\w+)(?:\[(\w+)\])?;", body):
            size = "46" if size == "NP_IP_TEXT_SIZE" else size
            wanted = "%s %s%s" % (kind, name, "[%s]" % size if size else "")
            problems += [] if wanted in page else ["libnatprobe.3 has no member %s of %s" % (wanted, struct)]
    return problems


def name_problems(texts, page):
    """Codes, types and evidence bits stand with the short names that the library gives them."""
    rows = re.findall(r'X\((NP_(?:OK|PENDING|ERR_\w+|NAT_\w+|EVIDENCE_\w+)), "([^"]+)"', texts)
    problems = [] if rows else ["error.c has no names"]
    return problems + ["libnatprobe.3 does not name %s (%s)" % row for row in rows
                       if row[0] != "NP_OK" and "%s (%s)" % row not in page]


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
    constants = re.findall(r"\b(NP_\w+)\s*=", header) + re.findall(r"^#define (NP_(?:DEFAULT|MAX)\w+) ", header, flags=re.M)
    options = re.findall(r'\{"([a-z-]+)", (?:no|required)_argument',
                         common.read(os.path.join(args.root, "examples", "natprobe.c")))
    pages = {library: functions + constants, program: ["--" + option for option in options]}
    problems = [] if functions and constants and options else ["nothing to look for"]
    for page, words in pages.items():
        problems += lint(page)
        text = shown(page)
        problems += ["%s does not mention %s" % (os.path.basename(page), word) for word in words
                     if not re.search(r"(?<!\w)%s(?!\w)" % re.escape(word), text)]
    page = shown(library)
    one_line = re.sub(r"\s+", " ", page)
    problems += prototype_problems(header, page) + member_problems(header, one_line)
    problems += name_problems(common.read(os.path.join(args.root, "libnatprobe", "error.c")), one_line)
    common.finish(problems, args.expect)


main()
