# SPDX-License-Identifier: MIT
"""What the four mutants.py share: a copy of the library, one careless change of it, and the count of those found."""
import shutil
import subprocess

STANDARD = ['-std=c11', '-O1', '-D_GNU_SOURCE']


def run(command):
    subprocess.run(command, check=True)


def copy_library(root, folder):
    """A copy of the library's sources in a new folder."""
    folder.mkdir()
    for source in (root / 'libnatprobe').glob('*.[ch]'):
        shutil.copy(source, folder)
    return folder


def support_sources(root):
    """What the test programs share."""
    return sorted((root / 'tests/support').glob('*.c'))


def change(sources, old, new):
    """Changes the one place in the sources that reads old, and gives the file. Not one place: the list is out of date."""
    places = [source for source in sources for _ in range(source.read_text().count(old))]
    if len(places) != 1:
        raise SystemExit(f'the library has {len(places)} places, not one, that read: {old}')
    places[0].write_text(places[0].read_text().replace(old, new))
    return places[0]


def report(verdicts):
    """Prints each mutant, given with whether it was found, and the sum. The exit status: 1 where one survives."""
    total = survivors = 0
    for name, found in verdicts:
        print('found   ' if found else 'SURVIVES', name, flush=True)
        total += 1
        survivors += not found
    print(f'{total - survivors} of {total} mutants found')
    return 1 if survivors else 0
