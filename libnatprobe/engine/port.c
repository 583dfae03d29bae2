/* SPDX-License-Identifier: MIT */
/* II from the source port; and where it is silent, from a fresh one whose way is open. */
#include "port.h"

#include "errand.h"
#include "findings.h"
#include "silence.h"

#define CHANGE_BOTH (NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT)

enum { PORT_CHOOSES, PORT_FIRST, PORT_TESTS, PORT_OPENS, PORT_CONTROL, PORT_OVER };

static npi_port_test *port_of(npi_facts *f)
{
    return &f->optional.port;
}

static const npi_server *port_server(const npi_facts *f)
{
    return &f->servers[f->optional.port.server];
}

/* ---- The test --------------------------------------------------------------------------------------------------- */

/* False when there is no room for more requests. */
static bool ask_test(npi_facts *f)
{
    npi_port_test *p = port_of(f);
    const npi_addr *to = &port_server(f)->address;
    p->test = npi_errand_ask(f, "port II", p->server, NPI_SLOT_SOURCE, to, CHANGE_BOTH);
    p->witness = npi_errand_ask(f, "port I", p->server, NPI_SLOT_SOURCE, to, 0);
    p->step = PORT_TESTS;
    if (p->test == NULL || p->witness == NULL)
        return false;
    p->test->goes_on = false;
    p->witness->goes_on = true;
    return true;
}

static bool is_test_over(npi_facts *f, uint64_t *wake_ns)
{
    const npi_port_test *p = port_of(f);
    if (npi_errand_is_answered(p->test)) {
        npi_errand_stop(p->witness);
        return true;
    }
    bool is_over = npi_errand_is_settled(f, p->test, wake_ns);
    return npi_errand_is_complete(f, p->witness, wake_ns) && is_over;
}

/* ---- Before the mapping ----------------------------------------------------------------------------------------- */

static bool has_time_left(const npi_facts *f, const npi_trial *t)
{
    uint64_t spare_ns = npi_time_max(NPI_PORT_SPARE_NS, f->now_ns - f->start_ns);
    spare_ns = npi_time_add(spare_ns, NPI_PORT_SPARE_RTTS * npi_trial_rto(f, t));
    return npi_time_add(f->now_ns, spare_ns) < f->config.deadline_ns;
}

/*
 * A NAT may remember what it refuses. Then B:Q is of no use to the mapping (findings.c), nor to II's control, which is
 * not needed where II was answered, or III's silence carries the proof.
 */
static bool needs_control_ii(const npi_trial *t)
{
    return !npi_silence_rests_on_iii(&t->filtering) && t->filtering.ii.outcome != NPI_CHANGE_HONOURED;
}

static bool may_be_early(const npi_facts *f, const npi_trial *t)
{
    return f->server_count == 1 && !f->more_servers && !f->restarted && !needs_control_ii(t) &&
           npi_trial_server(f, t)->alternate_state == NPI_ALTERNATE_KNOWN &&
           !npi_facts_has_contacted_ip(f, &npi_trial_server(f, t)->alternate) && has_time_left(f, t);
}

uint64_t npi_port_hold_ns(npi_facts *f, const npi_trial *t)
{
    npi_port_test *p = port_of(f);
    uint64_t wake_ns = NPI_NEVER;
    if ((f->config.tests & NP_TESTS_PORT) == 0 || (p->step == PORT_CHOOSES && !may_be_early(f, t)))
        return NPI_NOW;
    if (p->step == PORT_CHOOSES) {
        p->is_early = true;
        p->server = t->server;
        p->alternate = npi_trial_server(f, t)->alternate;
        if (!ask_test(f))
            p->step = PORT_OVER;
    }
    return p->step != PORT_TESTS || is_test_over(f, &wake_ns) ? NPI_NOW : wake_ns;
}

/* ---- After the verdict ------------------------------------------------------------------------------------------ */

static bool is_untouched(const npi_facts *f, const npi_addr *alternate)
{
    return npi_addr_is_set(alternate) && !npi_facts_has_contacted_ip(f, alternate);
}

/* A server whose second address the source socket has not sent to, or may not have. */
static bool may_tell_port(const npi_facts *f, const npi_server *s)
{
    if (s->failed || s->is_unsteady || s->expected_mapping_only || npi_mapping_leaves_out(f, s))
        return false;
    if (s->alternate_state == NPI_ALTERNATE_KNOWN)
        return is_untouched(f, &s->alternate);
    return s->alternate_state == NPI_ALTERNATE_UNKNOWN;
}

/* Asks the next server. False when there is none. */
static bool choose_port_server(npi_facts *f)
{
    npi_port_test *p = port_of(f);
    for (; p->server < f->server_count; p->server++) {
        const npi_server *s = port_server(f);
        if (!may_tell_port(f, s))
            continue;
        p->first = npi_errand_ask(f, "port I", p->server, NPI_SLOT_SOURCE, &s->address, 0);
        p->step = PORT_FIRST;
        return p->first != NULL;
    }
    return false;
}

/* This server cannot tell. */
static bool turn_to_next(npi_facts *f)
{
    npi_port_test *p = port_of(f);
    p->server++;
    p->step = PORT_CHOOSES;
    return !p->is_early && choose_port_server(f);
}

/* The address that is tested is the one that the check reports: no server sees another. */
static bool is_reported(const npi_facts *f, const npi_exchange *x)
{
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (s->has_mapping && !npi_mapping_leaves_out(f, s) && !npi_addr_equal(&s->observed.external, &x->external))
            return false;
    }
    return npi_exchange_has_external(x);
}

/* The second address may not be that of another server that was asked. */
static bool take_first(npi_facts *f)
{
    npi_port_test *p = port_of(f);
    p->alternate = p->first->other;
    if (!is_reported(f, &p->first->x) || !is_untouched(f, &p->alternate))
        return turn_to_next(f);
    return ask_test(f);
}

/* From a socket of its own: what was refused may have spoilt the source port. */
static bool open_way(npi_facts *f)
{
    npi_port_test *p = port_of(f);
    p->step = PORT_OPENS;
    return npi_errand_open_way(f, "port I", p->server, &p->alternate, p->opener);
}

/* The answer came before the mapping requests opened its way. */
static bool came_unasked(const npi_facts *f)
{
    const npi_port_test *p = &f->optional.port;
    const npi_trial *t = npi_server_trial(f, port_server(f));
    for (int k = NPI_M_BP; t != NULL && p->is_early && k <= NPI_M_BQ; k++) {
        if (t->control.x[k].t.started && t->control.x[k].t.first_ns < p->test->x.t.answered_ns)
            return false;
    }
    return true;
}

/* False when it is known, or cannot be. */
static bool take_test(npi_facts *f)
{
    npi_port_test *p = port_of(f);
    if (p->is_early && f->restarted) /* it was another external address */
        return false;
    if (npi_errand_is_answered(p->witness) && !is_reported(f, &p->witness->x))
        return false;
    if (p->test->x.failed || p->test->x.unsent)
        return turn_to_next(f);
    if (!npi_errand_is_answered(p->test))
        return open_way(f);
    if (!npi_addr_equal(&p->test->from, &p->alternate))
        return turn_to_next(f);
    if (came_unasked(f))
        p->open = NP_TRISTATE_YES;
    return false;
}

/* The control can pass only if the answer comes to the mapping whose way is open. */
static bool ask_port_control(npi_facts *f)
{
    npi_port_test *p = port_of(f);
    const npi_exchange *to_a = &p->opener[0]->x;
    const npi_exchange *to_b = &p->opener[1]->x;
    if (!npi_exchange_has_external(to_a) || !npi_exchange_has_external(to_b) ||
        !npi_addr_equal(&to_a->external, &to_b->external))
        return false;
    p->control = npi_errand_ask(f, "port control II", p->server, to_a->slot, &port_server(f)->address, CHANGE_BOTH);
    p->step = PORT_CONTROL;
    return p->control != NULL;
}

/*
 * A server that answers few of many requests may have left out those of the test. And the answers to the test had all
 * the time that those to the control took.
 */
static bool is_port_shut(const npi_facts *f)
{
    const npi_port_test *p = &f->optional.port;
    npi_loss loss = {0, 0};
    if (npi_errand_is_answered(p->test) || !npi_addr_equal(&p->control->from, &p->alternate) ||
        3 * p->control->x.t.answers < 2 * p->control->x.t.sent)
        return false;
    npi_errand_count(f, p->witness, &loss);
    if (npi_loss_is_burst(&loss))
        return false;
    npi_errand_count(f, p->control, &loss);
    return npi_silence_holds(&loss, p->test->x.t.sent, NPI_OPTIONAL_SILENCE);
}

/* Whether what the present step waits for is there. */
static bool has_port_news(npi_facts *f, uint64_t *wake_ns)
{
    const npi_port_test *p = port_of(f);
    switch (p->step) {
    case PORT_FIRST:
        return npi_errand_is_settled(f, p->first, wake_ns);
    case PORT_TESTS:
        return is_test_over(f, wake_ns);
    case PORT_OPENS:
        return npi_errand_is_settled(f, p->opener[0], wake_ns) && npi_errand_is_settled(f, p->opener[1], wake_ns);
    case PORT_CONTROL:
        return npi_errand_is_complete(f, p->control, wake_ns);
    default:
        return true;
    }
}

/* The next step. False when there is none. */
static bool go_on_with_port(npi_facts *f)
{
    switch (port_of(f)->step) {
    case PORT_CHOOSES:
        return choose_port_server(f);
    case PORT_FIRST:
        return take_first(f);
    case PORT_TESTS:
        return take_test(f);
    case PORT_OPENS:
        return ask_port_control(f);
    case PORT_CONTROL:
        if (is_port_shut(f))
            port_of(f)->open = NP_TRISTATE_NO;
        return false;
    default:
        return false;
    }
}

bool npi_port_step(npi_facts *f, uint64_t *wake_ns)
{
    while (has_port_news(f, wake_ns)) {
        if (!go_on_with_port(f))
            return true;
    }
    return false;
}
