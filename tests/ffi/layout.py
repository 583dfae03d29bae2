# SPDX-License-Identifier: MIT
"""Constants, sizes and offsets: as the C compiler sees natprobe.h, as recorded, and as a driver's language sees them."""

import json
import os
import re
import shlex
import subprocess
import tempfile

from languages import ROOT

STRUCTS = ("np_result", "np_event", "np_profile", "np_outlook_result", "np_watch_status")


def header():
    with open(os.path.join(ROOT, "include", "natprobe", "natprobe.h"), encoding="utf-8") as file:
        return re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)


def constant_names(text):
    enums = re.findall(r"\benum np_\w+ \{(.*?)\}", text, flags=re.S)
    macros = re.findall(r"^#define (NP_\w+)[ \t]+[0-9]+[ \t]*$", text, flags=re.M)
    return [name for body in enums for name in re.findall(r"\b(NP_\w+)\b\s*=", body)] + macros


def member_names(text, struct):
    body = re.search(r"typedef struct %s \{(.*?)\}" % struct, text, flags=re.S).group(1)
    return re.findall(r"(\w+)\s*(?:\[\w+\])?;", body)


def program(text):
    """A C program that prints all of it as JSON."""
    lines = ["#include <stddef.h>", "#include <stdio.h>", "#include <natprobe/natprobe.h>", "int main(void) {"]
    lines.append('    printf("{\\"constants\\": {");')
    for index, name in enumerate(constant_names(text)):
        lines.append('    printf("%s\\"%s\\": %%lld", (long long)%s);' % (", " if index else "", name, name))
    lines.append('    printf("}, \\"structs\\": {");')
    for index, struct in enumerate(STRUCTS):
        lines.append('    printf("%s\\"%s\\": {\\"size\\": %%zu, \\"members\\": {", sizeof(%s));'
                     % (", " if index else "", struct, struct))
        for number, member in enumerate(member_names(text, struct)):
            lines.append('    printf("%s\\"%s\\": [%%zu, %%zu]", offsetof(%s, %s), sizeof(((%s *)0)->%s));'
                         % (", " if number else "", member, struct, member, struct, member))
        lines.append('    printf("}}");')
    return "\n".join(lines + ['    puts("}}");', "    return 0;", "}", ""])


def of_header(environment):
    with tempfile.TemporaryDirectory() as folder:
        source, binary = os.path.join(folder, "layout.c"), os.path.join(folder, "layout")
        with open(source, "w", encoding="utf-8") as file:
            file.write(program(header()))
        compiler = shlex.split(os.environ.get("CC", "cc"))
        flags = subprocess.check_output(["pkg-config", "--cflags", "libnatprobe"], env=environment, text=True).split()
        subprocess.run([*compiler, "-std=c11", *flags, source, "-o", binary], check=True)
        return json.loads(subprocess.check_output([binary], text=True))


def of_driver(driver, environment):
    return json.loads(subprocess.check_output([*driver, "layout"], env=environment, text=True))


def recorded():
    with open(os.path.join(ROOT, "docs", "enums.json"), encoding="utf-8") as file:
        groups = json.load(file)
    return {"constants": {name: value for group in groups.values() for name, value in group.items()}}


def compare(kind, seen, truth):
    return ["%s: %s instead of %s" % (name, seen.get(name, "missing"), truth.get(name, "none in the header"))
            for name in sorted(set(seen) | set(truth)) if seen.get(name) != truth.get(name)] or (
                [] if truth else ["no %s in the header" % kind])


def compare_constants(seen, truth):
    return compare("constants", seen["constants"], truth["constants"])


def compare_structs(seen, truth):
    problems = []
    for struct, true in truth["structs"].items():
        mine = seen["structs"].get(struct, {"size": None, "members": {}})
        if mine["size"] != true["size"]:
            problems.append("sizeof(%s) is %s instead of %s" % (struct, mine["size"], true["size"]))
        problems += [struct + "." + line for line in compare("members", mine["members"], true["members"])]
    return problems
