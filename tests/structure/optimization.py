# SPDX-License-Identifier: MIT
"""
The library is built for size if nobody asks for anything else, and otherwise as the user asks, by the option of Meson or
by flags of the compiler. Nothing is compiled: the test reads the commands that Meson writes down.
"""
import argparse
import json
import os
import shlex
import subprocess
import tempfile

import common

SIZE_ONLY = "-ffunction-sections"  # one of the arguments beside -Oz that are for size
FLAGS_OF_THE_CALLER = ["CFLAGS", "CPPFLAGS"]
# Options, the levels of which one has to be the last, and so the one that counts, and whether the build is for size.
CHOICES = {
    "unasked": ([], ["-Os", "-Oz"], True),
    "by the option": (["-Doptimization=2"], ["-O2"], False),
    "by flags": (["-Doptimization=s", "-Dc_args=-O1"], ["-O1"], False),
}


def run(command):
    environment = {name: value for name, value in os.environ.items() if name not in FLAGS_OF_THE_CALLER}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    return [] if done.returncode == 0 else ["%s: %s" % (shlex.join(command), done.stdout)]


def configure(args, build, options):
    """Problems of setting up, the first time or again."""
    if not os.path.exists(build):
        alone = ["-Dtests=disabled", "-Dexamples=disabled", "-Ddefault_library=static"]
        return run(args.meson + ["setup", *alone, *options, build, args.root])
    return run(args.meson + ["configure", *options, build]) or run(args.meson + ["setup", "--reconfigure", build, args.root])


def commands(build):
    """File and words of each command that compiles the library."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        entries = json.load(f)
    return [(entry["file"], shlex.split(entry["command"])) for entry in entries if entry["output"].startswith("libnatprobe")]


def problems(build, allowed, for_size):
    found = [] if commands(build) else ["no command compiles the library"]
    for file, words in commands(build):
        levels = [word for word in words if word.startswith("-O")]
        unwanted = [level for level in levels if level == "-Oz" and not for_size]
        if not levels or levels[-1] not in allowed or unwanted:
            found.append("%s: levels are %s, and the last should be %s" % (file, levels, " or ".join(allowed)))
        if (SIZE_ONLY in words) != for_size:
            found.append("%s: %s %s" % (file, SIZE_ONLY, "is missing" if for_size else "is there"))
    return found


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--meson", action="append", required=True, help="the program meson, one word at a time")
    p.add_argument("root")
    args = p.parse_args()
    tap = common.Tap()
    with tempfile.TemporaryDirectory() as folder:
        build = os.path.join(folder, "build")
        for name, (options, allowed, for_size) in CHOICES.items():
            tap.check(name, configure(args, build, options) or problems(build, allowed, for_size))
    tap.finish()


main()
