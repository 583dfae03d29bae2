/* SPDX-License-Identifier: MIT */
/*
 * The inputs that are nothing but bytes, through the experiment. What must be dropped may change neither a single
 * datagram nor the moment at which it leaves; what is as good as an answer may not either; what must fail costs the
 * server.
 */
#include <stdlib.h>
#include <string.h>

#include "engine.h"

/* ---- Runs to compare with --------------------------------------------------------------------------------------- */

enum { WORLD_ROOM = 16 };
static stage *honest_runs[WORLD_ROOM], *deaf_runs[WORLD_ROOM];
static scene honest_scenes[WORLD_ROOM], deaf_scenes[WORLD_ROOM];

static const stage *run_once(stage **run, scene *c, const world *w, bool silent)
{
    if (*run != NULL)
        return *run;
    *c = scene_in(w);
    c->servers[0].is_silent = silent;
    *run = malloc(sizeof **run);
    assert_non_null(*run);
    stage_run(*run, c);
    return *run;
}

const stage *honest_run(const world *w)
{
    const size_t i = (size_t)(w - worlds);
    assert_true(i < WORLD_ROOM);
    const stage *run = run_once(&honest_runs[i], &honest_scenes[i], w, false);
    expect_truth(run);
    return run;
}

const stage *deaf_run(const world *w)
{
    const size_t i = (size_t)(w - worlds);
    assert_true(i < WORLD_ROOM);
    const stage *run = run_once(&deaf_runs[i], &deaf_scenes[i], w, true);
    assert_int_equal(run->result.error, NP_ERR_NO_RESPONSE);
    assert_int_equal(run->result.nat_type, NP_NAT_UDP_BLOCKED);
    return run;
}

void forget_runs(void)
{
    stage **all[] = {honest_runs, deaf_runs};
    for (size_t k = 0; k < COUNT(all); k++) {
        for (size_t i = 0; i < WORLD_ROOM; i++) {
            if (all[k][i] != NULL) {
                stage_close(all[k][i]);
                free(all[k][i]);
            }
            all[k][i] = NULL;
        }
    }
}

/* ---- The adversary ---------------------------------------------------------------------------------------------- */

typedef enum way {
    BEFORE,    /* beside the honest answer, and before it */
    BEHIND,    /* the same, right behind it */
    ALONE,     /* and nothing else */
    INSTEAD,   /* from where the honest answer would have come, through the NAT */
    BY_ERROR,  /* from where the request went, instead of any answer */
    TO_CHANGES /* the same, to CHANGE-REQUESTs only */
} way;

typedef struct attack {
    const input *in;
    unsigned variant;
    way how;
} attack;

static bool act(stage *s, const asked *a, void *user)
{
    static message m;
    const attack *t = user;
    const bool is_answer = t->how >= INSTEAD;
    if ((t->in->use & (a->q.classic ? CLASSIC : NEW)) == 0)
        return t->how != ALONE;
    if (is_answer && s->scene->where->classic && !a->q.classic)
        return false; /* it passes over requests with a cookie */
    if (t->how == TO_CHANGES && a->q.change == 0)
        return true;
    t->in->make(&m, &a->q, t->variant);
    if (is_answer)
        stage_reply(s, a, t->how == INSTEAD ? &a->q.answerer : &a->q.asked, ROUND_TRIP_NS, &m);
    else
        stage_inject(s, a->slot, &a->q.answerer, t->how == BEHIND ? ROUND_TRIP_NS + 1000 : 1000, &m);
    return t->how == BEFORE || t->how == BEHIND;
}

/* Observers are told of no error code that RFC 8489 does not allow. */
static void watch_codes(const np_event *e, void *user)
{
    (void)user;
    assert_true(e->stun_error == 0 || (e->stun_error >= 300 && e->stun_error <= 699));
}

static void run_attack(stage *s, scene *c, const world *w, attack *t)
{
    *c = scene_in(w);
    c->adversary = act;
    c->events = watch_codes;
    c->user = t;
    stage_run(s, c);
}

/* On the small scale a world sees two variants, and the next world the next two. */
static bool is_for(const input *in, const world *w, unsigned variant)
{
    const unsigned turn = 2 * (unsigned)(w - worlds) % in->variants;
    if (in->number == 26 && w->family == 6)
        return false; /* an IPv4 address of an IPv6 socket is what a NAT64 shows: engine_cases.c */
    if (is_small_scale() && (variant + in->variants - turn) % in->variants >= 2)
        return false;
    return (in->use & (w->classic ? CLASSIC : NEW)) != 0;
}

/* ---- D ---------------------------------------------------------------------------------------------------------- */

/* Somebody speaks, but nobody answers: UDP is not blocked, and no more can be said. */
static void check_alone(const input *in, const world *w, unsigned variant)
{
    stage s;
    scene c;
    attack t = {in, variant, ALONE};
    run_attack(&s, &c, w, &t);
    assert_int_equal(s.result.error, NP_ERR_BAD_RESPONSE);
    expect_nothing_wrong(&s);
    np_result as_if = deaf_run(w)->result;
    as_if.packets_received = s.result.packets_received;
    assert_int_equal(s.result.elapsed_us, as_if.elapsed_us);
    s.result = as_if; /* in all but what is said of it, the same */
    expect_same_run(&s, deaf_run(w));
    stage_close(&s);
}

static void check_drop(const input *in)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        for (unsigned v = 0; v < in->variants; v++) {
            if (!is_for(in, w, v))
                continue;
            for (way how = BEFORE; how <= BEHIND; how++) {
                stage s;
                scene c;
                attack t = {in, v, how};
                run_attack(&s, &c, w, &t);
                assert_true(how == BEHIND || s.result.packets_received > honest_run(w)->result.packets_received);
                expect_same_run(&s, honest_run(w));
                stage_close(&s);
            }
            if (w == worlds)
                check_alone(in, w, v);
        }
    }
}

/* ---- A, X ------------------------------------------------------------------------------------------------------- */

static bool shows_alg(const input *in, unsigned variant)
{
    return in->number == 27 || ((in->number == 29 || in->number == 30) && variant == 1);
}

static void check_accept(const input *in)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        for (unsigned v = 0; v < in->variants; v++) {
            if (!is_for(in, w, v))
                continue;
            stage s;
            scene c;
            attack t = {in, v, INSTEAD};
            run_attack(&s, &c, w, &t);
            assert_int_equal((s.result.evidence & NP_EVIDENCE_ALG) != 0, shows_alg(in, v));
            s.result.evidence &= ~(uint32_t)NP_EVIDENCE_ALG;
            expect_same_run(&s, honest_run(w));
            stage_close(&s);
        }
    }
}

/* ---- F ---------------------------------------------------------------------------------------------------------- */

/* What has left before the first answer can come, the dense start of one test: an answer is no reason to send more. */
enum { MOST_BEFORE_FAILURE = 20 };

/* It answers everything like that: nothing is known, at once, and it is not asked again. */
static void check_useless(const input *in, const world *w, unsigned variant)
{
    stage s;
    scene c;
    attack t = {in, variant, BY_ERROR};
    run_attack(&s, &c, w, &t);
    expect_nothing_wrong(&s);
    bool is_proxied = in->outcome == PROXY;
    assert_int_equal(s.result.error, is_proxied ? NP_ERR_INCONCLUSIVE : NP_ERR_BAD_RESPONSE);
    const bool is_error = strstr(s.result.detail, "STUN error") != NULL; /* well formed, and it says which */
    assert_int_equal((s.result.evidence & NP_EVIDENCE_MALFORMED) != 0, !is_proxied && !is_error);
    assert_int_equal((s.result.evidence & NP_EVIDENCE_PROXIED) != 0, is_proxied);
    assert_true((s.result.evidence & NP_EVIDENCE_ANSWERED) == 0);
    assert_string_equal(s.result.external_ip, "");
    assert_true(s.trace_size <= MOST_BEFORE_FAILURE);
    assert_int_equal(count_sent_to(&s, &c.servers[0].a), s.trace_size);
    assert_true(s.result.elapsed_us <= 2 * ROUND_TRIP_NS / 1000);
    stage_close(&s);
}

/* The next server makes up for it. */
static void check_passed_over(const input *in, const world *w, unsigned variant)
{
    stage s;
    attack t = {in, variant, BY_ERROR};
    scene c = scene_in(w);
    c.adversary = act;
    c.user = &t;
    scene_add_server(&c);
    stage_run(&s, &c);
    expect_truth(&s);
    const endpoint any_port = endpoint_with_port(&c.servers[0].a, 0);
    assert_true(count_sent_to(&s, &any_port) <= MOST_BEFORE_FAILURE);
    const npi_addr second = npi_from_endpoint(&c.servers[1].a);
    char text[NPI_ADDR_TEXT];
    npi_addr_format(&second, text);
    assert_string_equal(s.result.server, text);
    stage_close(&s);
}

/* To CHANGE-REQUESTs only: the mapping is known, the filtering neither open nor closed. */
static void check_no_filtering(const input *in, const world *w, unsigned variant)
{
    stage s;
    attack t = {in, variant, TO_CHANGES};
    scene c = scene_in(w);
    c.adversary = act;
    c.user = &t;
    stage_run(&s, &c);
    expect_nothing_wrong(&s);
    assert_int_equal(s.result.error, NP_OK);
    assert_int_equal(s.result.filtering, NP_BEHAVIOUR_UNKNOWN);
    assert_int_equal(s.result.mapping, w->mapping);
    assert_true((s.result.evidence & (NP_EVIDENCE_CHANGE_REJECTED | NP_EVIDENCE_CHANGE_IGNORED)) != 0);
    stage_close(&s);
    scene_add_server(&c);
    stage_run(&s, &c);
    expect_truth(&s);
    stage_close(&s);
}

static void check_fail(const input *in)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        for (unsigned v = 0; v < in->variants; v++) {
            if (!is_for(in, w, v))
                continue;
            check_useless(in, w, v);
            check_passed_over(in, w, v);
            check_no_filtering(in, w, v);
        }
    }
}

/* ---- U: the second address -------------------------------------------------------------------------------------- */

/* Its own address is all that may be sent to: the stage knows of no other. */
static void check_refuse(const input *in)
{
    for (const world *w = worlds; w < worlds + world_count; w++) {
        for (unsigned v = 0; v < in->variants; v++) {
            if (!is_for(in, w, v))
                continue;
            stage s;
            attack t = {in, v, INSTEAD};
            scene c = scene_in(w);
            c.adversary = act;
            c.user = &t;
            c.servers[0].b.family = 0;
            stage_run(&s, &c);
            expect_nothing_wrong(&s);
            assert_int_equal(s.result.filtering, NP_BEHAVIOUR_UNKNOWN);
            assert_true((s.result.evidence & NP_EVIDENCE_ALTERNATE_REFUSED) != 0);
            assert_true((s.result.evidence & NP_EVIDENCE_ALTERNATE) == 0);
            stage_close(&s);
            scene_add_server(&c);
            stage_run(&s, &c);
            expect_truth(&s);
            stage_close(&s);
        }
    }
}

unsigned check_inputs(unsigned number)
{
    static void (*const checks[])(const input *) = {[DROP] = check_drop,
                                                    [FAIL] = check_fail,
                                                    [PROXY] = check_fail,
                                                    [ACCEPT] = check_accept,
                                                    [REFUSE] = check_refuse};
    return for_each_input(number, ENGINE, checks);
}
