#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the copies of the amalgamation anew that are kept beside the bindings for Rust and Go. These languages build a
package from the files in its own folder alone, as they are in the repository.

    libnatprobe/amalgamation/copies.py            write them, after a change or a merge of the library
    libnatprobe/amalgamation/copies.py --check    compare them only
"""
import argparse
import pathlib
import re
import sys

sys.dont_write_bytecode = True
import amalgamate  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Go compiles every C file that lies beside its own, unless a tag keeps it out.
FOR_GO = "//go:build !natprobe_system\n\n"
COPIES = {"examples/rust/natprobe-sys/vendored": "", "examples/go": FOR_GO}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def version_header():
    """version.h, as Meson makes it."""
    version = re.search(r"^  version: '([0-9]+\.[0-9]+\.[0-9]+)'", read("meson.build"), flags=re.M).group(1)
    values = dict(zip(("major", "minor", "patch"), version.split(".")), version=version)
    return re.sub(r"@(\w+)@", lambda match: values[match.group(1)], read("include/natprobe/version.h.in"))


def amalgamation():
    """The texts of natprobe.c and natprobe.h."""
    return amalgamate.make(read("include/natprobe/natprobe.h"), version_header(), read("LICENSE"))[:2]


def wanted():
    source, header = amalgamation()
    for folder, first in COPIES.items():
        yield ROOT / folder / "natprobe.c", first + source
        yield ROOT / folder / "natprobe.h", header


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", action="store_true", help="compare, and write nothing")
    args = p.parse_args()
    old = [(path, text) for path, text in wanted() if not path.exists() or path.read_bytes() != text.encode()]
    for path, text in old:
        if args.check:
            print("%s is not of this tree: run libnatprobe/amalgamation/copies.py" % path.relative_to(ROOT))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
            print("%s: written" % path.relative_to(ROOT))
    sys.exit(1 if args.check and old else 0)


if __name__ == "__main__":
    main()
