# SPDX-License-Identifier: MIT
"""
The public header compiles alone, twice, in strict C11 and C++11, for 64 and 32 bits, with the frozen layouts, and with what
selects it on other systems. The tables of docs/ABI.md are these layouts.
"""
import os
import platform
import re
import subprocess
import tempfile

import common

STRICT = ["-pedantic-errors", "-Wall", "-Wextra", "-Werror", "-c"]


def compiles(command, source, includes, out):
    done = subprocess.run(command + STRICT + ["-I" + i for i in includes] + [source, "-o", out],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return [] if done.returncode == 0 else [done.stdout]


# ---- The tables of the page


def frozen(source):
    """{structure: {member: (offset, size)}}, the size of the whole under "" - what the compiler holds the header to."""
    text = common.read(source)
    layouts = {name: {"": int(size)} for name, size in re.findall(r"sizeof\((np_\w+)\) == (\d+)", text)}
    for name, member, offset, size in re.findall(r"^MEMBER_AT\((\w+), (\w+), (\d+), (\d+)\)", text, flags=re.M):
        layouts[name][member] = (int(offset), int(size))
    for member, offset, size in re.findall(r"^FROZEN_AT\((\w+), (\d+), (\d+)\)", text.split("#ifdef SEEDED")[0], flags=re.M):
        layouts["np_result"][member] = (int(offset), int(size))
    return layouts


def shown(text):
    """The same of the page: a line that names the structure and its size, and the table below it."""
    layouts = {}
    for name, size, table in re.findall(r"^`(np_\w+)`, \*\*([\d,]+) bytes\*\*[^\n]*\n\n((?:\|[^\n]*\n)+)", text, flags=re.M):
        rows = re.findall(r"\| (\d+) \| (\d+) \| `[\w\[\]]+` \| `(\w+)` ", table)
        layouts[name] = {"": int(size.replace(",", ""))} | {member: (int(offset), int(size)) for offset, size, member in rows}
    return layouts


def page_problems(text, source):
    there, here = frozen(source), shown(text)
    problems = ["%s is not on the page" % name for name in sorted(set(there) - set(here))]
    for name in sorted(set(there) & set(here)):
        for member in sorted(set(there[name]) | set(here[name])):
            wanted, seen = there[name].get(member), here[name].get(member)
            problems += [] if wanted == seen else ["%s.%s is %s on the page, %s in the header" % (name, member, seen, wanted)]
    return problems


# ---- The header


def has_32_bit(compiler, folder):
    source = os.path.join(folder, "empty.c")
    with open(source, "w", encoding="utf-8") as f:
        f.write("#include <stdint.h>\n")
    return subprocess.run(compiler + ["-m32", "-c", source, "-o", source + ".o"], stderr=subprocess.DEVNULL).returncode == 0


def main():
    p = common.parser(__doc__)
    p.add_argument("--cc", action="append", required=True, help="the C compiler, one word at a time")
    p.add_argument("--cxx", action="append", help="the C++ compiler, one word at a time")
    p.add_argument("--page", required=True, help="docs/ABI.md")
    p.add_argument("source")
    p.add_argument("include", nargs="+")
    args = p.parse_args()
    tap = common.Tap()
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "header.o")

        def compile_with(name, command):
            tap.check(name, compiles(command, args.source, args.include, out))

        compile_with("C11", args.cc + ["-std=c11"])
        compile_with("C17 with GNU extensions", args.cc + ["-std=gnu17"])
        if args.cxx:
            compile_with("C++11", args.cxx + ["-std=c++11", "-x", "c++"])
        else:
            tap.skip("C++11", "no C++ compiler")
        if platform.machine() == "x86_64":
            if has_32_bit(args.cc, folder):
                compile_with("C11 for 32 bits", args.cc + ["-std=c11", "-m32"])
            else:
                tap.skip("C11 for 32 bits", "the compiler has no 32-bit headers")
        seeded = compiles(args.cc + ["-std=c11", "-DSEEDED_VIOLATION"], args.source, args.include, out)
        compile_with("C11 with the static library of Windows", args.cc + ["-std=c11", "-D_WIN32", "-DNP_STATIC"])
        tap.check("a moved member is noticed", [] if "np_result has changed: nat_type" in "".join(seeded) else ["it is not"])
    page = common.read(args.page)
    tap.check("the tables of the page", page_problems(page, args.source))
    moved = page_problems(page.replace("| 8 | 4 | `int32_t` | `request`", "| 9 | 4 | `int32_t` | `request`"), args.source)
    tap.check("a wrong row of a table is noticed", [] if len(moved) == 1 else moved or ["it is not"])
    tap.finish()


main()
