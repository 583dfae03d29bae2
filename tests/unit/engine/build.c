/* SPDX-License-Identifier: MIT */
/* Facts as a file of the engine finds them. */
#include "build.h"

#include <string.h>

/* ---- Rows of tables --------------------------------------------------------------------------------------------- */

void build_expect(const char *sentence, bool holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    print_error("%s\n    does not hold: %s\n", sentence, what);
    _fail(file, line);
}

void build_expect_equal(const char *sentence, uint64_t got, uint64_t wanted, const char *what, const char *file,
                        int line)
{
    if (got == wanted)
        return;
    print_error("%s\n    %s is %lld, not %lld\n", sentence, what, (long long)got, (long long)wanted);
    _fail(file, line);
}

static void print_time(uint64_t t_ns, uint64_t origin_ns)
{
    if (t_ns == NPI_NEVER)
        print_error("never");
    else
        print_error("%.6f ms", ((double)t_ns - (double)origin_ns) / 1e6);
}

void build_expect_time(const char *sentence, uint64_t got_ns, uint64_t wanted_ns, uint64_t origin_ns, const char *what,
                       const char *file, int line)
{
    if (got_ns == wanted_ns)
        return;
    print_error("%s\n    %s is ", sentence, what);
    print_time(got_ns, origin_ns);
    print_error(", not ");
    print_time(wanted_ns, origin_ns);
    print_error("\n");
    _fail(file, line);
}

/* ---- The experiment --------------------------------------------------------------------------------------------- */

void build_init(build *b)
{
    memset(b, 0, sizeof *b);
    b->f.config.tests = NP_TESTS_DEFAULT;
    b->f.config.max_servers = NPI_SERVERS_MAX;
    b->f.config.deadline_ns = NPI_NEVER;
    b->f.config.response_timeout_ns = 3000 * NPI_MS;
    b->f.start_ns = T0;
    b->f.now_ns = T0;
    b->f.traffic.first_sent_ns = NPI_NEVER;
    b->f.servers = b->servers;
    b->f.trials = b->trials;
    b->f.server_room = NPI_SERVERS_MAX;
    b->f.trial_room = NPI_TRIALS_MAX;
    b->f.optional.errand = b->errands;
    b->f.optional.errand_room = NPI_OPTIONAL_ERRANDS;
}

void build_now(build *b, uint64_t now_ns)
{
    b->f.now_ns = now_ns;
}

npi_addr build_a(size_t n, uint16_t port)
{
    return npi_addr_v4(198, 51, 100, (uint8_t)(10 + n), port);
}

npi_addr build_b(size_t n, uint16_t port)
{
    return npi_addr_v4(203, 0, 113, (uint8_t)(10 + n), port);
}

npi_addr build_external(uint16_t port)
{
    return npi_addr_v4(192, 0, 2, 77, port);
}

npi_addr build_local(void)
{
    return npi_addr_v4(10, 0, 0, 7, 40000);
}

/* ---- Servers ---------------------------------------------------------------------------------------------------- */

npi_server *build_server(build *b)
{
    size_t n = b->f.server_count++;
    npi_server *s = &b->servers[n];
    s->address = build_a(n, BUILD_P);
    s->trial = -1;
    return s;
}

npi_server *build_asked_server(build *b)
{
    npi_server *s = build_server(b);
    s->contact = NPI_ASKED;
    s->started_ns = T0;
    npi_exchange_ask(&s->x[NPI_PRIMARY], "I", &s->address, 0, NPI_PRIMARY_COPIES);
    npi_exchange_init(&s->x[NPI_RFC3489], "RFC 3489 I", NPI_SLOT_SOURCE, &s->address, 0, NPI_RFC3489_COPIES);
    npi_exchange_init(&s->x[NPI_RECHECK], "I again", NPI_SLOT_SOURCE, &s->address, 0, NPI_PRIMARY_COPIES);
    s->x[NPI_PRIMARY].queued = false; /* a test that needs it sends it */
    return s;
}

npi_server *build_answering_server(build *b, unsigned rtt_ms)
{
    size_t n = b->f.server_count;
    npi_server *s = build_asked_server(b);
    s->contact = NPI_HAS_ANSWERED;
    s->alternate = build_b(n, BUILD_Q);
    s->alternate_state = NPI_ALTERNATE_KNOWN;
    build_rtt(&s->rtt, rtt_ms);
    b->f.any_answer = true;
    return s;
}

void build_rtt(npi_rtt *rtt, unsigned rtt_ms)
{
    memset(rtt, 0, sizeof *rtt);
    rtt->smoothed_ns = rtt_ms * NPI_MS;
    rtt->lowest_ns = rtt_ms * NPI_MS;
    rtt->samples = 1;
}

npi_sample build_sample(uint64_t first_ns, uint64_t last_ns, uint64_t heard_ns)
{
    return (npi_sample){first_ns, last_ns, heard_ns};
}

void build_sees(npi_server *s, const npi_addr *external, uint64_t sent_ns, uint64_t heard_ns)
{
    s->latest = build_sample(sent_ns, sent_ns, heard_ns);
    if (s->has_mapping)
        return;
    s->has_mapping = true;
    s->first = s->latest;
    s->observed.destination = s->address;
    s->observed.external = *external;
    s->observed.local = build_local();
}

/* ---- Trials ----------------------------------------------------------------------------------------------------- */

npi_trial *build_trial(build *b, npi_server *s)
{
    static const uint32_t changes[NPI_FILTERING_EXCHANGES] = {
        [NPI_F_II] = NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT,
        [NPI_F_III] = NPI_STUN_CHANGE_PORT,
    };
    static const char *const names[NPI_FILTERING_EXCHANGES] = {"F I", "F II", "F III", "F second"};
    size_t index = b->f.trial_count++;
    npi_trial *t = &b->trials[index];
    t->server = (size_t)(s - b->servers);
    t->filtering.slot = (int)index + 1;
    t->filtering.next_round_ns = b->f.now_ns;
    s->trial = (int)index;
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        npi_exchange_init(&t->filtering.x[i], names[i], t->filtering.slot, &s->address, changes[i], NPI_COPIES_MAX);
        t->filtering.x[i].sent_in_rounds = true;
    }
    return t;
}

void build_silent(npi_trial *t)
{
    t->filtering.ii.outcome = NPI_CHANGE_SILENT;
    t->filtering.iii.outcome = NPI_CHANGE_SILENT;
    t->phase = NPI_PHASE_MAPPING;
}

void build_decided(npi_trial *t, int32_t filtering, bool proven, npi_reason reason, npi_phase phase)
{
    t->finding.state = NPI_DECIDED;
    t->finding.filtering = filtering;
    t->finding.proven = proven;
    t->finding.reason = reason;
    t->phase = phase;
}

npi_exchange *build_ask(build *b, npi_trial *t, int index)
{
    static const char *const names[NPI_CONTROL_EXCHANGES] = {"I B:P",       "I B:Q",  "I A:Q",  "F I B:P", "control II",
                                                             "control III", "near I", "near I", "near I"};
    const npi_server *s = &b->servers[t->server];
    npi_exchange *x = &t->control.x[index];
    npi_addr to = s->address;
    uint32_t change = 0;
    if (index == NPI_M_BP || index == NPI_M_OTHER)
        to = npi_addr_with_port(&s->alternate, s->address.port);
    else if (index == NPI_M_BQ)
        to = s->alternate;
    else if (index == NPI_M_AQ)
        to = npi_addr_with_port(&s->address, s->alternate.port);
    else
        change = index == NPI_C_II ? NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT : NPI_STUN_CHANGE_PORT;
    npi_exchange_ask(x, names[index], &to, change, NPI_ALTERNATE_COPIES);
    if (index == NPI_M_OTHER)
        x->slot = t->filtering.slot;
    return x;
}

/* ---- Requests --------------------------------------------------------------------------------------------------- */

/* Ids differ from each other, and are the same in every run: decisions are made with their bytes. */
static npi_stun_id make_id(void)
{
    static uint32_t ids;
    npi_stun_id id = {{0x21, 0x12, 0xA4, 0x42}};
    ids++;
    memcpy(id.bytes + sizeof id.bytes - sizeof ids, &ids, sizeof ids);
    return id;
}

void build_send(npi_exchange *x, uint64_t at_ns)
{
    if (!x->t.started) {
        npi_stun_id id = make_id();
        npi_transaction_start(&x->t, &id, x->max_copies, at_ns);
        x->queued = false;
    }
    npi_transaction_sent(&x->t, at_ns, NPI_NEVER);
}

void build_send_copies(npi_exchange *x, unsigned copies, uint64_t first_ns, unsigned gap_ms)
{
    for (unsigned i = 0; i < copies; i++)
        build_send(x, first_ns + i * gap_ms * NPI_MS);
}

void build_answer(npi_exchange *x, uint64_t at_ns)
{
    if (!npi_exchange_is_answered(x))
        x->local = build_local();
    npi_transaction_answered(&x->t, at_ns, NULL, false);
}

void build_answer_copies(npi_exchange *x, unsigned copies, unsigned rtt_ms)
{
    for (unsigned i = 0; i < copies; i++)
        build_answer(x, x->t.first_ns + x->t.sent_us[i] * UINT64_C(1000) + rtt_ms * NPI_MS);
}

void build_observe(npi_exchange *x, const npi_addr *external, uint64_t sent_ns, uint64_t heard_ns)
{
    build_send(x, sent_ns);
    build_answer(x, heard_ns);
    x->external = *external;
    x->last_copy_ns = sent_ns;
}
