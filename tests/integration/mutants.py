#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Can the tests of failing machines fail? Each mutant is one careless change of the library; they have to find every one.

usage: mutants.py SOURCE_ROOT INCLUDE_DIR SOURCE... -- WRAPPED... -- CC...

SOURCE_ROOT holds libnatprobe/, include/ and tests/, INCLUDE_DIR the generated natprobe/version.h; the sources are all
of the library's, the wrapped those functions that the tests put themselves in place of. The tests and the library are
compiled once, and for every mutant the file that was changed, in a directory of its own. The small scale of the tests
has to do.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import mutation  # noqa: E402

SUPPORT = ['fault_calls', 'fault_clock', 'fault_errors', 'fault_names', 'fault_scene', 'fault_world', 'support']
# Programs with their arguments, the quickest first: what one finds the others need not look for.
RUNS = [('test_faults', []), ('test_faults', ['open']), ('test_machine', []), ('test_faults', ['own-socket']),
        ('test_lifecycle', []), ('test_faults', ['own-dual-socket']), ('test_faults', ['name-of-ipv6']),
        ('test_faults', ['names'])]
SECONDS = 40

# name, and what is changed: old text (exactly once in the library), new text
MUTANTS = [
    ('socket left open when it cannot be bound',
     '    npi_socket_close(s);\n    return error_from_open', '    return error_from_open'),
    ('poller left half open', '    npi_poller_close(p);\n    return failure', '    return failure'),
    ('timer left open at the end', 'close_one(p->timer_fd);\n', ''),
    ('memory lost when there is no more',
     'ENOMEM, "out of memory");\n        npi_run_free(r);', 'ENOMEM, "out of memory");'),
    ('memory lost when there is no mutex', '    if (pthread_mutex_init(&r->mutex, NULL) != 0) {\n        free(r);',
     '    if (pthread_mutex_init(&r->mutex, NULL) != 0) {'),
    ('room for the caller\'s datagrams never freed', '    free(r->callers_room);\n', ''),
    ('addresses never freed', '    if (list != NULL)\n        freeaddrinfo(list);\n', ''),
    ('out of memory not looked at',
     'return r->probe != NULL && r->resolver != NULL && (', 'return r->probe != NULL && ('),
    ('bind not looked at', 'return bind(fd, &name.any, length) == 0 ? NULL : "bind";',
     'return bind(fd, &name.any, length) == 0 ? NULL : NULL;'),
    ('timer not looked at', 'if (!npi_poller_set_timer(r->config.poller, now_ns, wakeup_ns))',
     'if (!npi_poller_set_timer(r->config.poller, now_ns, wakeup_ns) && false)'),
    ('threads not looked at', '            fail_waiting(r, error);\n', '            (void)fail_waiting;\n'),
    ('interrupted sends given up', '} while (sent < 0 && errno == EINTR);', '} while (false);'),
    ('interrupted receipt taken for a broken socket', 'while (*os_error == EINTR || (is_left', 'while ((is_left'),
    ('interrupted wait taken for a broken poller', '} while (ready < 0 && errno == EINTR);', '} while (false);'),
    ('interrupted randomness taken for none', 'if (got < 0 && errno != EINTR)', 'if (got < 0)'),
    ('ICMP taken for a broken socket', '    case ECONNREFUSED:\n    case ECONNRESET:\n', '    case ECONNRESET:\n'),
    ('privileged port taken for a missing network',
     '    if (os_error == EACCES || os_error == EPERM)\n        return NP_ERR_SYSTEM;\n', ''),
    ('wall clock', 'clock_gettime(CLOCK_BOOTTIME, &now)', 'clock_gettime(CLOCK_REALTIME, &now)'),
    ('clock that is not there used all the same', '    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0)',
     '    if (clock_gettime(CLOCK_BOOTTIME, &now) == 2)'),
    ('cancellation overlooked', '    if (atomic_load(r->config.cancelled)) {', '    if (false) {'),
    ('cancellation remembered', '    atomic_store(&probe->cancelled, false); /*', '    /*'),
    ('called back after the end', '        npi_run_silence(probe->run);\n', '        (void)npi_run_silence;\n'),
    ('freed under a call', '    if (atomic_load(&probe->in_call)) {\n        free_later(probe);\n        return;\n    }\n',
     '    (void)free_later;\n'),
    ('caller\'s socket closed', 'fcntl(fd, F_DUPFD_CLOEXEC, 0)', 'fd'),
    ('wake-ups left standing', '            take_back_wake_ups(p);', '            (void)take_back_wake_ups;'),
]


class Workshop:
    def __init__(self, root, include, sources, wrapped, compiler, where):
        self.root = root
        self.where = where
        self.sources = [pathlib.Path(source) for source in sources]
        self.compiler = compiler + mutation.STANDARD + ['-w', '-pthread', '-D_FILE_OFFSET_BITS=64',
                                                         '-I' + str(root / 'include'), '-I' + include,
                                                         '-I' + str(root / 'libnatprobe')]
        self.link = ['-Wl,--wrap=' + name for name in wrapped] + ['-lcmocka', '-pthread']
        tests = root / 'tests/integration'
        sources = [tests / (name + '.c') for name in SUPPORT] + mutation.support_sources(root)
        self.support = [self.compile(source, where / (source.stem + '.o')) for source in sources]
        self.mains = {name: self.compile(tests / (name + '.c'), where / (name + '.o'))
                      for name in sorted({name for name, _ in RUNS})}
        self.objects = {source.name: self.compile(source, where / ('np_' + source.name + '.o'))
                        for source in self.sources}

    def compile(self, source, target):
        mutation.run(self.compiler + ['-c', str(source), '-o', str(target)])
        return str(target)

    def build(self, folder, changed):
        """The programs, with the object files in changed in place of the library's own."""
        objects = list({**self.objects, **changed}.values())
        for name, main in self.mains.items():
            mutation.run(self.compiler + [main, *self.support, *objects, *self.link, '-o', str(folder / name)])

    def mutant(self, number, old, new):
        """The programs with one thing changed in a copy of the library, and the folder that they are in."""
        folder = mutation.copy_library(self.root, self.where / str(number))
        changed = mutation.change([folder / source.name for source in self.sources], old, new)
        self.build(folder, {changed.name: self.compile(changed, folder / 'mutant.o')})
        return folder


def finder(folder):
    """Which test finds fault with the library; None: none. To hang or to crash is a fault as well."""
    environment = dict(os.environ, NP_SIM_SCALE='small', MALLOC_PERTURB_='165')
    for name, arguments in RUNS:
        try:
            done = subprocess.run([str(folder / name), *arguments], timeout=SECONDS, env=environment,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return 'a hang of ' + ' '.join([name, *arguments])
        if done.returncode != 0:
            return ' '.join([name, *arguments])
    return None


def split(arguments):
    """The parts between the double dashes."""
    first = arguments.index('--')
    second = arguments.index('--', first + 1)
    return arguments[:first], arguments[first + 1:second], arguments[second + 1:]


def try_all(shop):
    for number, (name, old, new) in enumerate(MUTANTS):
        folder = shop.mutant(number, old, new)
        found = finder(folder)
        yield name + (f' ({found})' if found else ''), found is not None
        shutil.rmtree(folder)


def main():
    (root, include, *sources), wrapped, compiler = split(sys.argv[1:])
    with tempfile.TemporaryDirectory() as where:
        shop = Workshop(pathlib.Path(root).resolve(), include, sources, wrapped, compiler, pathlib.Path(where))
        folder = pathlib.Path(where) / 'unchanged'
        folder.mkdir()
        shop.build(folder, {})
        found = finder(folder)
        if found is not None:
            raise SystemExit('the unchanged library has a fault that is found by ' + found)
        return mutation.report(try_all(shop))


if __name__ == '__main__':
    sys.exit(main())
