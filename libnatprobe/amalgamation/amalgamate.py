#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes one source and one header of the library, for programs that would rather compile it than link it: natprobe.c and
natprobe.h. They are for every system: what is for some alone is between #if and #endif.

Each inner header goes in once, before the first file that includes it. A name of a file that another file uses in another
sense gets the file's name in front. Macros of a file end with it.
"""
import argparse
import pathlib
import re

# As sources.txt names them.
CONDITIONS = {"posix": "!defined(_WIN32)", "linux": "defined(__linux__)", "windows": "defined(_WIN32)",
              "kqueue": "!defined(__linux__) && !defined(_WIN32)"}
INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')
PUBLIC = re.compile(r"\s*#\s*include\s+<natprobe/natprobe\.h>")
VERSION = re.compile(r"\s*#\s*include\s+<natprobe/version\.h>")
SPDX = re.compile(r"/\* SPDX-License-Identifier: .* \*/\n")
# A comment, a string, a character, an inclusion, a member, a name.
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|^[ \t]*#[ \t]*include[^\n]*|(?:\.|->)[ \t]*[A-Za-z_]\w*|[A-Za-z_]\w*',
                   flags=re.S | re.M)
# What a file names for itself at its outermost level; the style puts that at the beginning of a line.
OWN = [re.compile(pattern, flags=re.M) for pattern in (
    r"^static [^;={}()]*?\b(\w+)\(", r"^static [^;={}()]*?\b(\w+)(?:\[[^\]]*\])*(?: =|;)", r"^} (\w+);",
    r"^typedef [^;{}()]*?\b(\w+);", r"^typedef [^;{}]*\(\*(\w+)\)\(", r"^(?:typedef )?(?:struct|enum|union) (\w+) \{")]
CONSTANTS = re.compile(r"^(?:typedef )?enum\b[^{;()]*\{(.*?)^\}", flags=re.M | re.S)
# A structure that a file has for itself.
BODY = re.compile(r"(^(?:typedef )?(?:struct|union)\b[^{;()]*\{.*?)(?=^\})", flags=re.M | re.S)
MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", flags=re.M)

TOP = """/* SPDX-License-Identifier: MIT */
/*
 * libnatprobe %s in one file, made from its sources by libnatprobe/amalgamation/amalgamate.py. Do not edit it.
 *
 * Compile it as C11 or later, with -pthread, and preferably with -fvisibility=hidden. On Windows define NP_STATIC for it and
 * for the program.
 *
%s
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#if defined(_WIN32) && !defined(_WIN32_WINNT)
#define _WIN32_WINNT 0x0A00
#endif
#if defined(_WIN32) && !defined(WIN32_LEAN_AND_MEAN)
#define WIN32_LEAN_AND_MEAN
#endif
#if defined(__APPLE__) && !defined(__APPLE_USE_RFC_3542)
#define __APPLE_USE_RFC_3542 /* before the first header of the system */
#endif
/* What is decided from probabilities is decided alike everywhere: no a*b+c is rounded once where others round twice. */
#if defined(__clang__) || !defined(__GNUC__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#include "natprobe.h"
"""


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)


class Source:
    def __init__(self, path, systems):
        self.path = path
        self.systems = systems
        self.text = path.read_text(encoding="utf-8")
        bare = without_comments(self.text)
        self.names = {name for pattern in OWN for name in pattern.findall(bare)}
        for body in CONSTANTS.findall(bare):
            self.names |= set(re.findall(r"^\s*([A-Za-z_]\w*)\s*(?:,|=|$)", body, flags=re.M))
        self.names = {name for name in self.names if not re.match(r"npi?_", name, flags=re.I)}  # all share those
        self.macros = sorted(set(MACRO.findall(bare)))


def sources_of(folder):
    for line in (folder / "sources.txt").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words and words[0] != "#":
            yield Source(folder / words[1], words[2:])


def shared_names(sources):
    """What one file names for itself, and another one uses in another sense: as a name of its own, or within a function."""
    users = {}
    for source in sources:
        for name in set(TOKEN.findall(source.text)):
            users[name] = users.get(name, 0) + 1
    return {name for source in sources for name in source.names if users.get(name, 0) > 1}


def renamed(source, shared):
    own = source.names & shared
    prefix = source.path.stem + "_"

    def replace(text, is_body):
        def word(match):
            is_member = is_body and re.match(r"\s*[;\[:,)]", text[match.end():])
            return prefix + match.group(0) if match.group(0) in own and not is_member else match.group(0)
        return TOKEN.sub(word, text)

    # Members have names that mean nothing outside.
    parts = BODY.split(source.text)
    return "".join(replace(part, i % 2 == 1) for i, part in enumerate(parts))


class Amalgamation:
    def __init__(self, folder):
        self.folder = folder
        self.seen = set()
        self.read = set()

    def expand(self, path, text, is_conditional):
        """The text with each inner header in the place of its first inclusion that always happens."""
        self.read.add(path)
        out = []
        # The guard of a header is no condition.
        depth = -1 if path.suffix == ".h" else 0
        for line in SPDX.sub("", text, count=1).splitlines(keepends=True):
            word = re.match(r"\s*#\s*(if|endif)", line)
            if word:
                depth += 1 if word.group(1) == "if" else -1
            inner = INCLUDE.match(line)
            if inner:
                out.append(self.header((path.parent / inner.group(1)).resolve(), is_conditional or depth > 0))
            elif not PUBLIC.match(line):
                out.append(line)
        return "".join(out)

    def header(self, path, is_conditional):
        if path in self.seen:
            return ""
        if not is_conditional:
            self.seen.add(path)
        return self.expand(path, path.read_text(encoding="utf-8"), is_conditional)

    def source(self, source, shared):
        condition = " || ".join("(%s)" % CONDITIONS[name] for name in source.systems)
        title = "\n/* ---- %s %s */\n\n" % (source.path.relative_to(self.folder), "-" * 20)
        body = self.expand(source.path, renamed(source, shared), bool(condition))
        body += "".join("#undef %s\n" % name for name in source.macros)
        if "windows" in source.systems:
            body += "#undef interface /* a word to the headers of Windows */\n"
        if condition:
            body = "#if %s\n%s#endif /* %s */\n" % (condition, body, condition)
        return title + body


def make(public, version, licence):
    """The texts of natprobe.c and natprobe.h, from those of three files; and which other files were read."""
    folder = pathlib.Path(__file__).resolve().parent.parent
    inlined = "".join(SPDX.sub("", version, count=1) if VERSION.match(line) else line for line in public.splitlines(keepends=True))
    sources = list(sources_of(folder))
    shared = shared_names(sources)
    one = Amalgamation(folder)
    comment = "\n".join((" * " + line).rstrip() for line in licence.strip().splitlines())
    number = re.search(r'#define NP_VERSION "(.*)"', version).group(1)
    text = TOP % (number, comment) + "".join(one.source(source, shared) for source in sources)
    return text, inlined, one.read | {folder / "sources.txt"}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--public", required=True, type=pathlib.Path, help="natprobe.h")
    p.add_argument("--version", required=True, type=pathlib.Path, help="version.h, as Meson makes it")
    p.add_argument("--licence", required=True, type=pathlib.Path, help="goes into natprobe.c")
    p.add_argument("--depfile", type=pathlib.Path, help="receives what was read, for ninja")
    p.add_argument("source", type=pathlib.Path, help="receives natprobe.c")
    p.add_argument("header", type=pathlib.Path, help="receives natprobe.h")
    args = p.parse_args()
    inputs = [args.public, args.version, args.licence]
    source, header, read = make(*[path.read_text(encoding="utf-8") for path in inputs])
    args.source.write_text(source, encoding="utf-8")
    args.header.write_text(header, encoding="utf-8")
    if args.depfile:
        args.depfile.write_text("%s %s: %s\n" % (args.source, args.header, " ".join(sorted(map(str, read | set(inputs))))),
                                encoding="utf-8")


if __name__ == "__main__":
    main()
