# SPDX-License-Identifier: MIT
"""Passes when a command fails for the reason given: the seeded defect was caught by the tool that should catch it."""
import argparse
import subprocess
import sys


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("text", help="what the output of the failing command must hold")
    p.add_argument("command", nargs=argparse.REMAINDER)
    args = p.parse_args()
    done = subprocess.run(args.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    caught = done.returncode != 0 and args.text in done.stdout
    print("%s: exit status %d, %s" % (args.text, done.returncode, "caught" if caught else "NOT CAUGHT"))
    sys.exit(0 if caught else 1)


main()
