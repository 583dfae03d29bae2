#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Can the tests of hostile inputs fail? Each mutant is one careless change of the library, and the case that is there for
it has to find it.

usage: mutants.py SOURCE_ROOT INCLUDE_DIR SOURCE... -- CC...

SOURCE_ROOT holds libnatprobe/, include/ and tests/, INCLUDE_DIR the generated natprobe/version.h; the sources are all
of the library's. The tests and the library are compiled once, and for every mutant the file that was changed (all of
the library where that is a header), in a directory of its own.
"""
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import mutation  # noqa: E402

INPUTS = ['catalogue', 'inputs']
STAGE = ['engine_inputs', 'stage']
PROGRAMS = {
    'engine': INPUTS + STAGE + ['engine_cases', 'engine_transport', 'test_hostile_engine'],
    'sockets': INPUTS + ['hostile_server', 'sockets', 'sockets_cases', 'sockets_inputs', 'test_hostile_sockets'],
    'vectors': INPUTS + STAGE + ['test_hostile_vectors', 'vectors'],
}
LINK = {'engine': ['-Wl,--wrap=recvmsg']}
SECONDS = 60

# name, program and pattern of the case that has to find it, and what is changed: old text (exactly once in the
# library), new text
MUTANTS = [
    ('type of the message not looked at', 'engine', 'h11*',
     'if (type != BINDING_SUCCESS && type != BINDING_ERROR)\n        return false;', ''),
    ('bytes behind the message not noticed', 'engine', 'h07*',
     'length != npi_reader_left(&r)', 'length > npi_reader_left(&r)'),
    ('length of an attribute kept in 16 bits', 'engine', 'h20*',
     'out->value = npi_read_span(r, length);', 'out->value = npi_read_span(r, (uint16_t)(length + 3) & 0xfffcu);'),
    ('padding never needed', 'engine', 'h19*',
     'return m->is_padded || (!m->has_cookie && is_well_framed(m, false));',
     'return m->is_padded || is_well_framed(m, false);'),
    ('IPv4 address of any length', 'engine', 'h23*',
     'if (family == 0x01 && size == 4)', 'if (family == 0x01 && size >= 4)'),
    ('last duplicate wins', 'engine', 'h31*', '    if (!npi_addr_is_set(kept))\n        *kept', '    *kept'),
    ('required attributes of any number understood', 'engine', 'h33*', 'if (type >= 0x8000)', 'if (type >= 0x0030)'),
    ('error code of any class', 'engine', 'h38*', 'class >= 3 && class <= 6 && number <= 99', 'number <= 99'),
    ('FINGERPRINT not checked', 'engine', 'h44*',
     'return npi_read_u32(&a.value) == (crc32(covered) ^ FINGERPRINT_XOR);', 'return covered.size > 0;'),
    ('FINGERPRINT that is not the last attribute passed over', 'engine', 'h45*',
     'if (!a.is_last || npi', 'if (!a.is_last)\n        return true;\n    if (npi'),
    ('what is not protected counts', 'engine', 'h47*',
     'if (a.type == ATTR_MESSAGE_INTEGRITY || a.type == ATTR_MESSAGE_INTEGRITY_SHA256)', 'if (false)'),
    ('reserved bits of CHANGE-REQUEST sent', 'engine', 'h49*',
     'change &= NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT;', 'change |= change != 0 ? 0x100 : 0;'),
    ('ids compared in part', 'engine', 'h50*',
     'memcmp(a->bytes, b->bytes, sizeof a->bytes)', 'memcmp(a->bytes, b->bytes, 15)'),
    ('ids of a single bit', 'engine', 'h53*', 'npi_write_bytes(&w, random, sizeof id.bytes - w.pos);',
     'npi_write_bytes(&w, (const uint8_t[16]){random[0] & 1}, sizeof id.bytes - w.pos);'),
    ('answers from anywhere', 'engine', 'h54*', '(x->change == 0 && !npi_addr_equal(&x->to, &source))', 'false'),
    ('ignored taken for honoured', 'engine', 'h55*',
     '? NPI_CHANGE_IGNORED : NPI_CHANGE_PARTIAL', '? NPI_CHANGE_HONOURED : NPI_CHANGE_PARTIAL'),
    ('partly honoured taken for honoured', 'engine', 'h56*',
     '? NPI_CHANGE_IGNORED : NPI_CHANGE_PARTIAL', '? NPI_CHANGE_IGNORED : NPI_CHANGE_HONOURED'),
    ('first of two addresses believed', 'engine', 'h59*',
     'if ((!first && is_contradiction(p, x, r)) || sample_ns == 0)', 'if (sample_ns == 0)'),
    ('address behind an error taken for a change', 'engine', 'h62*',
     'if (had_address && has_address)', 'if (has_address)'),
    ('deadline moved by what comes', 'engine', 'h61*', '    p->received++;\n',
     '    p->received++;\n    if (p->first_sent_ns < p->now_ns)\n        p->first_sent_ns = p->now_ns;\n'),
    ('second address of any class', 'engine', 'h65*',
     'return class == NPI_CLASS_GLOBAL || class == npi_addr_classify(&a);', 'return true;'),
    ('ports of other services', 'engine', 'h67*', 'return port != 80 && port != 443;', 'return port == 0;'),
    ('second address of another family', 'engine', 'h69*',
     'if (!npi_addr_is_destination(&b) || a.family != b.family)', 'if (!npi_addr_is_destination(&b))'),
    ('second address changes', 'engine', 'h70*', '    if (s->named)\n        return;\n', ''),
    ('mapped address that nobody has', 'engine', 'h73*',
     'return npi_addr_is_destination(&a) ? a : (npi_addr){.family = NPI_FAMILY_NONE};', 'return a;'),
    ('rejected taken for honoured', 'engine', 'h76*', 'return NPI_CHANGE_REJECTED;', 'return NPI_CHANGE_HONOURED;'),
    ('failure taken for a length', 'engine', 'h02*', '    if (size < 0)\n        return errno;\n', ''),
    ('what was cut not marked', 'engine', 'h14*', '(message.msg_flags & MSG_TRUNC) != 0', 'false'),
    ('cut datagrams taken for whole ones', 'sockets', 'h14*',
     '        if (got.truncated)\n            got.size = got.segment = 0;\n', ''),
    ('the caller\'s datagrams kept from it', 'sockets', 'h58*',
     '&in) && s->borrowed',
     '&in) && s->borrowed && false'),
    ('address of IPv6 unscrambled in part', 'vectors', 'rfc5769_2_3_unchanged',
     'size_t size = a.family == NPI_IPV4 ? 4 : 16;', 'size_t size = a.family == NPI_IPV4 ? 4 : 12;'),
    ('CRC begins with zeros', 'vectors', 'rfc5769_2_2_unchanged', 'uint32_t crc = 0xffffffff;', 'uint32_t crc = 0;'),
    ('types that are nearly those of responses', 'vectors', 'rfc5769_2_2_every_flipped_bit_*',
     'uint16_t type = npi_read_u16(&r);', 'uint16_t type = npi_read_u16(&r) & 0xfdff;'),
    ('an attribute that ends behind the message', 'vectors', 'rfc5769_2_2_every_length_*',
     'npi_read_span(r, (4 - length % 4) % 4);', 'npi_read_span(r, npi_reader_left(r) < 3 ? 0 : (4 - length % 4) % 4);'),
]


class Workshop:
    """Compiles tests and library into a directory of its own."""

    def __init__(self, root, include, sources, compiler, where):
        self.root = root
        self.where = where
        self.sources = [pathlib.Path(source).name for source in sources]
        self.compiler = compiler + mutation.STANDARD + ['-I' + str(root / 'include'), '-I' + include]
        self.original = self.copy('unchanged')
        names = sorted({name for program in PROGRAMS.values() for name in program})
        self.tests = {name: self.compile(root / 'tests/hostile' / (name + '.c'), where / ('test_' + name + '.o'),
                                         self.original) for name in names}
        self.support = [self.compile(source, where / ('support_' + source.stem + '.o'), self.original)
                        for source in mutation.support_sources(root)]
        self.objects = {name: self.compile(self.original / name, self.original / (name + '.o'), self.original)
                        for name in self.sources}

    def copy(self, name):
        return mutation.copy_library(self.root, self.where / name)

    def compile(self, source, target, library):
        mutation.run(self.compiler + ['-I' + str(library), '-c', str(source), '-o', str(target)])
        return str(target)

    def build(self, program, library, changed):
        """The program with the library as it is in library, of which only the changed sources need to be compiled."""
        objects = dict(self.objects)
        for name in changed:
            objects[name] = self.compile(library / name, library / (name + '.o'), library)
        linked = library / program
        mutation.run(self.compiler + LINK.get(program, []) + [self.tests[name] for name in PROGRAMS[program]] +
                     self.support + list(objects.values()) + ['-lcmocka', '-pthread', '-o', str(linked)])
        return linked

    def mutant(self, number, program, old, new):
        library = self.copy(str(number))
        changed = mutation.change(list(library.glob('*.[ch]')), old, new)
        return self.build(program, library, [changed.name] if changed.suffix == '.c' else self.sources)


def fails(program, case):
    """Whether the case finds fault with the library that it was linked with. To hang or to crash is a fault as well."""
    try:
        done = subprocess.run([str(program), case], timeout=SECONDS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        return True
    if done.returncode == 0 and b'1 test(s) run' not in done.stdout and b'1..1\n' not in done.stdout:
        raise SystemExit(f'there is not one case, and only one, of the name {case}')
    return done.returncode != 0


def check_unchanged(shop):
    programs = {name: shop.build(name, shop.original, []) for name in PROGRAMS}
    for program, case in sorted({(program, case) for _, program, case, _, _ in MUTANTS}):
        if fails(programs[program], case):
            raise SystemExit(f'{case} finds fault with the unchanged library')


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    split = sys.argv.index('--')
    with tempfile.TemporaryDirectory() as where:
        shop = Workshop(root, sys.argv[2], sys.argv[3:split], sys.argv[split + 1:], pathlib.Path(where))
        check_unchanged(shop)
        return mutation.report((f'{case} {name}', fails(shop.mutant(number, program, old, new), case))
                               for number, (name, program, case, old, new) in enumerate(MUTANTS))


if __name__ == '__main__':
    sys.exit(main())
