#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does a seed name the same world for every compiler? Compares the simulator that was built with one of another compiler.

usage: both_compilers.py SIM COMPILER SOURCE_ROOT INCLUDE_DIR SOURCE... -- FLAG...

SIM was built with COMPILER (gcc or clang). The sources are built once more with the other one. Both print, for some
worlds of every class, a digest of the world and one of all that is sent and of the result. All must be alike.
Where the other compiler is missing the test is skipped, or fails if the environment has CI=true.
"""
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

WORLDS = '120'
JOBS = 2
SKIPPED = 77


def build(compiler, flags, sources, folder):
    def compile_one(numbered):
        number, source = numbered
        target = folder / f'{number}.o'
        subprocess.run([compiler, *flags, '-c', source, '-o', str(target)], check=True)
        return str(target)

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        objects = list(pool.map(compile_one, enumerate(sources)))
    program = folder / 'sim'
    subprocess.run([compiler, *objects, '-lm', '-o', str(program)], check=True)
    return program


def digests(program):
    run = subprocess.run([str(program), '--digest', '--worlds', WORLDS], check=True, capture_output=True, text=True)
    return run.stdout.splitlines()


def main():
    end = sys.argv.index('--')
    sim, compiler, root, include = sys.argv[1:5]
    sources, flags = sys.argv[5:end], sys.argv[end + 1:]
    other = 'gcc' if compiler == 'clang' else 'clang'
    found = shutil.which(other)
    if found is None:
        must_run = os.environ.get('CI') == 'true'
        print(f'{"FAILED" if must_run else "SKIPPED"}: NO {other} HERE: nothing shows that a seed names the same world'
              ' for every compiler', file=sys.stderr)
        return 1 if must_run else SKIPPED
    flags += ['-std=c11', '-O2', '-w', f'-I{root}/include', f'-I{include}', f'-I{root}/libnatprobe']
    with tempfile.TemporaryDirectory() as folder:
        program = build(found, flags, sources, pathlib.Path(folder))
        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            ours, theirs = pool.map(digests, [sim, program])
    differing = [f'{compiler}: {a}\n{other}: {b}' for a, b in zip(ours, theirs) if a != b]
    print('\n'.join(differing))
    print(f'{len(ours)} classes, {WORLDS} worlds each, {len(differing)} classes differ between {compiler} and {other}')
    return 0 if ours and len(ours) == len(theirs) and not differing else 1


if __name__ == '__main__':
    sys.exit(main())
