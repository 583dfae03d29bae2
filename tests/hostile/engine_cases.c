/* SPDX-License-Identifier: MIT */
/* The hostile inputs that are not bytes alone: who sends them, when, how often, and what is asked of us. */
#include <stdlib.h>
#include <string.h>

#include "engine.h"

static message m; /* one at a time is made */

static bool is_plain(const asked *a)
{
    return a->q.change == 0;
}

static void run_with(stage *s, scene *c, const world *w, adversary act, void *user)
{
    *c = scene_in(w);
    c->adversary = act;
    c->user = user;
    stage_run(s, c);
}

/* In every world the adversary changes nothing. */
static void expect_no_difference(adversary act, void *user)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        stage s;
        scene c;
        run_with(&s, &c, w, act, user);
        expect_same_run(&s, honest_run(w));
        stage_close(&s);
    }
}

static endpoint stranger(const question *q)
{
    return q->asked.family == 6 ? endpoint_of("2400:bad::1", 3478) : endpoint_of("66.0.0.66", 3478);
}

/* ---- A and B: memory, texts, our own bytes ---------------------------------------------------------------------- */

static void h15_message_at_an_odd_address__CVE_2026_40613_libjuice_233(void)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        for (size_t alignment = 0; alignment < 16; alignment++) {
            stage s;
            scene c = scene_in(w);
            c.alignment = alignment;
            stage_run(&s, &c);
            expect_same_run(&s, honest_run(w));
            stage_close(&s);
        }
    }
}

/* An external address of high bytes alone. For the sanitizer of undefined behaviour. */
static void h16_left_shift_of_high_bytes__pjsip_3313(void)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        stage s;
        scene c = scene_in(w);
        if (w->mapping == NP_BEHAVIOUR_NONE)
            continue;
        c.external_ip = w->family == 6 ? "2fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" : "223.255.255.255";
        c.external_port = 65535;
        stage_run(&s, &c);
        expect_truth(&s);
        stage_close(&s);
    }
}

typedef struct watcher {
    unsigned lines, events;
} watcher;

static void check_printable(const char *text)
{
    for (; *text != '\0'; text++)
        assert_true(*text >= ' ' && *text < 0x7f);
}

static void watch_line(int32_t level, const char *line, void *user)
{
    watcher *w = user;
    w->lines++;
    assert_true(level >= NP_LOG_ERROR && level <= NP_LOG_DEBUG);
    assert_true(strlen(line) < 200);
    check_printable(line);
}

static void watch_event(const np_event *e, void *user)
{
    watcher *w = user;
    w->events++;
    assert_non_null(memchr(e->remote, '\0', sizeof e->remote));
    assert_non_null(memchr(e->external, '\0', sizeof e->external));
    check_printable(e->remote);
    check_printable(e->external);
    assert_true(e->stun_error == 0 || (e->stun_error >= 300 && e->stun_error < 700));
}

static bool answer_with_reason(stage *s, const asked *a, void *user)
{
    watcher *w = user;
    for (size_t i = 0; i < input_count; i++) {
        if (inputs[i].number == 40)
            inputs[i].make(&m, &a->q, (w->events + a->serial) % inputs[i].variants);
    }
    stage_reply(s, a, &a->q.asked, s->scene->round_trip_ns, &m);
    return false;
}

static bool translate(stage *s, const asked *a, void *user)
{
    const unsigned *variant = user;
    const input *in = inputs;
    while (in->number != 26)
        in++;
    in->make(&m, &a->q, *variant);
    stage_reply(s, a, &a->q.answerer, ROUND_TRIP_NS, &m);
    return false;
}

/* The other direction: an IPv4 address in an IPv6 transaction is what a server behind a NAT64 sees. */
static void h26_ipv6_address_in_an_ipv4_transaction__RFC_5389_7_3_3(void)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        for (unsigned variant = 0; w->family == 6 && variant < 3; variant++) {
            stage s;
            scene c = scene_in(w);
            c.adversary = translate;
            c.user = &variant;
            stage_run(&s, &c);
            assert_int_equal(s.result.error, NP_OK);
            assert_int_equal(s.result.mapping, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
            assert_int_equal(s.result.filtering, w->filtering);
            assert_string_equal(s.result.external_ip, "203.0.113.66");
            assert_true((s.result.evidence & NP_EVIDENCE_TRANSLATED) != 0);
            assert_true((s.result.evidence & NP_EVIDENCE_MALFORMED) == 0);
            stage_close(&s);
        }
    }
}

/* Nothing of what a server writes steers whoever reads the log. */
static void h40_reason_phrase_of_any_bytes__RFC_5389_15_6_nICEr(void)
{
    for (uint64_t seed = 1; seed <= 64; seed++) {
        stage s;
        watcher w = {0, 0};
        scene c = scene_in(&worlds[0]);
        c.seed = seed;
        c.adversary = answer_with_reason;
        c.user = &w;
        c.watcher = &w;
        c.log = watch_line;
        c.events = watch_event;
        stage_run(&s, &c);
        expect_nothing_wrong(&s);
        assert_true(w.lines > 0 && w.events > 0);
        stage_close(&s);
    }
}

/* The stage looks at every byte of every request; here are requests of all kinds. */
static void h49_our_own_unused_bits_are_zero__CVE_2020_4067_pjsip_4842(void)
{
    unsigned plain = 0, changes = 0, classic = 0;
    for (const world *w = worlds; w < worlds + world_count; w++) {
        const stage *s = honest_run(w);
        for (size_t i = 0; i < s->trace_size; i++) {
            question q;
            assert_true(question_read(&q, s->trace[i].bytes, s->trace[i].size));
            assert_int_equal(q.change & ~(unsigned)(CHANGE_IP | CHANGE_PORT), 0);
            plain += q.change == 0;
            changes += q.change != 0;
            classic += q.classic;
        }
    }
    assert_true(plain > 0 && changes > 0 && classic > 0);
}

/* ---- C: ids ----------------------------------------------------------------------------------------------------- */

enum { SEEDS = 64, LOOKED_AT = 4 };

/* Adds the bits of the first transactions of a run to those of other runs. */
static void count_bits(const stage *s, unsigned ones[LOOKED_AT][96])
{
    unsigned n = 0;
    for (size_t i = 0; i < s->trace_size && n < LOOKED_AT; i++) {
        for (unsigned bit = 0; s->trace[i].begins && bit < 96; bit++)
            ones[n][bit] += (unsigned)(s->trace[i].bytes[8 + bit / 8] >> (7 - bit % 8)) & 1u;
        n += s->trace[i].begins;
    }
    assert_int_equal(n, LOOKED_AT);
}

/* No bit is fixed, or tells which request it is: each of the 96 is now one, now zero, and about as often. */
static void check_randomness(const world *w)
{
    static unsigned ones[LOOKED_AT][96];
    memset(ones, 0, sizeof ones);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        stage s;
        scene c = scene_in(w);
        c.seed = seed;
        stage_run(&s, &c);
        count_bits(&s, ones);
        stage_close(&s);
    }
    for (unsigned n = 0; n < LOOKED_AT; n++) {
        for (unsigned bit = 0; bit < 96; bit++)
            assert_true(ones[n][bit] > SEEDS / 8 && ones[n][bit] < SEEDS - SEEDS / 8);
    }
}

/* From the right address, with ids that can be thought of: neighbours, none, and those of another socket. */
static bool guess(stage *s, const asked *a, void *user)
{
    question q = a->q;
    (void)user;
    for (unsigned i = 0; i < GUESSES; i++) {
        make_guess(&m, &a->q, i);
        stage_inject(s, a->slot, &a->q.asked, 1000 + i, &m);
    }
    for (size_t i = 0; i + 1 < s->trace_size; i++) {
        if (s->trace[i].slot == a->slot)
            continue;
        memcpy(q.request, s->trace[i].bytes, HEADER_SIZE);
        make_lie(&m, &q);
        stage_inject(s, a->slot, &a->q.asked, 2000 + i, &m);
    }
    return true;
}

static void h52_guessed_transaction_id__pjsip_082948b0a_RFC_5389_6(void)
{
    check_randomness(&worlds[2]);
    expect_no_difference(guess, NULL);
}

/* Several servers, and a check that starts anew because the external address changes. */
static void check_ids(const stage *s)
{
    for (size_t i = 0; i < s->trace_size; i++) {
        for (size_t k = 0; k < i; k++) {
            const sent *a = &s->trace[i], *b = &s->trace[k];
            if (memcmp(a->bytes + 4, b->bytes + 4, ID_SIZE) != 0)
                continue;
            assert_true(a->slot == b->slot && endpoint_equal(&a->to, &b->to) && a->size == b->size);
            assert_memory_equal(a->bytes, b->bytes, a->size);
        }
    }
}

/* After half of the datagrams the NAT has got another address. */
static bool move(stage *s, const asked *a, void *user)
{
    const unsigned *after = user;
    question q = a->q;
    if (a->serial >= *after)
        q.mapped.ip[s->scene->where->family == 6 ? 15 : 3] ^= 1;
    make_good(&m, &q);
    stage_reply(s, a, &a->q.answerer, s->scene->round_trip_ns, &m);
    return false;
}

static bool run_scenery(const world *w, unsigned scenery)
{
    stage s;
    unsigned after = (unsigned)honest_run(w)->trace_size - 2;
    scene c = scene_in(w);
    c.user = &after;
    if (scenery == 1)
        c.adversary = move;
    if (scenery >= 2)
        scene_add_server(&c);
    if (scenery == 3)
        c.servers[0].is_silent = true;
    stage_run(&s, &c);
    const bool restarted = (s.result.evidence & NP_EVIDENCE_RESTARTED) != 0;
    check_ids(&s);
    stage_close(&s);
    return restarted;
}

static void h53_one_id_for_two_requests__libjuice_261_262_RFC_3489_9_3(void)
{
    unsigned restarts = 0;
    for (const world *w = worlds; w < worlds + world_count; w++) {
        for (unsigned scenery = 0; scenery < 4; scenery++)
            restarts += run_scenery(w, scenery);
    }
    assert_true(restarts > 0);
}

/* ---- C: sources ------------------------------------------------------------------------------------------------- */

/*
 * To plain requests, with the right id, from everywhere but the address that was asked, before and behind the
 * answer.
 */
static bool answer_from_elsewhere(stage *s, const asked *a, void *user)
{
    const stage_server *server = &s->scene->servers[a->server];
    endpoint from[8] = {server->a,  server->b,  stranger(&a->q), a->q.asked,
                        a->q.asked, a->q.asked, a->q.mapped,     victim(&a->q)};
    (void)user;
    from[3].port++;
    from[4].ip[a->q.asked.family == 6 ? 15 : 3] ^= 0x80;
    from[5].family = from[5].family == 4 ? 6 : 4; /* the same bytes, in the other family */
    for (size_t i = 0; i < COUNT(from) && is_plain(a); i++) {
        for (unsigned port = 0; port < 2; port++) {
            const endpoint e = endpoint_with_port(&from[i], port == 0 ? from[i].port : server->b.port);
            if (endpoint_equal(&e, &a->q.asked))
                continue;
            make_lie(&m, &a->q);
            stage_inject(s, a->slot, &e, 1000, &m);
            stage_inject(s, a->slot, &e, s->scene->round_trip_ns, &m);
        }
    }
    return true;
}

/* On a socket of both families the system says ::ffff:a.b.c.d: that is where the request went. */
static bool answer_in_guise(stage *s, const asked *a, void *user)
{
    endpoint from = {.family = 6, .ip = {[10] = 0xff, [11] = 0xff}, .port = a->q.answerer.port};
    (void)user;
    if (a->q.asked.family == 6 || (s->scene->where->classic && !a->q.classic))
        return true;
    if (s->scene->where->filtering != NP_BEHAVIOUR_ENDPOINT_INDEPENDENT && !is_plain(a))
        return true;
    memcpy(from.ip + 12, a->q.answerer.ip, 4);
    make_good(&m, &a->q);
    stage_inject(s, a->slot, &from, s->scene->round_trip_ns, &m);
    return false;
}

static void h54_right_id_from_elsewhere__RFC_5389_7_3_1_2(void)
{
    expect_no_difference(answer_from_elsewhere, NULL);
    expect_no_difference(answer_in_guise, NULL);
}

/* How CHANGE-REQUESTs are answered: from the endpoint of the server that asked ^ flags leads to. */
typedef struct change {
    unsigned ii, iii; /* flags as the server understands them */
    bool past_nat;    /* arrives whatever is filtered */
} change;

static bool misunderstand(stage *s, const asked *a, void *user)
{
    const change *c = user;
    const stage_server *server = &s->scene->servers[a->server];
    const unsigned flags = a->q.change == (CHANGE_IP | CHANGE_PORT) ? c->ii : c->iii;
    endpoint from = (flags & CHANGE_IP) != 0 ? server->b : server->a;
    if (is_plain(a))
        return true;
    from.port = (flags & CHANGE_PORT) != 0 ? server->b.port : server->a.port;
    make_good(&m, &a->q);
    if (c->past_nat)
        stage_inject(s, a->slot, &from, s->scene->round_trip_ns, &m);
    else
        stage_reply(s, a, &from, s->scene->round_trip_ns, &m);
    return false;
}

/*
 * Alone the server leaves the filtering unknown wherever its answer to II arrives and is not what was asked for. A
 * second one makes up for it.
 */
static void check_misunderstood(const world *w, change *how, uint32_t evidence)
{
    stage s;
    scene c;
    const bool ii_is_right = how->ii == (CHANGE_IP | CHANGE_PORT);
    run_with(&s, &c, w, misunderstand, how);
    expect_nothing_wrong(&s);
    assert_int_equal(s.result.mapping, w->mapping);
    if (!ii_is_right && (how->past_nat || w->filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)) {
        assert_int_equal(s.result.filtering, NP_BEHAVIOUR_UNKNOWN);
        assert_true((s.result.evidence & evidence) != 0);
    }
    stage_close(&s);
    scene_add_server(&c);
    stage_run(&s, &c);
    expect_truth(&s);
    stage_close(&s);
}

/* Past the NAT, too, but not what would be the very answer that is waited for. */
static void check_all_misunderstood(unsigned ii, unsigned iii, uint32_t evidence)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        change through = {ii, iii, false}, past = {ii, iii, true};
        check_misunderstood(w, &through, evidence);
        if (ii != (CHANGE_IP | CHANGE_PORT) && iii != CHANGE_PORT)
            check_misunderstood(w, &past, evidence);
    }
}

static void h55_test_II_answered_from_the_primary__NatTypeTester_Test2ResponseFromSameAddress(void)
{
    check_all_misunderstood(0, 0, NP_EVIDENCE_CHANGE_IGNORED);
    check_all_misunderstood(0, CHANGE_PORT, NP_EVIDENCE_CHANGE_IGNORED);
}

static void h56_change_request_honoured_in_part__NatTypeTester_SameIPOnly_SamePort_Test3WrongRemote(void)
{
    check_all_misunderstood(CHANGE_PORT, CHANGE_PORT, NP_EVIDENCE_CHANGE_PARTIAL);
    check_all_misunderstood(CHANGE_PORT, CHANGE_IP, NP_EVIDENCE_CHANGE_PARTIAL);
    check_all_misunderstood(CHANGE_IP, CHANGE_PORT, NP_EVIDENCE_CHANGE_PARTIAL);
    check_all_misunderstood(CHANGE_IP, CHANGE_IP, NP_EVIDENCE_CHANGE_PARTIAL);
    check_all_misunderstood(CHANGE_IP | CHANGE_PORT, CHANGE_IP, NP_EVIDENCE_CHANGE_PARTIAL);
    check_all_misunderstood(CHANGE_IP | CHANGE_PORT, CHANGE_IP | CHANGE_PORT, NP_EVIDENCE_CHANGE_PARTIAL);
    check_all_misunderstood(CHANGE_IP | CHANGE_PORT, 0, NP_EVIDENCE_CHANGE_IGNORED);
}

/* ---- C: time and number ----------------------------------------------------------------------------------------- */

typedef struct copies {
    const uint64_t *after_ns;
    size_t count;
    bool of_all; /* else of plain requests' answers alone */
} copies;

static bool repeat(stage *s, const asked *a, void *user)
{
    const copies *c = user;
    if (s->scene->where->classic && !a->q.classic)
        return true;
    make_good(&m, &a->q);
    for (size_t i = 0; i < c->count && (c->of_all || is_plain(a)); i++)
        stage_reply(s, a, &a->q.answerer, s->scene->round_trip_ns + c->after_ns[i], &m);
    return true;
}

/* A second time, and on every other socket. */
static bool repeat_elsewhere(stage *s, const asked *a, void *user)
{
    (void)user;
    make_good(&m, &a->q);
    for (int slot = 0; slot < NPI_SLOT_COUNT && is_plain(a); slot++) {
        if (slot != a->slot)
            stage_inject(s, slot, &a->q.asked, s->scene->round_trip_ns, &m);
    }
    return true;
}

enum { MORE_DATAGRAMS = 48, MORE_US = 1000000 };

/*
 * The verdict is the truth. A path that duplicates tells less of its losses, so that it may take some more
 * requests, of which the last may have to wait for the next second (RFC 5780 section 5). They do not grow with the
 * number of copies.
 */
static void check_copies(copies *c)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        stage s;
        scene of;
        const stage *base = honest_run(w);
        run_with(&s, &of, w, repeat, c);
        expect_truth(&s);
        assert_true(s.trace_size <= base->trace_size + MORE_DATAGRAMS);
        assert_true(s.result.elapsed_us <= base->result.elapsed_us + MORE_US);
        stage_close(&s);
    }
}

static void h57_late_duplicate_of_test_I__pion_stun_nat_behaviour(void)
{
    static const uint64_t late[] = {0, NPI_MS / 2, 4 * NPI_MS, 11 * NPI_MS, 35 * NPI_MS, 80 * NPI_MS, 300 * NPI_MS};
    for (size_t i = 0; i < COUNT(late); i++) {
        copies one = {&late[i], 1, false};
        check_copies(&one);
    }
    copies all = {late, COUNT(late), false};
    check_copies(&all);
    expect_no_difference(repeat_elsewhere, NULL);
}

static void h60_more_than_twice_as_many_responses__RFC_3489_9_4(void)
{
    static uint64_t at_once[100];
    for (size_t i = 0; i < COUNT(at_once); i++)
        at_once[i] = i * NPI_MS / 20;
    copies three = {at_once, 2, true}, many = {at_once, COUNT(at_once), true};
    check_copies(&three);
    check_copies(&many);
}

/* The whole table of what must be dropped, in turn. */
typedef struct junk {
    const uint16_t *numbers; /* NULL: all */
    asked last;
    size_t row;
    unsigned variant, serial;
    bool alone;
} junk;

static bool remember(stage *s, const asked *a, void *user)
{
    junk *j = user;
    (void)s;
    j->last = *a;
    return !j->alone;
}

static bool is_junk(const junk *j, const input *in)
{
    bool wanted = j->numbers == NULL;
    for (const uint16_t *n = j->numbers; !wanted && n != NULL && *n != 0; n++)
        wanted = *n == in->number;
    return wanted && in->outcome == DROP && (in->use & (j->last.q.classic ? CLASSIC : NEW)) != 0 &&
           (in->use & ENGINE) != 0;
}

static void throw_junk(stage *s, void *user)
{
    junk *j = user;
    if (j->last.q.size == 0)
        return;
    while (!is_junk(j, &inputs[j->row]) || j->variant >= inputs[j->row].variants) {
        j->row = (j->row + 1) % input_count;
        j->variant = 0;
    }
    inputs[j->row].make(&m, &j->last.q, j->variant++);
    const endpoint elsewhere = stranger(&j->last.q);
    const bool foreign = !j->alone && j->serial % 3 == 0;
    const int slot = j->serial % 2 == 0 ? j->last.slot : (int)(j->serial / 2 % NPI_SLOT_COUNT);
    j->serial++;
    stage_inject(s, slot, foreign ? &elsewhere : &j->last.q.asked, 0, &m);
}

static void check_junk(const uint16_t *numbers, uint64_t tick_ns, bool alone)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        stage s;
        junk j = {.numbers = numbers, .alone = alone};
        scene c = scene_in(w);
        if (alone && w != worlds && !w->classic)
            continue; /* who hears nothing cannot tell one world from another */
        c.adversary = remember;
        c.ticker = throw_junk;
        c.tick_ns = tick_ns;
        c.user = &j;
        stage_run(&s, &c);
        const stage *base = alone ? deaf_run(w) : honest_run(w);
        const uint64_t ticks = s.result.elapsed_us * 1000 / tick_ns;
        assert_true(s.result.packets_received > base->result.packets_received + ticks / 2);
        if (alone) {
            assert_int_equal(s.result.error, NP_ERR_BAD_RESPONSE);
            assert_int_equal(s.result.elapsed_us, base->result.elapsed_us);
            s.result = base->result; /* but for what is said of it */
        }
        expect_same_run(&s, base);
        stage_close(&s);
    }
}

static void h58_junk_while_waiting__NatTypeTester_pion(void)
{
    check_junk(NULL, NPI_MS / 7, false);
    check_junk(NULL, NPI_MS, true);
}

static void h61_flood_of_near_valid_replies__100000_a_second(void)
{
    static const uint16_t near_valid[] = {50, 51, 44, 45, 0};
    const uint64_t apart_ns = is_small_scale() ? NPI_MS / 5 : NPI_MS / 100;
    check_junk(near_valid, apart_ns, false);
    check_junk(near_valid, apart_ns, true);
}

/* A second answer to a plain request, of the same id and from the same address. */
typedef struct second {
    bool is_error;   /* else it lies about the address that it sees */
    bool before;     /* it comes before the honest answer */
    bool first_only; /* to the first request of the check alone */
    uint64_t apart_ns;
} second;

static bool add_second(stage *s, const asked *a, void *user)
{
    const second *t = user;
    question q = a->q;
    if (!is_plain(a) || (s->scene->where->classic && !q.classic) || (t->first_only && a->serial > 0))
        return true;
    q.mapped = lying_mapped(&q);
    make_good(&m, &q);
    if (t->is_error) {
        message_begin(&m, BINDING_ERROR, q.request + 4);
        message_add_error(&m, 400, "Bad Request", 11);
    }
    const uint64_t answer_ns = s->scene->round_trip_ns;
    stage_inject(s, a->slot, &q.asked, t->before ? answer_ns - t->apart_ns : answer_ns + t->apart_ns, &m);
    return true;
}

typedef struct circumstances {
    bool mapping_only, with_other;
    uint64_t round_trip_ns;
} circumstances;

static void check_second(const world *w, second t, const circumstances *in)
{
    stage s;
    scene c = scene_in(w);
    c.adversary = add_second;
    c.user = &t;
    c.mapping_only = in->mapping_only;
    c.round_trip_ns = in->round_trip_ns;
    if (in->with_other)
        scene_add_server(&c);
    stage_run(&s, &c);
    expect_nothing_wrong(&s);
    if (t.is_error) { /* it costs its server; the address has not changed */
        assert_true((s.result.evidence & NP_EVIDENCE_RESTARTED) == 0);
        assert_true((s.result.evidence & NP_EVIDENCE_MALFORMED) == 0); /* it is well formed, and says which */
        assert_true(s.result.error != NP_ERR_BAD_RESPONSE || strstr(s.result.detail, "STUN error") != NULL);
        assert_true(!t.before || !in->with_other || (s.result.evidence & NP_EVIDENCE_CONTRADICTION) != 0 || w->classic);
        if (in->with_other && !in->mapping_only)
            expect_truth(&s);
    } else if (t.before && !t.first_only) { /* whichever is true, neither is used; but another server makes up for it */
        assert_true((s.result.evidence & NP_EVIDENCE_CONTRADICTION) != 0);
        assert_true(s.result.error != NP_OK || (s.result.evidence & NP_EVIDENCE_OUTVOTED) != 0);
        assert_true(s.result.error != NP_OK || in->with_other);
        assert_true(in->with_other || s.result.external_ip[0] == '\0');
    }
    stage_close(&s);
}

static void check_seconds(bool is_error)
{
    static const uint64_t round_trips[] = {4 * NPI_MS, 40 * NPI_MS};
    static const uint64_t apart[] = {NPI_MS / 10, NPI_MS, 15 * NPI_MS};
    for (const world *w = worlds; w < worlds + world_count; w++) {
        for (unsigned i = 0; i < COUNT(round_trips) * COUNT(apart) * 16; i++) {
            const circumstances in = {(i & 1) != 0, (i & 2) != 0, round_trips[i / 16 % COUNT(round_trips)]};
            const second t = {is_error, (i & 4) != 0, (i & 8) != 0, apart[i / 16 / COUNT(round_trips)]};
            if (t.apart_ns < in.round_trip_ns)
                check_second(w, t, &in);
        }
    }
}

/* Neither of the two is used, but for the first of two when the second comes after the end. */
static void h59_one_id_two_mapped_addresses__RFC_3489_9_4(void)
{
    check_seconds(false);
}

static void h62_error_reply_beats_the_real_one__RFC_5389_16_1_1_RFC_3489_9_4(void)
{
    check_seconds(true);
}

/* ---- D ---------------------------------------------------------------------------------------------------------- */

/* It names a host that never asked for it. */
static void use_victim(scene *c, size_t server)
{
    question q = {.asked = c->servers[server].a};
    c->servers[server].b = victim(&q);
    c->servers[server].alternate_is_dead = true;
}

enum { MOST_TO_VICTIM_PORT = 8, MOST_TO_VICTIM = 2 * MOST_TO_VICTIM_PORT };

/* A victim that cannot be told from an honest second address: what it gets is little, and less than was sent for it. */
static void h67_other_address_is_a_victim__nICEr_UnsafePortRejectedUDP(void)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        stage s;
        scene c = scene_in(w);
        use_victim(&c, 0);
        stage_run(&s, &c);
        expect_nothing_wrong(&s);
        const endpoint any_port = endpoint_with_port(&c.servers[0].b, 0);
        const endpoint bp = endpoint_with_port(&any_port, c.servers[0].a.port);
        assert_true(count_sent_to(&s, &c.servers[0].b) <= MOST_TO_VICTIM_PORT);
        assert_true(count_sent_to(&s, &bp) <= MOST_TO_VICTIM_PORT);
        assert_true(count_sent_to(&s, &any_port) <= MOST_TO_VICTIM);
        stage_close(&s);
    }
}

/*
 * Answers to other requests than the first name somebody else: a victim, or an honest address after one that is
 * none.
 */
static bool change_other(stage *s, const asked *a, void *user)
{
    const bool *victim_first = user;
    question q = a->q;
    if (s->scene->where->classic && !q.classic)
        return true;
    if ((a->slot == NPI_SLOT_SOURCE && endpoint_equal(&q.asked, &s->scene->servers[0].a)) == *victim_first)
        q.other = *victim_first ? endpoint_of(q.asked.family == 6 ? "ff02::1" : "224.0.0.1", 3479) : victim(&q);
    make_good(&m, &q);
    stage_reply(s, a, &q.answerer, s->scene->round_trip_ns, &m);
    return false;
}

/* What was named first counts. */
static void h70_other_address_changes__RFC_5780_7_4(void)
{
    bool victim_first = false;
    expect_no_difference(change_other, &victim_first);
    victim_first = true;
    for (const world *w = worlds; w < worlds + world_count; w++) {
        stage s;
        scene c;
        run_with(&s, &c, w, change_other, &victim_first);
        expect_nothing_wrong(&s);
        if (!w->classic) {
            assert_int_equal(s.result.filtering, NP_BEHAVIOUR_UNKNOWN);
            assert_int_equal(count_sent_to(&s, &c.servers[0].a), s.trace_size);
        }
        stage_close(&s);
    }
}

/* What only the second address could tell is unknown; of what the first one's two ports tell there is no doubt. */
static void h71_other_address_is_dead__pjsip_nat_detect_Test_1B(void)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        stage s;
        scene c = scene_in(w);
        c.servers[0].alternate_is_dead = true;
        stage_run(&s, &c);
        expect_nothing_wrong(&s);
        if (w->mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)
            assert_int_equal(s.result.error, NP_ERR_INCONCLUSIVE);
        assert_true((s.result.evidence & NP_EVIDENCE_ALTERNATE_ALIVE) == 0);
        stage_close(&s);
        scene_add_server(&c);
        stage_run(&s, &c);
        expect_truth(&s);
        stage_close(&s);
    }
}

/* No translation is no reason to believe that nothing is filtered. */
static void h74_mapped_equals_local__stunserver_61_RFC_5780_4_4(void)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        const stage *s = honest_run(w);
        unsigned changes = 0;
        if (w->mapping != NP_BEHAVIOUR_NONE)
            continue;
        assert_string_equal(s->result.external_ip, s->result.local_ip);
        assert_int_equal(s->result.external_port, s->result.local_port);
        for (size_t i = 0; i < s->trace_size; i++)
            changes += s->trace[i].size > HEADER_SIZE && s->trace[i].slot != NPI_SLOT_SOURCE;
        assert_true(changes > 0);
    }
}

/* ---- E ---------------------------------------------------------------------------------------------------------- */

/* Each names the next, and the last the first. */
static bool send_on(stage *s, const asked *a, void *user)
{
    const endpoint next = s->scene->servers[(a->server + 1) % s->scene->server_count].a;
    (void)user;
    message_begin(&m, BINDING_ERROR, a->q.request + 4);
    message_add_error(&m, 300, "Try Alternate", 13);
    message_add_address(&m, ALTERNATE_SERVER, &next);
    stage_reply(s, a, &a->q.asked, s->scene->round_trip_ns, &m);
    return false;
}

enum { MOST_FOR_NOTHING = 20 };

static void h75_try_alternate__RFC_5780_5_RFC_5389_11(void)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        stage s;
        scene c = scene_in(w);
        c.adversary = send_on;
        for (size_t i = 1; i < STAGE_SERVERS; i++)
            scene_add_server(&c)->is_hostile = true;
        stage_run(&s, &c);
        assert_int_equal(s.result.error, NP_ERR_BAD_RESPONSE);
        for (size_t i = 0; i < STAGE_SERVERS; i++) {
            assert_true(count_sent_to(&s, &c.servers[i].a) > 0);
            assert_true(count_sent_to(&s, &c.servers[i].a) <= MOST_FOR_NOTHING);
        }
        stage_close(&s);
    }
}

const hostile_case engine_cases[] = {
    HOSTILE_CASE(h01_empty_datagram__libnice_test_parse),
    HOSTILE_CASE(h02_receive_fails_and_minus_one_is_no_length__CVE_2013_6484),
    HOSTILE_CASE(h13_largest_datagram_with_padding__RFC_5780_7_6_and_10),
    HOSTILE_CASE(h14_datagram_larger_than_the_buffer__MSG_TRUNC),
    HOSTILE_CASE(h15_message_at_an_odd_address__CVE_2026_40613_libjuice_233),
    HOSTILE_CASE(h16_left_shift_of_high_bytes__pjsip_3313),
    HOSTILE_CASE(h26_ipv6_address_in_an_ipv4_transaction__RFC_5389_7_3_3),
    HOSTILE_CASE(h40_reason_phrase_of_any_bytes__RFC_5389_15_6_nICEr),
    HOSTILE_CASE(h49_our_own_unused_bits_are_zero__CVE_2020_4067_pjsip_4842),
    HOSTILE_CASE(h52_guessed_transaction_id__pjsip_082948b0a_RFC_5389_6),
    HOSTILE_CASE(h53_one_id_for_two_requests__libjuice_261_262_RFC_3489_9_3),
    HOSTILE_CASE(h54_right_id_from_elsewhere__RFC_5389_7_3_1_2),
    HOSTILE_CASE(h55_test_II_answered_from_the_primary__NatTypeTester_Test2ResponseFromSameAddress),
    HOSTILE_CASE(h56_change_request_honoured_in_part__NatTypeTester_SameIPOnly_SamePort_Test3WrongRemote),
    HOSTILE_CASE(h57_late_duplicate_of_test_I__pion_stun_nat_behaviour),
    HOSTILE_CASE(h58_junk_while_waiting__NatTypeTester_pion),
    HOSTILE_CASE(h59_one_id_two_mapped_addresses__RFC_3489_9_4),
    HOSTILE_CASE(h60_more_than_twice_as_many_responses__RFC_3489_9_4),
    HOSTILE_CASE(h61_flood_of_near_valid_replies__100000_a_second),
    HOSTILE_CASE(h62_error_reply_beats_the_real_one__RFC_5389_16_1_1_RFC_3489_9_4),
    HOSTILE_CASE(h67_other_address_is_a_victim__nICEr_UnsafePortRejectedUDP),
    HOSTILE_CASE(h70_other_address_changes__RFC_5780_7_4),
    HOSTILE_CASE(h71_other_address_is_dead__pjsip_nat_detect_Test_1B),
    HOSTILE_CASE(h74_mapped_equals_local__stunserver_61_RFC_5780_4_4),
    HOSTILE_CASE(h75_try_alternate__RFC_5780_5_RFC_5389_11),
};
const size_t engine_case_count = COUNT(engine_cases);
