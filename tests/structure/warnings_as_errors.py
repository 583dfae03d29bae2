# SPDX-License-Identifier: MIT
"""A build that calls warnings errors does so: the very command that compiles the library refuses a seeded conversion."""
import argparse
import json
import os
import shlex
import subprocess
import sys

import common


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("build")
    p.add_argument("mutant")
    args = p.parse_args()
    commands = json.loads(common.read(os.path.join(args.build, "compile_commands.json")))
    entry = next(c for c in commands if c["file"].endswith("libnatprobe/addr.c"))
    words = [args.mutant if word == entry["file"] else word for word in shlex.split(entry["command"])]
    words[words.index("-o") + 1] = os.devnull
    # Neither the object nor its dependency file of the real compilation may be touched.
    for option in ("-MF", "-MQ"):
        words[words.index(option) + 1] = os.devnull
    done = subprocess.run(words, cwd=entry["directory"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    sys.exit(0 if done.returncode != 0 and "conversion" in done.stdout else 1)


main()
