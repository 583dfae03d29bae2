/* SPDX-License-Identifier: MIT */
/*
 * The vectors of RFC 5769 as answers to a request of the experiment's: every prefix, every single flipped bit, and
 * every value of each length field, with the FINGERPRINT as it was and with one made right again. What the decoder
 * and the experiment make of them is what a decoder says that was written independently (reference.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/reference.h"
#include "engine.h"
#include "vectors.h"

/* ---- An experiment that has asked and waits --------------------------------------------------------------------- */

typedef struct bench {
    const vector *v;
    npi_engine *probe;
    void *before; /* the probe when nothing had come */
    size_t probe_size;
    uint64_t now_ns, wakeup_ns;
    npi_datagram first, second; /* the two requests, to two servers without a second address */
    np_result result;           /* when nothing had come */
    unsigned came;
    uint8_t answer[VECTOR_ROOM];
    uint8_t *bytes; /* of just the vector's size: a byte too far is seen */
    unsigned long tried, meant[4];
} bench;

static bool is_ipv6(const vector *v)
{
    return v->mapped != NULL && strchr(v->mapped, ':') != NULL;
}

static npi_addr local_address(const bench *b)
{
    const endpoint e = endpoint_of(is_ipv6(b->v) ? "2001:db8::100" : "198.51.100.100", 50000); /* kept */
    return npi_from_endpoint(&e);
}

static void take_request(bench *b, npi_datagram *d, uint8_t seed)
{
    uint8_t random[NPI_STUN_ID_SIZE];
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(seed * 97 + i * 41);
    npi_engine_advance(b->probe, b->now_ns);
    assert_true(npi_engine_next_datagram(b->probe, random, d));
    npi_engine_sent(b->probe, d);
}

static void add_server(bench *b, const char *v4, const char *v6)
{
    const endpoint e = endpoint_of(is_ipv6(b->v) ? v6 : v4, 3478);
    const npi_addr a = npi_from_endpoint(&e);
    assert_true(npi_engine_add_server(b->probe, &a, true));
}

static void set_up(bench *b, const vector *v)
{
    const npi_engine_config config = {
        .tests = NP_TESTS_MAPPING,
        .max_servers = 2,
        .deadline_ns = 10000 * NPI_MS,
        .response_timeout_ns = 3000 * NPI_MS,
    };
    memset(b, 0, sizeof *b);
    b->v = v;
    b->now_ns = 5 * NPI_MS;
    b->probe_size = npi_engine_size(2, NP_TESTS_OPTIONAL);
    b->probe = malloc(b->probe_size);
    b->before = malloc(b->probe_size);
    b->bytes = malloc(v->size);
    assert_true(b->probe != NULL && b->before != NULL && b->bytes != NULL);
    npi_engine_init(b->probe, &config, b->now_ns);
    add_server(b, "192.0.2.10", "2001:db8::10");
    add_server(b, "203.0.113.20", "2001:db8::20");
    npi_engine_expect_servers(b->probe, false);
    take_request(b, &b->first, 1);
    take_request(b, &b->second, 2);
    npi_datagram none;
    npi_engine_advance(b->probe, b->now_ns);
    assert_false(npi_engine_next_datagram(b->probe, b->answer, &none));
    b->wakeup_ns = npi_engine_wakeup_ns(b->probe);
    npi_engine_result(b->probe, b->now_ns, &b->result);
    memcpy(b->before, b->probe, b->probe_size);
    vector_answer(v, b->first.data, b->answer);
    memcpy(b->bytes, b->answer, v->size);
}

static void receive(bench *b, const npi_datagram *request, const uint8_t *bytes, size_t size)
{
    const npi_addr local = local_address(b);
    npi_incoming in;
    npi_engine_match(b->probe, request->slot, bytes, size, &in);
    npi_engine_receive(b->probe, b->now_ns, &in, &request->to, &local);
    b->came++;
}

/* The honest answers, after all that was dropped: the verdict is as if nothing had come. */
static void check_end(bench *b)
{
    static message m;
    np_result r;
    question q = {.mapped = endpoint_from_npi(&(npi_addr){0})};
    const npi_datagram *requests[] = {&b->first, &b->second};
    for (size_t i = 0; i < 2; i++) {
        assert_true(question_read(&q, requests[i]->data, requests[i]->size));
        q.mapped = endpoint_of(is_ipv6(b->v) ? "2001:db8::6" : "198.51.100.6", 50000);
        q.answerer = endpoint_from_npi(&requests[i]->to);
        make_good(&m, &q);
        receive(b, requests[i], m.bytes, m.size);
    }
    npi_datagram none;
    npi_engine_advance(b->probe, b->now_ns);
    assert_false(npi_engine_next_datagram(b->probe, b->answer, &none));
    assert_true(npi_engine_is_done(b->probe));
    npi_engine_result(b->probe, b->now_ns, &r);
    assert_int_equal(r.error, NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_CONE);
    assert_string_equal(r.external_ip, is_ipv6(b->v) ? "2001:db8::6" : "198.51.100.6");
    assert_int_equal(r.packets_sent, 2);
    assert_int_equal(r.packets_received, b->came);
}

static void tear_down(bench *b)
{
    check_end(b);
    free(b->probe);
    free(b->before);
    free(b->bytes);
}

/* ---- One message ------------------------------------------------------------------------------------------------ */

static void check_decoder(const bench *b, size_t size, const reading *expected, bool is_ours)
{
    static const npi_stun_kind kinds[] = {NPI_STUN_DROP, NPI_STUN_SUCCESS, NPI_STUN_ERROR, NPI_STUN_UNUSABLE};
    const npi_addr mapped = npi_from_endpoint(&expected->mapped);
    npi_stun_response r;
    const npi_stun_kind kind = npi_stun_decode(b->bytes, size, &r);
    if (kind != kinds[expected->meaning])
        fail_msg("RFC 5769 section %s: the decoder says %d, not %s", b->v->section, (int)kind,
                 meaning_name(expected->meaning));
    if (kind == NPI_STUN_SUCCESS)
        assert_true(npi_addr_equal(&r.mapped, &mapped));
    if (kind == NPI_STUN_ERROR)
        assert_int_equal(r.error_code, expected->error_code);
    if (kind != NPI_STUN_DROP)
        assert_int_equal(memcmp(r.id.bytes, b->first.data + 4, ID_SIZE) == 0, is_ours);
}

/* What must be dropped, or is an answer to somebody else, leaves no trace. */
static void check_unmoved(const bench *b, const np_result *r)
{
    np_result as_before = b->result;
    as_before.packets_received = r->packets_received;
    assert_memory_equal(&as_before, r, sizeof as_before);
    assert_int_equal(r->packets_received, b->came);
    assert_true(npi_engine_wakeup_ns(b->probe) == b->wakeup_ns);
}

static void check_success(const np_result *r, const endpoint *mapped)
{
    char text[NPI_ADDR_IP_TEXT];
    const npi_addr expected = npi_from_endpoint(mapped);
    npi_addr_format_ip(&expected, text);
    assert_true((r->evidence & NP_EVIDENCE_ANSWERED) != 0);
    assert_true((r->evidence & NP_EVIDENCE_MALFORMED) == 0);
    assert_string_equal(r->external_ip, text);
    assert_int_equal(r->external_port, mapped->port);
}

static void check_failure(const np_result *r)
{
    assert_true((r->evidence & NP_EVIDENCE_ANSWERED) == 0);
    assert_true((r->evidence & NP_EVIDENCE_MALFORMED) != 0);
    assert_string_equal(r->external_ip, "");
    assert_int_equal(r->nat_type, NP_NAT_UNKNOWN);
}

/* The first bytes of b->bytes, as they are now. */
static void check(bench *b, size_t size)
{
    np_result r;
    const reading expected = reference_read(b->bytes, size);
    const bool is_ours = size >= HEADER_SIZE && memcmp(b->bytes + 4, b->first.data + 4, ID_SIZE) == 0;
    check_decoder(b, size, &expected, is_ours);
    receive(b, &b->first, b->bytes, size);
    npi_engine_result(b->probe, b->now_ns, &r);
    b->tried++;
    b->meant[expected.meaning]++;
    if (expected.meaning == MEANS_NOTHING || !is_ours) {
        check_unmoved(b, &r);
        return;
    }
    if (expected.meaning == MEANS_SUCCESS)
        check_success(&r, &expected.mapped);
    else
        check_failure(&r);
    memcpy(b->probe, b->before, b->probe_size); /* and on as if it had not come */
    b->came = 0;
}

/* ---- The sweeps ------------------------------------------------------------------------------------------------- */

static const vector *vector_of(void **state)
{
    return *state;
}

/* The two responses are answers, the two requests are none. */
static void unchanged(void **state)
{
    bench b;
    set_up(&b, vector_of(state));
    check(&b, b.v->size);
    if (b.v->mapped != NULL) {
        const endpoint mapped = endpoint_of(b.v->mapped, VECTOR_MAPPED_PORT);
        const reading r = reference_read(b.bytes, b.v->size);
        assert_true(r.meaning == MEANS_SUCCESS && endpoint_equal(&r.mapped, &mapped));
    }
    assert_int_equal(b.meant[MEANS_SUCCESS], b.v->mapped != NULL);
    assert_int_equal(b.meant[MEANS_NOTHING], b.v->mapped == NULL);
    vector_load(b.v, b.bytes); /* with its own id it is an answer to somebody else */
    check(&b, b.v->size);
    tear_down(&b);
}

/* As they are, which must be dropped, and with a header that owns up to being shorter. */
static void check_prefix(bench *b, uint8_t *prefix, size_t size)
{
    memcpy(prefix, b->answer, size);
    check(b, size);
    assert_int_equal(b->meant[MEANS_NOTHING], size + 1);
}

static void check_honest_prefix(bench *b, uint8_t *prefix, size_t size)
{
    memcpy(prefix, b->answer, size);
    put_u16(prefix + 2, (unsigned)(size - HEADER_SIZE));
    check(b, size);
}

static void try_prefixes(bench *b, size_t least, void (*how)(bench *, uint8_t *, size_t))
{
    uint8_t *whole = b->bytes;
    for (size_t size = least; size < b->v->size; size++) {
        b->bytes = malloc(size + (size == 0)); /* of its own size */
        assert_non_null(b->bytes);
        how(b, b->bytes, size);
        free(b->bytes);
    }
    b->bytes = whole;
}

static void every_prefix(void **state)
{
    bench b;
    set_up(&b, vector_of(state));
    try_prefixes(&b, 0, check_prefix);
    assert_int_equal(b.tried, b.v->size);
    try_prefixes(&b, HEADER_SIZE, check_honest_prefix);
    assert_int_equal(b.tried, 2 * b.v->size - HEADER_SIZE);
    assert_int_equal(b.meant[MEANS_SUCCESS] > 0, b.v->mapped != NULL); /* cut behind the address */
    tear_down(&b);
}

static void flip_every_bit(void **state, bool heal)
{
    bench b;
    set_up(&b, vector_of(state));
    for (size_t bit = 0; bit < 8 * b.v->size; bit++) {
        memcpy(b.bytes, b.answer, b.v->size);
        b.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
        if (heal)
            vector_heal(b.v, b.bytes);
        check(&b, b.v->size);
    }
    assert_int_equal(b.tried, 8 * b.v->size);
    /* All that is flipped shows in the FINGERPRINT, but for the one bit that makes it none. */
    if (b.v->mapped != NULL)
        assert_int_equal(b.meant[MEANS_SUCCESS] > 60, heal);
    tear_down(&b);
}

static void every_flipped_bit(void **state)
{
    flip_every_bit(state, false);
}

static void every_flipped_bit_and_a_right_fingerprint(void **state)
{
    flip_every_bit(state, true);
}

/* With valgrind, which is slow, the small values, those near the largest, and some between. */
static unsigned next_value(unsigned value, bool all)
{
    return all || value < 300 || value >= 0xfff0 ? value + 1 : value + 251 < 0xfff0 ? value + 251 : 0xfff0;
}

static void try_every_length(bench *b, size_t at, bool heal)
{
    const bool all = !is_small_scale();
    memcpy(b->bytes, b->answer, b->v->size);
    for (unsigned value = 0; value <= 0xffff; value = next_value(value, all)) {
        put_u16(b->bytes + at, value);
        if (heal)
            vector_heal(b->v, b->bytes);
        check(b, b->v->size);
    }
}

/* Where the attribute behind the one at that offset begins. */
static size_t next_attribute(const bench *b, size_t at)
{
    return at + 4 + (get_u16(b->answer + at + 2) + 3) / 4 * 4;
}

static void try_every_length_field(void **state, bool heal)
{
    bench b;
    set_up(&b, vector_of(state));
    try_every_length(&b, 2, heal);
    size_t at = HEADER_SIZE;
    for (; at < b.v->size; at = next_attribute(&b, at))
        try_every_length(&b, at + 2, heal);
    assert_int_equal(at, b.v->size);
    tear_down(&b);
}

static void every_length(void **state)
{
    try_every_length_field(state, false);
}

static void every_length_and_a_right_fingerprint(void **state)
{
    try_every_length_field(state, true);
}

/* ---- In whole checks -------------------------------------------------------------------------------------------- */

typedef struct damage {
    const vector *v;
    size_t size; /* a prefix, */
    size_t bit;  /* or a flipped bit if below that of the whole */
    unsigned dropped;
} damage;

/* Before every honest answer, and from where that comes: the damaged vector, if it is to be dropped. */
static bool send_damaged(stage *s, const asked *a, void *user)
{
    static message m;
    damage *d = user;
    uint8_t bytes[VECTOR_ROOM];
    vector_answer(d->v, a->q.request, bytes);
    if (d->bit < 8 * d->v->size)
        bytes[d->bit / 8] ^= (uint8_t)(0x80 >> d->bit % 8);
    memcpy(m.bytes, bytes, d->size);
    m.size = d->size;
    if (reference_read(m.bytes, m.size).meaning != MEANS_NOTHING && memcmp(bytes + 4, a->q.request + 4, ID_SIZE) == 0)
        return true;
    d->dropped++;
    stage_inject(s, a->slot, &a->q.answerer, 1000, &m);
    return true;
}

static void check_damage(const world *w, damage *d)
{
    stage s;
    scene c = scene_in(w);
    c.adversary = send_damaged;
    c.user = d;
    stage_run(&s, &c);
    expect_same_run(&s, honest_run(w));
    stage_close(&s);
}

static const world *world_of(const char *name)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        if (strcmp(w->name, name) == 0)
            return w;
    }
    fail_msg("no such world: %s", name);
    return NULL;
}

static void whole_checks(void **state)
{
    damage d = {.v = vector_of(state)};
    const world *w = world_of(is_ipv6(d.v) ? "port restricted cone, IPv6" : "port restricted cone");
    for (d.bit = 8 * d.v->size, d.size = 0; d.size < d.v->size; d.size++)
        check_damage(w, &d);
    for (d.bit = 0; d.bit < 8 * d.v->size; d.bit++)
        check_damage(w, &d);
    assert_true(d.dropped > 8 * d.v->size);
}

static int forget(void **state)
{
    (void)state;
    forget_runs();
    return 0;
}

/* An argument is a pattern of the cases to be run. */
int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        CMUnitTestFunction function;
    } sweeps[] = {
        {"unchanged", unchanged},
        {"every_prefix", every_prefix},
        {"every_flipped_bit", every_flipped_bit},
        {"every_flipped_bit_and_a_right_fingerprint", every_flipped_bit_and_a_right_fingerprint},
        {"every_length", every_length},
        {"every_length_and_a_right_fingerprint", every_length_and_a_right_fingerprint},
        {"every_prefix_and_flipped_bit_in_whole_checks", whole_checks},
    };
    static char names[VECTORS * COUNT(sweeps)][80];
    struct CMUnitTest tests[VECTORS * COUNT(sweeps)];
    for (size_t i = 0; i < COUNT(tests); i++) {
        const vector *v = &vectors[i / COUNT(sweeps)];
        snprintf(names[i], sizeof names[i], "rfc5769_%c_%c_%s", v->section[0], v->section[2],
                 sweeps[i % COUNT(sweeps)].name);
        tests[i] = (struct CMUnitTest){
            .name = names[i], .test_func = sweeps[i % COUNT(sweeps)].function, .initial_state = (void *)(uintptr_t)v};
    }
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("hostile vectors", tests, NULL, forget);
}
