# SPDX-License-Identifier: MIT
"""The public header compiles alone, twice, in strict C11 and C++11, for 64 and 32 bits, with np_result's frozen layout."""
import os
import platform
import subprocess
import tempfile

import common

STRICT = ["-pedantic-errors", "-Wall", "-Wextra", "-Werror", "-c"]


def compiles(command, source, includes, out):
    done = subprocess.run(command + STRICT + ["-I" + i for i in includes] + [source, "-o", out],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return [] if done.returncode == 0 else [done.stdout]


def has_32_bit(compiler, folder):
    source = os.path.join(folder, "empty.c")
    with open(source, "w", encoding="utf-8") as f:
        f.write("#include <stdint.h>\n")
    return subprocess.run(compiler + ["-m32", "-c", source, "-o", source + ".o"], stderr=subprocess.DEVNULL).returncode == 0


def main():
    p = common.parser(__doc__)
    p.add_argument("--cc", action="append", required=True, help="the C compiler, one word at a time")
    p.add_argument("--cxx", action="append", help="the C++ compiler, one word at a time")
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
        tap.check("a moved member is noticed", [] if "np_result has changed: nat_type" in "".join(seeded) else ["it is not"])
    tap.finish()


main()
