/* SPDX-License-Identifier: MIT */
/* facts: what has happened, found again: whose answer an id is, when a request is over, who has been contacted. */
#include "engine/facts.h"

#include <stdio.h>
#include <string.h>

#include "build.h"

#define RTT 40

/* ---- Requests --------------------------------------------------------------------------------------------------- */

static void request_begins_as_it_was_asked(void **state)
{
    (void)state;
    const npi_addr to = build_b(3, BUILD_Q);
    npi_exchange x;
    memset(&x, 0xa5, sizeof x);
    npi_exchange_init(&x, "II", 3, &to, NPI_STUN_CHANGE_IP, 12);
    EXPECT("It has its name.", strcmp(x.name, "II") == 0);
    EXPECT_EQUAL("It has its slot.", x.slot, 3);
    EXPECT("It has its destination.", npi_addr_equal(&x.to, &to));
    EXPECT_EQUAL("It has its flags.", x.change, NPI_STUN_CHANGE_IP);
    EXPECT_EQUAL("It has its most copies.", x.max_copies, 12);
    EXPECT("It is not to be sent yet.", !x.queued && !x.t.started && !npi_exchange_was_asked(&x));
    EXPECT("Nothing else is set.", !x.failed && !x.sent_in_rounds && !x.send_twice && x.not_before_ns == 0);
    npi_exchange_ask(&x, "I", &to, 0, 8);
    EXPECT_EQUAL("One that is asked leaves from the source socket.", x.slot, NPI_SLOT_SOURCE);
    EXPECT("It is to be sent.", x.queued && npi_exchange_was_asked(&x) && !x.t.started);
    EXPECT_EQUAL("It too has its most copies.", x.max_copies, 8);
}

static void request_was_asked_when_it_was_queued_sent_or_cannot_be(void **state)
{
    (void)state;
    npi_exchange x = {.queued = false};
    EXPECT("One that nobody wanted was not asked.", !npi_exchange_was_asked(&x));
    x.queued = true;
    EXPECT("One that waits was.", npi_exchange_was_asked(&x));
    x.queued = false;
    x.failed = true;
    EXPECT("One that cannot be sent was.", npi_exchange_was_asked(&x));
    x.failed = false;
    x.t.started = true;
    EXPECT("One that was sent was.", npi_exchange_was_asked(&x));
    EXPECT("It is not answered.", !npi_exchange_is_answered(&x));
    x.t.answers = 1;
    EXPECT("Then it is.", npi_exchange_is_answered(&x));
}

static void request_is_over_when_its_last_copy_is_old(void **state)
{
    (void)state;
    const npi_addr to = build_a(0, BUILD_P);
    npi_exchange x;
    npi_exchange_init(&x, "I", NPI_SLOT_SOURCE, &to, 0, 3);
    EXPECT_TIME("One that nobody wanted is over.", npi_exchange_over_ns(&x, NPI_MS), NPI_NOW);
    x.queued = true;
    EXPECT_TIME("One that waits to be sent is not.", npi_exchange_over_ns(&x, NPI_MS), NPI_NEVER);
    build_send_copies(&x, 2, AT(0), 10);
    EXPECT_TIME("One with copies left is not.", npi_exchange_over_ns(&x, NPI_MS), NPI_NEVER);
    x.t.stopped = true;
    EXPECT_TIME("Unless no more are to be sent.", npi_exchange_over_ns(&x, 40 * NPI_MS), AT(50));
    x.t.stopped = false;
    build_send(&x, AT(20));
    EXPECT_TIME("After its last copy it is over when that is old.", npi_exchange_over_ns(&x, 40 * NPI_MS), AT(60));
    EXPECT_TIME("While the round trip is unknown it is not.", npi_exchange_over_ns(&x, NPI_NEVER), NPI_NEVER);
    x.failed = true;
    EXPECT_TIME("One that failed is over at once.", npi_exchange_over_ns(&x, 40 * NPI_MS), NPI_NOW);
}

/* ---- Whose answer ----------------------------------------------------------------------------------------------- */

/* Two servers with a trial each, and a third without: every request of all of them is sent. */
static void send_everything(build *b)
{
    build_init(b);
    for (int n = 0; n < 3; n++) {
        npi_server *s = build_answering_server(b, RTT);
        for (int i = 0; i < NPI_SERVER_EXCHANGES; i++)
            build_send(&s->x[i], AT(0));
        if (n == 2)
            return;
        npi_trial *t = build_trial(b, s);
        for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++)
            build_send(&t->filtering.x[i], AT(0));
        for (int i = 0; i < NPI_CONTROL_EXCHANGES; i++)
            build_send(build_ask(b, t, i), AT(0));
    }
}

static void expect_found(build *b, npi_exchange *x, const npi_server *s, const npi_trial *t)
{
    npi_stun_id other = x->t.id;
    other.bytes[NPI_STUN_ID_SIZE - 1] ^= 1;
    npi_origin o = npi_facts_find(&b->f, x->slot, &x->t.id);
    EXPECT("Its id finds the request.", o.exchange == x);
    EXPECT("And its server.", o.server == s);
    EXPECT("And its trial, if it is one's.", o.trial == t);
    o = npi_facts_find(&b->f, x->slot == 5 ? 6 : 5, &x->t.id);
    EXPECT("On another socket the id is nobody's.", o.exchange == NULL && o.server == NULL && o.trial == NULL);
    o = npi_facts_find(&b->f, x->slot, &other);
    EXPECT("Another id is nobody's.", o.exchange == NULL && o.server == NULL && o.trial == NULL);
    x->t.started = false;
    o = npi_facts_find(&b->f, x->slot, &x->t.id);
    EXPECT("A request that has not begun has no id.", o.exchange == NULL);
    x->t.started = true;
}

static void every_request_is_found_by_its_id(void **state)
{
    (void)state;
    static build b;
    send_everything(&b);
    for (size_t n = 0; n < b.f.server_count; n++) {
        npi_server *s = &b.servers[n];
        npi_trial *t = s->trial >= 0 ? &b.trials[s->trial] : NULL;
        for (int i = 0; i < NPI_SERVER_EXCHANGES; i++)
            expect_found(&b, &s->x[i], s, NULL);
        for (int i = 0; t != NULL && i < NPI_FILTERING_EXCHANGES; i++)
            expect_found(&b, &t->filtering.x[i], s, t);
        for (int i = 0; t != NULL && i < NPI_CONTROL_EXCHANGES; i++)
            expect_found(&b, &t->control.x[i], s, t);
    }
    b.servers[2].contact = NPI_NOT_ASKED;
    npi_origin o = npi_facts_find(&b.f, NPI_SLOT_SOURCE, &b.servers[2].x[NPI_PRIMARY].t.id);
    EXPECT("A server that was not asked since the restart has no requests.", o.exchange == NULL);
}

/* ---- Servers and trials ----------------------------------------------------------------------------------------- */

static void server_and_trial_know_each_other(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *not_asked = build_server(&b);
    npi_server *asked = build_asked_server(&b);
    npi_server *s = build_answering_server(&b, RTT);
    npi_trial *t = build_trial(&b, s);
    EXPECT("A server that was not asked is not started.", !npi_server_is_started(not_asked));
    EXPECT("One that was asked is.", npi_server_is_started(asked) && !npi_server_has_answered(asked));
    EXPECT("One that has answered is as well.", npi_server_is_started(s) && npi_server_has_answered(s));
    EXPECT("A server without a trial has none.", npi_server_trial(&b.f, asked) == NULL);
    EXPECT("One with a trial has that.", npi_server_trial(&b.f, s) == t);
    EXPECT("The trial has that server.", npi_trial_server(&b.f, t) == s);
    EXPECT_GAP("Its rto is the server's.", npi_trial_rto(&b.f, t), 44 * NPI_MS);
    npi_addr ii = npi_server_expected_source(s, NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT);
    npi_addr iii = npi_server_expected_source(s, NPI_STUN_CHANGE_PORT);
    EXPECT("II is to come from B:Q.", npi_addr_equal(&ii, &(npi_addr){4, {203, 0, 113, 12}, BUILD_Q, 0}));
    EXPECT("III is to come from A:Q.", npi_addr_equal(&iii, &(npi_addr){4, {198, 51, 100, 12}, BUILD_Q, 0}));
    EXPECT("No server has seen the source socket.", !npi_facts_has_mapping(&b.f));
    s->has_mapping = true;
    EXPECT("One is enough.", npi_facts_has_mapping(&b.f));
}

/* Every one of the twelve random bytes behind the cookie serves, in turn. */
static void rounds_have_the_random_bytes_of_the_id(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
    for (uint8_t i = 0; i < NPI_STUN_ID_SIZE; i++)
        t->filtering.x[NPI_F_I].t.id.bytes[i] = i;
    for (uint32_t round = 0; round < 40; round++)
        EXPECT_EQUAL("Byte 4 for round 0, byte 15 for round 11, byte 4 again.",
                     npi_filtering_random(&t->filtering, round), 4 + round % 12);
}

static void contact_is_what_the_source_socket_has_sent_to(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_answering_server(&b, RTT);
    npi_server *not_asked = build_server(&b);
    npi_trial *t = build_trial(&b, s);
    const npi_addr ap = build_a(0, BUILD_P);
    const npi_addr aq = build_a(0, BUILD_Q);
    const npi_addr bp = build_b(0, BUILD_P);
    const npi_addr bq = build_b(0, BUILD_Q);
    EXPECT("A server that was asked has been contacted.", npi_facts_has_contacted(&b.f, &ap));
    EXPECT("Another port of it has not.", !npi_facts_has_contacted(&b.f, &aq));
    EXPECT("Its IP address has.", npi_facts_has_contacted_ip(&b.f, &aq));
    EXPECT("One that was not asked has not.", !npi_facts_has_contacted(&b.f, &not_asked->address));
    EXPECT("Its second address has not.", !npi_facts_has_contacted_ip(&b.f, &bq));
    npi_exchange *x = build_ask(&b, t, NPI_M_BP);
    EXPECT("A mapping request that waits has contacted nobody.", !npi_facts_has_contacted(&b.f, &bp));
    build_send(x, AT(0));
    EXPECT("One that was sent has.", npi_facts_has_contacted(&b.f, &bp));
    EXPECT("Not the other port there.", !npi_facts_has_contacted(&b.f, &bq));
    EXPECT("But that IP address.", npi_facts_has_contacted_ip(&b.f, &bq));
    build_send(build_ask(&b, t, NPI_M_BQ), AT(0));
    EXPECT("B:Q counts when it is asked.", npi_facts_has_contacted(&b.f, &bq));
    build_send(build_ask(&b, t, NPI_M_AQ), AT(0));
    EXPECT("A:Q as well.", npi_facts_has_contacted(&b.f, &aq));
}

/* ---- Findings --------------------------------------------------------------------------------------------------- */

static char last_line[NPI_LOG_LINE];

static void keep_line(int32_t level, const char *line, void *user)
{
    assert_null(user);
    assert_int_equal(level, NP_LOG_INFO);
    snprintf(last_line, sizeof last_line, "%s", line);
}

static void decision_says_what_is_known_and_how_well(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
    EXPECT("A trial begins undecided.", !npi_trial_is_decided(t));
    npi_decide(t, NP_BEHAVIOUR_ADDRESS_DEPENDENT);
    EXPECT("Then it is decided.", npi_trial_is_decided(t) && t->finding.state == NPI_DECIDED);
    EXPECT_EQUAL("It has its filtering.", t->finding.filtering, NP_BEHAVIOUR_ADDRESS_DEPENDENT);
    EXPECT("Proven.", t->finding.proven && t->finding.reason == NPI_REASON_NONE);
    npi_decide_unproven(t, NP_BEHAVIOUR_ENDPOINT_DEPENDENT);
    EXPECT_EQUAL("Another decision takes its place.", t->finding.filtering, NP_BEHAVIOUR_ENDPOINT_DEPENDENT);
    EXPECT("Not proven.", !t->finding.proven && t->finding.reason == NPI_REASON_NONE);
    t->finding.state = NPI_REPORTED;
    npi_decide_unknown(&b.f, t, NPI_REASON_LOSS);
    EXPECT("What was reported is not reported again.", t->finding.state == NPI_REPORTED);
    EXPECT_EQUAL("Unknown has no filtering.", t->finding.filtering, NP_BEHAVIOUR_UNKNOWN);
    EXPECT("It has a reason.", !t->finding.proven && t->finding.reason == NPI_REASON_LOSS);
}

static void unknown_tells_its_reason(void **state)
{
    (void)state;
    static const struct {
        npi_reason reason;
        const char *words;
        uint32_t evidence;
    } rows[] = {
        {NPI_REASON_NO_ALTERNATE, "no second address", 0},
        {NPI_REASON_REFUSED, "refused second address", 0},
        {NPI_REASON_IGNORED, "CHANGE-REQUEST ignored", 0},
        {NPI_REASON_PARTIAL, "CHANGE-REQUEST partly honoured", 0},
        {NPI_REASON_REWRITTEN, "source addresses rewritten on the path", 0},
        {NPI_REASON_REJECTED, "CHANGE-REQUEST rejected", 0},
        {NPI_REASON_CONTROL, "the control was silent", NP_EVIDENCE_CONTROL_SILENT},
        {NPI_REASON_LOSS, "too much loss", 0},
        {NPI_REASON_CONTRADICTION, "contradictory answers", NP_EVIDENCE_CONTRADICTION},
        {NPI_REASON_NOT_FRESH, "its second address was asked before", 0},
        {NPI_REASON_UNFINISHED, "not finished", 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
        b.f.config.log = (npi_log){keep_line, NULL, NP_LOG_INFO};
        npi_decide_unknown(&b.f, t, rows[i].reason);
        char wanted[NPI_LOG_LINE];
        snprintf(wanted, sizeof wanted, "198.51.100.10:3478 cannot tell the filtering: %s", rows[i].words);
        assert_string_equal(last_line, wanted);
        EXPECT_EQUAL(rows[i].words, b.f.evidence, rows[i].evidence);
        EXPECT_EQUAL(rows[i].words, t->finding.reason, rows[i].reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_begins_as_it_was_asked),
        cmocka_unit_test(request_was_asked_when_it_was_queued_sent_or_cannot_be),
        cmocka_unit_test(request_is_over_when_its_last_copy_is_old),
        cmocka_unit_test(every_request_is_found_by_its_id),
        cmocka_unit_test(server_and_trial_know_each_other),
        cmocka_unit_test(rounds_have_the_random_bytes_of_the_id),
        cmocka_unit_test(contact_is_what_the_source_socket_has_sent_to),
        cmocka_unit_test(decision_says_what_is_known_and_how_well),
        cmocka_unit_test(unknown_tells_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
