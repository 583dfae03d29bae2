#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Can the fuzz targets find anything? Each mutant is one careless change of the library; the target named beside it has to
find it, from its corpus in the tree and a fixed number of changes of each file, as replay.c makes them.

usage: mutants.py SOURCE_ROOT INCLUDE_DIR -- CC...

SOURCE_ROOT holds libnatprobe/, include/ and tests/, INCLUDE_DIR the generated natprobe/version.h. Targets and library
are compiled once, and for every mutant the file that was changed (all that is linked where that is a header), in a
directory of its own. With AddressSanitizer and UndefinedBehaviorSanitizer, which this needs.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import mutation  # noqa: E402

CORE = ['addr', 'buf', 'classify', 'error', 'log', 'probe', 'probe_control', 'probe_event', 'probe_mapping',
        'probe_schedule', 'probe_trial', 'probe_verdict', 'stun', 'transaction']
SYSTEM = ['clock', 'failure', 'poller', 'poller_epoll', 'random', 'resolve', 'routing', 'servers', 'sockaddr', 'transport']
API = ['natprobe', 'run']
SIM = ['classes', 'network', 'truth', 'world']
SCENE = ['check', 'world_input', 'fake_system', 'fake_threads']
# What is linked of the library, and how many changes of each file of the corpus are tried.
TARGETS = {'stun': (CORE, 400), 'codec': (CORE, 100), 'names': (CORE + ['servers'], 100), 'probe': (CORE, 4),
           'world': (CORE, 12), 'calls': (CORE + SYSTEM + API, 8)}
SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']
SECONDS = 60

# name, target, and what is changed: old text (exactly once in the library), new text
MUTANTS = [
    ('reads behind the datagram', 'stun',
     'if (r->failed || n > r->size - r->pos) {', 'if (r->failed || n > r->size + 1 - r->pos) {'),
    ('an address of any length', 'stun', 'else if (family == 0x02 && size == 16)', 'else if (family == 0x02)'),
    ('error code of any class', 'stun', 'class >= 3 && class <= 6 && number <= 99', 'number <= 99'),
    ('address of IPv6 unscrambled in part', 'codec',
     'size_t size = a.family == NPI_IPV4 ? 4 : 16;', 'size_t size = a.family == NPI_IPV4 ? 4 : 12;'),
    ('the last of two addresses wins', 'codec', '    if (!npi_addr_is_set(kept))\n        *kept', '    *kept'),
    ('FINGERPRINT not checked', 'codec',
     'return npi_read_u32(&a.value) == (crc32(covered) ^ FINGERPRINT_XOR);', 'return covered.size > 0;'),
    ('reserved bits of CHANGE-REQUEST sent', 'codec', 'change &= NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT;', ''),
    ('host that fills its room to the last byte', 'names',
     'if (host.length >= sizeof out->host)', 'if (host.length > sizeof out->host)'),
    ('forms of addresses of the 1980s', 'names',
     'return label < end && !is_number(span_of(label, end));', 'return label < end;'),
    ('a built-in server twice', 'names', 'swap(&order[place], &order[i]);', 'order[place] = order[i];'),
    ('second address of any class', 'probe',
     'return class == NPI_CLASS_GLOBAL || class == npi_addr_classify(&a);', 'return true;'),
    ('ids compared in part', 'world', 'memcmp(a->bytes, b->bytes, sizeof a->bytes)', 'memcmp(a->bytes, b->bytes, 3)'),
    ('source address of plain answers not checked', 'world',
     '(x->change == 0 && !npi_addr_equal(&x->to, &source))', 'false'),
    ('control taken for granted', 'world',
     'if (*outcome == NPI_CHANGE_HONOURED) {', 'if (*outcome != NPI_CHANGE_REJECTED) {'),
    ('no limit to the rate', 'world', '#define NPI_RATE_TRANSACTIONS 10', '#define NPI_RATE_TRANSACTIONS 40'),
    ('equality claimed from one destination address', 'world',
     'return p->equal_other_ip ? NP_BEHAVIOUR_ENDPOINT_INDEPENDENT : NP_BEHAVIOUR_UNKNOWN;',
     'return NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;'),
    ('timer left open at the end', 'calls', 'close_one(p->timer_fd);\n', ''),
    ('socket left open when it cannot be bound', 'calls',
     '    npi_socket_close(s);\n    return error_from_open', '    return error_from_open'),
    ('memory freed twice', 'calls', 'ENOMEM, "out of memory");\n        npi_run_free(r);',
     'ENOMEM, "out of memory");\n        npi_run_free(r);\n        free(r);'),
    ('addresses never freed', 'calls', '    if (list != NULL)\n        freeaddrinfo(list);\n', ''),
    ('freed under a call', 'calls',
     '    if (atomic_load(&probe->in_call)) {\n        free_later(probe);\n        return;\n    }\n',
     '    (void)free_later;\n'),
    ('called back after the end', 'calls',
     '        npi_run_silence(probe->run);\n', '        (void)npi_run_silence;\n'),
    ('cancellation overlooked', 'calls', '    if (atomic_load(r->config.cancelled)) {', '    if (false) {'),
    ('the caller\'s datagrams kept from it', 'calls',
     '&in) && s->borrowed',
     '&in) && s->borrowed && false'),
    ('caller\'s socket closed', 'calls', 'fcntl(fd, F_DUPFD_CLOEXEC, 0)', 'fd'),
]


def has_sanitizers(compiler, where):
    """Whether a program with them can be made, and runs."""
    source, program = where / 'empty.c', where / 'empty'
    source.write_text('int main(void) { return 0; }\n')
    made = subprocess.run(compiler + SANITIZERS + [str(source), '-o', str(program)], stderr=subprocess.DEVNULL)
    return made.returncode == 0 and subprocess.run([str(program)], stderr=subprocess.DEVNULL).returncode == 0


class Workshop:
    """Compiles targets and library into a directory of its own."""

    def __init__(self, root, include, compiler, where):
        self.root = root
        self.where = where
        self.compiler = compiler + SANITIZERS + mutation.STANDARD + ['-g1', '-w', '-pthread',
                                                                      '-I' + str(root / 'include'), '-I' + include]
        self.library = root / 'libnatprobe'
        fuzz = root / 'tests/fuzz'
        sources = [root / 'tests/sim' / (name + '.c') for name in SIM] + mutation.support_sources(root)
        sources += [fuzz / (name + '.c') for name in SCENE + ['replay']]
        self.scene = [self.compile(source, where / ('scene_' + source.stem + '.o'), self.library) for source in sources]
        self.mains = {name: self.compile(fuzz / f'fuzz_{name}.c', where / f'fuzz_{name}.o', self.library)
                      for name in TARGETS}
        self.objects = {part: self.compile_part(*part, self.library, where) for part in self.parts(TARGETS)}

    @staticmethod
    def parts(targets):
        """Of the library, by name and whether it stands on the system in memory."""
        return sorted({(name, target == 'calls' and name not in CORE)
                       for target in targets for name in TARGETS[target][0]})

    def compile(self, source, out, library, more=()):
        mutation.run(self.compiler + ['-I' + str(library), *more, '-c', str(source), '-o', str(out)])
        return str(out)

    def compile_part(self, name, faked, library, folder):
        more = ['-include', str(self.root / 'tests/fuzz/fake_names.h')] if faked else []
        return self.compile(library / (name + '.c'), folder / f'{name}{"-faked" if faked else ""}.o', library, more)

    def link(self, target, objects, folder):
        program = folder / ('replay-' + target)
        mutation.run(self.compiler + [self.mains[target], *self.scene,
                                      *(objects[part] for part in self.parts([target])), '-lm', '-o', str(program)])
        return program

    def mutate(self, number, target, old, new):
        """The target with one thing changed in a copy of the library."""
        library = mutation.copy_library(self.root, self.where / str(number))
        changed = mutation.change(list(library.glob('*.[ch]')), old, new)
        objects = dict(self.objects)
        for name, faked in self.parts([target]):
            if changed.suffix == '.h' or changed.stem == name:
                objects[name, faked] = self.compile_part(name, faked, library, library)
        return self.link(target, objects, library)

    def finds(self, target, program):
        """Whether the target ends badly, by its corpus as it is or with changes. To hang is bad as well."""
        corpus = self.root / 'tests/fuzz/corpus' / target
        environment = dict(os.environ, ASAN_OPTIONS='detect_leaks=0', NP_SIM_SCALE='')
        for most in (0, TARGETS[target][1]):
            try:
                done = subprocess.run([str(program), str(corpus), str(most)], timeout=SECONDS, env=environment,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors='replace')
            except subprocess.TimeoutExpired:
                return 'a hang'
            if done.returncode != 0:
                lines = [line for line in done.stderr.splitlines()
                         if 'broken:' in line or 'ERROR:' in line or 'error:' in line]
                return (lines or [f'status {done.returncode}'])[0].split('/')[-1][:90]
        return None


def try_all(shop):
    for number, (what, target, old, new) in enumerate(MUTANTS):
        found = shop.finds(target, shop.mutate(number, target, old, new))
        yield f'{target}: {what}' + (f' ({found})' if found else ''), found is not None
        shutil.rmtree(shop.where / str(number))


def main():
    split = sys.argv.index('--')
    (root, include), compiler = sys.argv[1:split], sys.argv[split + 1:]
    with tempfile.TemporaryDirectory() as name:
        where = pathlib.Path(name)
        if not has_sanitizers(compiler, where):
            print('the compiler has no sanitizers that run here')
            return 77  # for meson: skipped
        shop = Workshop(pathlib.Path(root).resolve(), include, compiler, where)
        for target in TARGETS:
            found = shop.finds(target, shop.link(target, shop.objects, where))
            if found:
                raise SystemExit(f'{target} finds fault with the unchanged library: {found}')
        return mutation.report(try_all(shop))


if __name__ == '__main__':
    sys.exit(main())
