# SPDX-License-Identifier: MIT
"""
The build options that replace the built-in servers: with a list of one's own the library asks those, with an empty one it
says that there are none and what to do, and a line that is no server ends the build. The library alone is built, by Meson
or by CMake.
"""
import argparse
import os
import socket
import subprocess
import tempfile

import common

PROGRAM = """#include <natprobe/natprobe.h>
#include <stdio.h>
int main(void)
{
    np_result result;
    int error = np_check_nat("127.0.0.1", 0, &result);
    printf("%s: %s\\n", np_error_name(error), result.detail);
    return 0;
}
"""


def said_by(command):
    """(exit status, what it said)."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


class Build:
    def __init__(self, args, folder):
        self.args = args
        self.folder = folder
        self.is_configured = False
        self.program = os.path.join(folder, "program")
        with open(self.program + ".c", "w", encoding="ascii") as f:
            f.write(PROGRAM)

    def configure(self, file):
        build = os.path.join(self.folder, "build")
        if self.args.cmake:
            return said_by(["cmake", "-G", "Ninja", "-S", os.path.join(self.args.root, "libnatprobe"), "-B", build,
                            "-DNATPROBE_DEFAULT_SERVERS=" + file])
        again = ["--reconfigure"] if self.is_configured else []
        self.is_configured = True
        return said_by(self.args.meson + ["setup", *again, "-Dtests=disabled", "-Dexamples=disabled", "-Ddefault_library=static",
                                          "-Doptimization=0", "-Ddefault_servers=" + file, build, self.args.root])

    def make(self, lines):
        """Problems of building the library and a program that calls it."""
        file = os.path.join(self.folder, "servers.txt")
        with open(file, "w", encoding="ascii") as f:
            f.write("".join(line + "\n" for line in lines))
        status, said = self.configure(file)
        build = os.path.join(self.folder, "build")
        if status == 0:
            status, said = said_by(["ninja", "-C", build] if self.args.cmake else ["ninja", "-C", build, "libnatprobe/libnatprobe.a"])
        if status == 0:
            inside = build if self.args.cmake else os.path.join(build, "libnatprobe")
            status, said = said_by(self.args.cc + [self.program + ".c", "-o", self.program, "-I", os.path.join(self.args.root, "include"),
                                                   "-I", os.path.join(build, "include"), os.path.join(inside, "libnatprobe.a"), "-pthread"])
        return [] if status == 0 else [said]


def own_list(build):
    """Each server of the list gets a request, and nobody else is looked up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.2", 0))
        problems = build.make(["# our servers", "", "127.0.0.1:%d  # the first" % first.getsockname()[1],
                               "  127.0.0.2:%d mapping 2026-11-28" % second.getsockname()[1]])
        if problems:
            return problems
        _, said = said_by([build.program])
        for sock in (first, second):
            sock.settimeout(0.1)
            try:
                sock.recv(100)
            except socket.timeout:
                problems.append("a server of the list was not asked: " + said)
        return problems + ([] if said.startswith("no-response: ") else [said])


def empty_list(build):
    problems = build.make(["# none"])
    if problems:
        return problems
    _, said = said_by([build.program])
    wanted = said.startswith("argument: ") and "no built-in servers" in said and "np_probe_add_server" in said
    return [] if wanted else [said]


def bad_line(build, line, why):
    problems = build.make([line])
    return [] if problems and why in problems[0] else ["the build went on: %s" % problems]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--meson", action="append", default=[], help="the program meson, one word at a time")
    p.add_argument("--cmake", action="store_true", help="build with CMake")
    p.add_argument("--cc", action="append", required=True, help="the C compiler, one word at a time")
    p.add_argument("root")
    args = p.parse_args()
    tap = common.Tap()
    with tempfile.TemporaryDirectory() as folder:
        build = Build(args, folder)
        tap.check("a list of one's own", own_list(build))
        tap.check("an empty list", empty_list(build))
        tap.check("a line that is no server", bad_line(build, 'stun.example.net "', "is not HOST"))
        tap.check("a use that there is not", bad_line(build, "stun.example.net everything", "is not HOST"))
    tap.finish()


main()
