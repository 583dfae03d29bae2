#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Can the simulator fail? Each mutant is one careless change of the library; the simulator has to find every one.

usage: mutants.py SOURCE_ROOT INCLUDE_DIR CORE_SOURCE... -- CC...

SOURCE_ROOT holds libnatprobe/ and include/, INCLUDE_DIR the generated natprobe/version.h; the core's sources are those
of layers 0 to 2. The simulator is compiled once, the core once for every mutant, in a directory of its own.
"""
import concurrent.futures
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import mutation  # noqa: E402

SIM = ['classes', 'coverage', 'drive', 'invariants', 'network', 'sim_main', 'simulate', 'truth', 'world']
# The worlds of sim-random, in which the library has to be without fault: half of them first, and the rest for what
# survives that; then more of the kind where carelessness costs answers rather than making them wrong.
RUNS = [['--worlds', '6000', '--seed', '1'], ['--worlds', '6000', '--seed', '6001'],
        ['--worlds', '20000', '--seed', '1', '--class', 'linux']]
SECONDS = 240
JOBS = 2

# name, and what is changed: old text (exactly once in the library), new text
MUTANTS = [
    ('source address of plain answers not checked', [
        ('(x->change == 0 && !npi_addr_equal(&x->to, &source))', 'false')]),
    ('transaction ids compared on four bytes only', [
        ('memcmp(a->bytes, b->bytes, sizeof a->bytes)', 'memcmp(a->bytes, b->bytes, 4)')]),
    ('port of XOR-MAPPED-ADDRESS taken as it stands', [
        ('a.port ^= (uint16_t)((unsigned)id->bytes[0] << 8 | id->bytes[1]);', '')]),
    ('flags of CHANGE-REQUEST exchanged', [
        ('#define NPI_STUN_CHANGE_IP 0x4u\n#define NPI_STUN_CHANGE_PORT 0x2u',
         '#define NPI_STUN_CHANGE_IP 0x2u\n#define NPI_STUN_CHANGE_PORT 0x4u')]),
    ('control taken for granted', [
        ('if (*outcome == NPI_CHANGE_HONOURED) {', 'if (*outcome != NPI_CHANGE_REJECTED) {')]),
    ('filtering tested on the source socket', [('t->slot = (int)index + 1;', 't->slot = NPI_SLOT_SOURCE;')]),
    ('loss never explains silence', [('worst = chance > worst ? chance : worst;', '')]),
    ('duplicates counted as answers', [
        ('if (t->answers >= t->sent) {\n        t->surplus++;\n        return 0;\n    }\n', '')]),
    ('copies in flight counted as unanswered', [
        ('return rtt->smoothed_ns + (allowance > JITTER_FLOOR_NS ? allowance : JITTER_FLOOR_NS);',
         'return rtt->smoothed_ns / 4;')]),
    ('ignored counted as honoured', [
        ('? NPI_CHANGE_IGNORED : NPI_CHANGE_PARTIAL', '? NPI_CHANGE_HONOURED : NPI_CHANGE_PARTIAL')]),
    ('error response counted as honoured', [('return NPI_CHANGE_REJECTED;', 'return NPI_CHANGE_HONOURED;')]),
    ('alternate address not checked', [
        ('return class == NPI_CLASS_GLOBAL || class == npi_addr_classify(&a);', 'return true;')]),
    ('equality claimed from one destination address', [
        ('return p->equal_other_ip ? NP_BEHAVIOUR_ENDPOINT_INDEPENDENT : NP_BEHAVIOUR_UNKNOWN;',
         'return NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;')]),
    ('conntrack trap forgotten, twice', [
        ('bool open = npi_exchange_is_answered(pinhole) || (t->control_at_once && pinhole->t.sent > 0);',
         'bool open = true;'),
        ('return c->sent > 0 && c->first_ns < when_ns && npi_addr_equal(&from, address) && '
         '!was_open(p, address, c->first_ns);',
         'return false;')]),
    ('mapped address of the other family compared', [
        ('if (mapped->family != x->to.family)\n        return false;\n', '')]),
    ('answers believed that another socket may have let in', [
        ('if (outcome == NPI_CHANGE_HONOURED && npi_probe_has_touched(p, from, test == &t->ii))', 'if (false)')]),
    ('change of address not noticed', [
        ('if (s->is_seen && !npi_addr_equal(&s->seen.external, external)) {', 'if (false) {')]),
    ('requests repeated every millisecond', [
        ('#define NPI_PACE_MIN_NS (10 * NPI_MS)', '#define NPI_PACE_MIN_NS (1 * NPI_MS)')]),
    ('forty transactions a second', [('#define NPI_RATE_TRANSACTIONS 10', '#define NPI_RATE_TRANSACTIONS 40')]),
    ('result not written as a whole', [('memset(out, 0, sizeof *out);\n    out->error', 'out->error')]),
    # ---- classify
    ('one difference is enough for an address-dependent mapping', [
        ('bool by_address = p->equal_other_port && !p->doubtful_other_port;', 'bool by_address = true;')]),
    ('port dependence taken for address dependence', [
        ('return p->equal_other_port ? NP_BEHAVIOUR_ENDPOINT_DEPENDENT : NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;',
         'return NP_BEHAVIOUR_ADDRESS_DEPENDENT;')]),
    ('only IP addresses of mappings compared', [
        ('bool equal = npi_addr_equal(&a->external, &b->external);',
         'bool equal = npi_addr_same_ip(&a->external, &b->external);')]),
    ('silence of II alone is address-dependent filtering', [
        ('if (test_iii == NPI_CHANGE_HONOURED)\n        return NP_BEHAVIOUR_ADDRESS_DEPENDENT;',
         'return NP_BEHAVIOUR_ADDRESS_DEPENDENT;')]),
    ('III honoured counts as open', [
        ('if (test_ii == NPI_CHANGE_HONOURED)\n        return NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;',
         'if (test_ii == NPI_CHANGE_HONOURED || test_iii == NPI_CHANGE_HONOURED)\n'
         '        return NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;')]),
    ('unknown filtering is a cone', [
        ('filtering == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT ? NP_NAT_PORT_RESTRICTED_CONE : NP_NAT_CONE',
         'NP_NAT_PORT_RESTRICTED_CONE')]),
    # ---- loss and time
    ('half of the silence is enough', [
        ('double chance = power(p, n) * so_few_are_lost(loss, p);',
         'double chance = power(p, n * 3) * so_few_are_lost(loss, p);')]),
    ('losses seen are forgotten', [('loss->lost += aged > won ? aged - won : 0;', '')]),
    ('a silent test is over at once', [('if (npi_trial_is_silence_short(p, t, copies))\n        return false;', 'return true;')]),
    ('every request has the same id', [
        ('npi_stun_id id = npi_stun_make_id(dialect_of(s, x), random);',
         'npi_stun_id id = npi_stun_make_id(dialect_of(s, x), (const uint8_t *)"0123456789abcdef");')]),
    # ---- probe, server and schedule
    ('local address of the first server never confirmed', [
        ('bool sure = (complete || exhausted) && npi_mapping_make_sure(p);', 'bool sure = complete || exhausted;'),
        ('int32_t mapping = npi_mapping_sure(p);\n    int32_t type',
         'int32_t mapping = npi_mapping_seen(p);\n    int32_t type'),
        ('out->mapping = npi_mapping_sure(p);', 'out->mapping = npi_mapping_seen(p);')]),
    ('private addresses believed from public servers', [
        ('if (mapped->family != x->to.family)\n        return false;\n', 'return true;\n')]),
    ('ports of other services asked', [
        ('|| is_port_refused(b.port))', ')'), ('static bool is_port_refused(', 'static inline bool is_port_refused(')]),
    ('link-local and loopback addresses asked', [
        ('return class == NPI_CLASS_GLOBAL || class == npi_addr_classify(&a);', 'return class != NPI_CLASS_PRIVATE;')]),
    ('several servers may name one victim', [
        ('used += over ? x->t.sent : x->limit;', 'used += 0 * (over ? x->t.sent : x->limit);')]),
    ('no cap for an address that was not named', [
        ('#define NPI_ALTERNATE_COPIES 8', '#define NPI_ALTERNATE_COPIES 60')]),
    ('every answer provokes a request', [
        ('    p->stirred = true;\n',
         '    p->stirred = true;\n    x->t.stopped = false;\n    x->t.limit = x->t.sent + 1;\n'
         '    x->t.next_ns = p->now_ns;\n    x->by_volley = true;\n')]),
    ('no limit of rate', [('if (p->transactions < NPI_RATE_TRANSACTIONS)\n        return true;', 'return true;')]),
    ('servers asked while a filtering test is under way', [
        ('if (s->started || would_disturb(p, s))', 'if (s->started)'),
        ('if (outcome == NPI_CHANGE_HONOURED && npi_probe_has_touched(p, from, test == &t->ii))', 'if (false)')]),
    ('control not needed for II', [
        ('verdict v = advance_control(p, t, NPI_C_II);\n    if (v == PASSED',
         'verdict v = PASSED;\n    if (v == PASSED')]),
    ('a silent control passes', [('? SILENT : WAITING;', '? PASSED : WAITING;')]),
    # ---- stun
    ('XOR-MAPPED-ADDRESS: address taken as it stands', [('a.ip[i] ^= id->bytes[i];', ';')]),
    ('MAPPED-ADDRESS preferred', [
        ('npi_addr mapped = first_set(hidden, plain);', 'npi_addr mapped = first_set(plain, hidden);')]),
    ('unusable mapped addresses used', [
        ('return npi_addr_is_destination(&a) ? a : (npi_addr){.family = NPI_FAMILY_NONE};', 'return a;')]),
    ('a timeout is a verdict', [
        ('if (type != NP_NAT_UNKNOWN)\n        npi_probe_finish(p, NP_OK, 0);',
         'npi_probe_finish(p, NP_OK, 0);\n    if (type != NP_NAT_UNKNOWN)\n        return;')]),
    ('silence of servers not waited for', [
        ('if (silent_ns > p->now_ns) {\n        npi_wake_at(p, silent_ns);\n        return false;\n    }', '')]),
]


class Workshop:
    def __init__(self, root, include, core, compiler, where):
        self.root = root
        self.where = where
        self.core = [pathlib.Path(source).name for source in core]
        self.compiler = compiler + mutation.STANDARD + ['-I' + str(root / 'include'), '-I' + include]
        sources = [root / 'tests/sim' / (name + '.c') for name in SIM] + mutation.support_sources(root)
        self.sim_objects = [self.compile(source, where / ('sim_' + source.stem + '.o'), root / 'libnatprobe')
                            for source in sources]

    def compile(self, source, target, library):
        mutation.run(self.compiler + ['-I' + str(library), '-c', str(source), '-o', str(target)])
        return str(target)

    def build(self, library):
        """The simulator with the library's core as it is in library."""
        objects = [self.compile(library / name, library / (name + '.o'), library) for name in self.core]
        program = library / 'sim'
        mutation.run(self.compiler + self.sim_objects + objects + ['-lm', '-o', str(program)])
        return program

    def library(self, name):
        return mutation.copy_library(self.root, self.where / name)


def is_faulty(program, options):
    """Whether the simulator finds fault with the library it was linked with. To hang or to crash is a fault as well."""
    try:
        command = [str(program), '--jobs', '1', '--fail-fast'] + options
        done = subprocess.run(command, timeout=SECONDS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return done.returncode != 0
    except subprocess.TimeoutExpired:
        return True


def is_found(shop, number, changes):
    library = shop.library(str(number))
    for old, new in changes:
        mutation.change(list(library.glob('*.[ch]')), old, new)
    program = shop.build(library)
    return any(is_faulty(program, options) for options in RUNS)


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    split = sys.argv.index('--')
    with tempfile.TemporaryDirectory() as where:
        shop = Workshop(root, sys.argv[2], sys.argv[3:split], sys.argv[split + 1:], pathlib.Path(where))
        sound = shop.build(shop.library('unchanged'))
        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            unchanged = [pool.submit(is_faulty, sound, options) for options in RUNS]
            verdicts = [pool.submit(is_found, shop, number, changes) for number, (_, changes) in enumerate(MUTANTS)]
            status = mutation.report((name, verdict.result()) for (name, _), verdict in zip(MUTANTS, verdicts))
            if any(run.result() for run in unchanged):
                raise SystemExit('the simulator finds fault with the unchanged library')
    return status


if __name__ == '__main__':
    sys.exit(main())
