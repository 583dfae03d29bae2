/* SPDX-License-Identifier: MIT */
/* The inputs that are nothing but bytes, out of a server's socket. */
#include <string.h>

#include "sockets.h"

enum { AT_ONCE = 12, LARGE = 4096, DEAF_MS = 100 };

/* What is done with an input. Each server has its own: its thread counts the variants. */
typedef struct attack {
    const input *in;
    unsigned next; /* variant */
    bool alone;    /* no honest answer comes */
    bool is_large; /* some of these fill a socket's buffer */
    bool to_changes_only;
    message m;
} attack;

enum { ATTACKS = 24 };
static attack attacks[ATTACKS];
static check checks[ATTACKS];

static void make_next(attack *t, const question *q)
{
    t->in->make(&t->m, q, t->next++ % t->in->variants);
}

static bool is_for(const attack *t, const heard *h)
{
    return (t->in->use & (h->q.classic ? CLASSIC : NEW)) != 0;
}

/* Some variants, as many as a socket's buffer takes beside the honest answers. */
static void send_some(hostile_server *s, const heard *h, attack *t)
{
    for (unsigned i = 0; i < AT_ONCE && i < t->in->variants; i++) {
        if (t->is_large && (i > 0 || h->serial % 4 != 0))
            return;
        make_next(t, &h->q);
        hostile_send(s, h, h->q.change == 0 ? h->in.asked : h->in.answerer, &t->m);
        t->is_large = t->is_large || t->m.size > LARGE;
    }
}

/* Before the honest answer to every other request, and behind that to the others. */
static bool add(hostile_server *s, const heard *h, void *user)
{
    attack *t = user;
    if (!is_for(t, h))
        return !t->alone;
    if (h->serial % 2 != 0 && !t->alone && hostile_would_answer(s, h)) {
        make_good(&t->m, &h->q);
        hostile_send(s, h, h->in.answerer, &t->m);
        send_some(s, h, t);
        return false;
    }
    send_some(s, h, t);
    return !t->alone;
}

/* From where the request went, whatever was asked for. */
static bool replace(hostile_server *s, const heard *h, void *user)
{
    attack *t = user;
    if (t->to_changes_only && h->q.change == 0)
        return true;
    make_next(t, &h->q);
    hostile_send(s, h, h->in.asked, &t->m);
    return false;
}

/* From where the honest answer would come, if that passed the NAT. */
static bool mimic(hostile_server *s, const heard *h, void *user)
{
    attack *t = user;
    if (!is_for(t, h) || !hostile_would_answer(s, h))
        return false;
    make_next(t, &h->q);
    hostile_send(s, h, h->in.answerer, &t->m);
    return false;
}

/* The i-th check at the same time, with an attack of its own. */
static check *prepare(size_t i, const input *in, const pretended *where, hostile_act act)
{
    attack *t = &attacks[i];
    memset(t, 0, offsetof(attack, m));
    t->in = in;
    t->next = (unsigned)i * 7;
    checks[i] = check_in(where, act, t);
    return &checks[i];
}

/* ---- D ---------------------------------------------------------------------------------------------------------- */

static void check_drop(const input *in)
{
    size_t n = 0;
    for (; n < PRETENDED; n++)
        prepare(n, in, &places[n], add);
    check *deaf = prepare(n, in, &places[0], add);
    attacks[n].alone = true;
    deaf->response_timeout_ms = DEAF_MS;
    run_checks(checks, n + 1);
    for (size_t i = 0; i < n; i++)
        expect_truth(&checks[i]);
    expect_nothing_wrong(deaf);
    assert_int_equal(deaf->result.error, deaf->result.packets_received > 0 ? NP_ERR_BAD_RESPONSE : NP_ERR_NO_RESPONSE);
    end_checks(checks, n + 1);
}

/* ---- A, X ------------------------------------------------------------------------------------------------------- */

static void check_accept(const input *in)
{
    const bool is_classic = (in->use & NEW) == 0;
    for (size_t i = 0; i < PRETENDED; i++)
        prepare(i, in, &places[i], mimic)->config[0].classic_only = is_classic;
    run_checks(checks, PRETENDED);
    for (size_t i = 0; i < PRETENDED; i++)
        expect_truth(&checks[i]);
    end_checks(checks, PRETENDED);
}

/* ---- F ---------------------------------------------------------------------------------------------------------- */

enum { MOST_BEFORE_FAILURE = 20 };

/* Alone it leaves nothing known, to CHANGE-REQUESTs the filtering, and another server makes up for it. */
static void check_fail(const input *in)
{
    size_t n = 0;
    for (; n < PRETENDED; n++)
        check_add_server(prepare(n, in, &places[n], replace));
    const check *alone = prepare(n, in, &places[0], replace);
    const check *changes[2];
    for (size_t i = 0; i < COUNT(changes); i++) {
        changes[i] = prepare(n + 1 + i, in, &places[2 * i], replace);
        attacks[n + 1 + i].to_changes_only = true;
    }
    run_checks(checks, n + 3);
    for (size_t i = 0; i < n; i++) {
        expect_truth(&checks[i]);
        assert_string_equal(checks[i].result.server, hostile_name(checks[i].server[1]));
        assert_true(hostile_server_log(checks[i].server[0])->requests <= MOST_BEFORE_FAILURE);
    }
    assert_int_equal(alone->result.error, NP_ERR_BAD_RESPONSE);
    const bool is_error = strstr(alone->result.detail, "STUN error") != NULL; /* well formed, and it says which */
    assert_int_equal((alone->result.evidence & NP_EVIDENCE_MALFORMED) != 0, !is_error);
    assert_true(alone->result.packets_sent <= MOST_BEFORE_FAILURE);
    for (size_t i = 0; i < COUNT(changes); i++) {
        expect_nothing_wrong(changes[i]);
        assert_int_equal(changes[i]->result.error, NP_OK);
        assert_int_equal(changes[i]->result.filtering, NP_BEHAVIOUR_UNKNOWN);
        assert_true((changes[i]->result.evidence & (NP_EVIDENCE_CHANGE_REJECTED | NP_EVIDENCE_CHANGE_IGNORED)) != 0);
    }
    end_checks(checks, n + 3);
}

/* ---- U: the second address -------------------------------------------------------------------------------------- */

enum { REFUSED_AT_ONCE = ATTACKS / 2 };

/* Nothing may go there: run_checks knows of no other endpoint than the server's own first. */
static void check_some_refused(const input *in, unsigned first, unsigned count)
{
    for (unsigned i = 0; i < 2 * count; i++) {
        check *c = prepare(i, in, &places[i % PRETENDED], mimic);
        c->config[0].single = true;
        attacks[i].next = first + i % count;
        if (i >= count)
            check_add_server(c);
    }
    run_checks(checks, 2 * count);
    for (unsigned i = 0; i < 2 * count; i++) {
        const np_result *r = &checks[i].result;
        expect_nothing_wrong(&checks[i]);
        assert_true((r->evidence & NP_EVIDENCE_ALTERNATE_REFUSED) != 0);
        if (i >= count)
            expect_truth(&checks[i]);
        else
            assert_true(r->filtering == NP_BEHAVIOUR_UNKNOWN && (r->evidence & NP_EVIDENCE_ALTERNATE) == 0);
    }
    end_checks(checks, 2 * count);
}

static void check_refuse(const input *in)
{
    for (unsigned first = 0; first < in->variants; first += REFUSED_AT_ONCE) {
        const unsigned left = in->variants - first;
        check_some_refused(in, first, left < REFUSED_AT_ONCE ? left : REFUSED_AT_ONCE);
    }
}

unsigned check_inputs(unsigned number)
{
    static void (*const how[])(const input *) = {
        [DROP] = check_drop, [FAIL] = check_fail, [PROXY] = NULL, [ACCEPT] = check_accept, [REFUSE] = check_refuse};
    return for_each_input(number, SOCKETS, how);
}
