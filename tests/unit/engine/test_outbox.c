/* SPDX-License-Identifier: MIT */
/* outbox: which copy of which request is due, what it looks like on the wire, and what becomes of it. */
#include "engine/outbox.h"

#include <string.h>

#include "engine/rate.h"

#include "build.h"

#define RTT 40
#define GAP 54 /* of plain copies at this round trip: the rto of 44 ms, and 10 ms */

static const uint8_t random_bytes[NPI_STUN_ID_SIZE] = {11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26};

static void check_due(const char *sentence, build *b, const npi_exchange *wanted, uint64_t wake_ns)
{
    npi_due due = npi_outbox_next_due(&b->f);
    EXPECT(sentence, due.exchange == wanted);
    if (wanted == NULL)
        EXPECT_TIME(sentence, due.wake_ns, wake_ns);
}

static void check_none(const char *sentence, build *b, uint64_t wake_ns)
{
    check_due(sentence, b, NULL, wake_ns);
}

/* ---- When one request is due ------------------------------------------------------------------------------------ */

static void first_copy_is_due_when_it_is_wanted_and_the_rate_allows(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_server(&b);
    npi_exchange_ask(&s->x[NPI_PRIMARY], "I", &s->address, 0, NPI_PRIMARY_COPIES);
    npi_exchange *x = &s->x[NPI_PRIMARY];
    check_none("A server that is not asked has nothing to send.", &b, NPI_NEVER);
    s->contact = NPI_ASKED;
    check_due("A queued request is due at once.", &b, x, 0);
    EXPECT("It comes with its server.", npi_outbox_next_due(&b.f).server == s);
    x->not_before_ns = AT(0) + 1;
    check_none("Unless it is not to be sent before a time.", &b, AT(0) + 1);
    build_now(&b, AT(0) + 1);
    check_due("Then it is.", &b, x, 0);
    for (int i = 1; i < NPI_RATE_TRANSACTIONS; i++)
        npi_rate_use(&b.f.rate, AT(0));
    check_due("With nine transactions in this second there is room for it.", &b, x, 0);
    npi_rate_use(&b.f.rate, AT(0));
    check_none("With ten transactions in this second it waits.", &b, AT(1000));
    build_now(&b, AT(1000));
    check_due("Until the second is over.", &b, x, 0);
    x->failed = true;
    check_none("One that cannot be sent is never due.", &b, NPI_NEVER);
    x->failed = false;
    x->queued = false;
    check_none("One that nobody wants is not.", &b, NPI_NEVER);
}

static void next_plain_copy_is_due_after_its_gap(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_answering_server(&b, RTT);
    npi_exchange *x = &s->x[NPI_PRIMARY];
    for (int i = 0; i < NPI_RATE_TRANSACTIONS; i++)
        npi_rate_use(&b.f.rate, AT(0));
    build_send(x, AT(0));
    check_none("The next copy waits for its gap, whatever the rate: it is no new transaction.", &b, AT(GAP));
    build_now(&b, AT(GAP) - 1);
    check_none("To the nanosecond.", &b, AT(GAP));
    build_now(&b, AT(GAP));
    check_due("Then it is due.", &b, x, 0);
    x->not_before_ns = AT(80);
    check_none("Not before it may be sent.", &b, AT(80));
    x->not_before_ns = 0;
    build_send(x, AT(GAP));
    check_none("The gap counts from the last copy.", &b, AT(2 * GAP));
    build_rtt(&s->rtt, 100);
    check_none("And is that of the round trip as it is known now.", &b, AT(GAP + 114));
    build_now(&b, AT(1000));
    x->t.stopped = true;
    check_none("A request that was stopped has no more copies.", &b, NPI_NEVER);
    x->t.stopped = false;
    x->t.limit = 2;
    check_none("Nor has one that has sent all.", &b, NPI_NEVER);
    x->t.limit = 3;
    check_due("With one left it is due.", &b, x, 0);
    build_answer(x, AT(1000));
    check_none("An answered request is not repeated.", &b, NPI_NEVER);
}

static void copies_in_rounds_are_due_when_their_round_says_so(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
    npi_exchange *x = &t->filtering.x[NPI_F_I];
    build_send(x, AT(0));
    build_now(&b, AT(1000));
    check_none("No timer brings the next copy.", &b, NPI_NEVER);
    x->t.next_ns = AT(1000) + 1;
    check_none("Only a round does, at its time.", &b, AT(1000) + 1);
    x->t.next_ns = AT(1000);
    check_due("Which is now.", &b, x, 0);
    build_answer(x, AT(1000));
    check_due("Even if it has been answered.", &b, x, 0);
    x->t.stopped = true;
    check_none("But not when it was stopped.", &b, NPI_NEVER);
}

/* ---- Which of several comes first ------------------------------------------------------------------------------- */

static void queue_all(build *b, npi_trial **t)
{
    build_init(b);
    npi_server *s = build_answering_server(b, RTT);
    *t = build_trial(b, s);
    for (int i = 0; i < NPI_SERVER_EXCHANGES; i++)
        s->x[i].queued = true;
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++)
        (*t)->filtering.x[i].queued = true;
    for (int i = 0; i < NPI_CONTROL_EXCHANGES; i++)
        build_ask(b, *t, i);
}

static void check_order(build *b, npi_exchange *const order[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_due("In the order of the list.", b, order[i], 0);
        order[i]->queued = false;
    }
    check_none("Then nothing is due.", b, NPI_NEVER);
}

static void recheck_goes_behind_what_it_is_compared_with(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    queue_all(&b, &t);
    npi_exchange *x = b.servers[0].x;
    npi_exchange *f = t->filtering.x;
    npi_exchange *c = t->control.x;
    npi_exchange *const order[] = {&x[NPI_PRIMARY], &x[NPI_RFC3489],    &f[NPI_F_I],         &f[NPI_F_II],
                                   &f[NPI_F_III],   &f[NPI_F_SECOND],   &c[NPI_M_BP],        &c[NPI_M_BQ],
                                   &c[NPI_M_AQ],    &c[NPI_M_OTHER],    &c[NPI_C_II],        &c[NPI_C_III],
                                   &c[NPI_M_NEAR],  &c[NPI_M_NEAR + 1], &c[NPI_M_NEAR_LAST], &x[NPI_RECHECK]};
    check_order(&b, order, COUNT(order));
}

static void trial_that_is_over_sends_nothing(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    queue_all(&b, &t);
    t->phase = NPI_PHASE_DONE;
    npi_exchange *x = b.servers[0].x;
    npi_exchange *const order[] = {&x[NPI_PRIMARY], &x[NPI_RFC3489], &x[NPI_RECHECK]};
    check_order(&b, order, COUNT(order));
}

static void servers_send_in_their_order(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *first = build_asked_server(&b);
    npi_server *second = build_asked_server(&b);
    first->x[NPI_RECHECK].queued = true;
    second->x[NPI_PRIMARY].queued = true;
    npi_exchange *const order[] = {&first->x[NPI_RECHECK], &second->x[NPI_PRIMARY]};
    check_order(&b, order, COUNT(order));
    first->x[NPI_RECHECK].queued = true;
    second->x[NPI_PRIMARY].queued = true;
    first->x[NPI_RECHECK].not_before_ns = AT(30);
    second->x[NPI_PRIMARY].not_before_ns = AT(20);
    check_none("Of those to come the earliest counts.", &b, AT(20));
    first->x[NPI_RECHECK].not_before_ns = AT(10);
    check_none("Whichever it is.", &b, AT(10));
}

/* The random byte of a round: its place to start, and with the highest bit backwards. */
static void later_rounds_start_anywhere_and_go_either_way(void **state)
{
    (void)state;
    enum { I = NPI_F_I, II = NPI_F_II, III = NPI_F_III, SECOND = NPI_F_SECOND };
    static const struct {
        const char *sentence;
        uint32_t rounds;
        uint8_t random;
        int order[NPI_FILTERING_EXCHANGES];
    } rows[] = {
        {"The first round starts with I: it opens the way.", 1, 0x83, {I, II, III, SECOND}},
        {"Before it nothing is random either.", 0, 0x83, {I, II, III, SECOND}},
        {"The second may start with I.", 2, 0x00, {I, II, III, SECOND}},
        {"Or with II.", 2, 0x01, {II, III, SECOND, I}},
        {"Or with III.", 2, 0x7e, {III, SECOND, I, II}},
        {"Or with the second transaction.", 2, 0x03, {SECOND, I, II, III}},
        {"Or go backwards from there.", 2, 0x80, {SECOND, III, II, I}},
        {"Or from III.", 2, 0x81, {III, II, I, SECOND}},
        {"Later rounds have bytes of their own.", 13, 0x82, {II, I, SECOND, III}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
        t->filtering.rounds = rows[i].rounds;
        t->filtering.x[NPI_F_I].t.id.bytes[4 + rows[i].rounds % 12] = rows[i].random;
        for (int k = 0; k < NPI_FILTERING_EXCHANGES; k++)
            t->filtering.x[k].queued = true;
        for (int k = 0; k < NPI_FILTERING_EXCHANGES; k++) {
            npi_exchange *x = &t->filtering.x[rows[i].order[k]];
            check_due(rows[i].sentence, &b, x, 0);
            x->queued = false;
        }
    }
}

/* ---- On the way out --------------------------------------------------------------------------------------------- */

static npi_datagram emit(build *b, npi_server *s, npi_exchange *x)
{
    npi_datagram out;
    const npi_due due = {s, x, b->f.now_ns};
    memset(&out, 0xa5, sizeof out);
    npi_outbox_emit(&b->f, &due, random_bytes, &out);
    return out;
}

/* The bytes of a Binding request: type, length, id, and CHANGE-REQUEST (RFC 8489 section 5, RFC 5780 section 7.2). */
static void check_wire(const npi_datagram *d, const npi_stun_id *id, uint32_t change)
{
    uint8_t wanted[NPI_STUN_REQUEST_SIZE] = {0x00, 0x01, 0x00, change != 0 ? 8 : 0};
    const uint8_t attribute[] = {0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x00, (uint8_t)change};
    memcpy(wanted + 4, id->bytes, NPI_STUN_ID_SIZE);
    memcpy(wanted + 20, attribute, sizeof attribute);
    assert_int_equal(d->size, change != 0 ? 28 : 20);
    assert_memory_equal(d->data, wanted, d->size);
}

static void first_copy_starts_the_transaction(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_answering_server(&b, RTT);
    npi_trial *t = build_trial(&b, s);
    npi_exchange *x = &t->filtering.x[NPI_F_II];
    npi_stun_id id = npi_stun_make_id(NPI_STUN_RFC8489, random_bytes);
    x->queued = true;
    build_now(&b, AT(30));
    npi_datagram d = emit(&b, s, x);
    EXPECT("It is started, and no longer queued.", x->t.started && !x->queued);
    EXPECT("Its id is the cookie and twelve random bytes.", npi_stun_id_equal(&x->t.id, &id));
    EXPECT_EQUAL("One copy is sent.", x->t.sent, 1);
    EXPECT_EQUAL("Of as many as it may have.", x->t.limit, NPI_COPIES_MAX);
    EXPECT_TIME("At this time.", x->t.first_ns, AT(30));
    EXPECT_TIME("When the next is due is told elsewhere.", x->t.next_ns, NPI_NEVER);
    EXPECT_EQUAL("It uses the rate.", npi_rate_room(&b.f.rate, AT(30)), 9);
    EXPECT_EQUAL("Until it has left it does not count.", b.f.traffic.sent, 0);
    EXPECT("The datagram has its socket, server and request.", d.slot == 1 && d.server == s && d.exchange == x);
    EXPECT("It goes to A:P.", npi_addr_equal(&d.to, &s->address));
    check_wire(&d, &id, 6);
}

static void further_copies_are_the_same_request(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_answering_server(&b, RTT);
    npi_exchange *x = build_ask(&b, build_trial(&b, s), NPI_M_BQ);
    npi_datagram first = emit(&b, s, x);
    npi_stun_id id = x->t.id;
    build_now(&b, AT(GAP));
    const npi_due due = {s, x, AT(GAP)};
    npi_datagram second;
    npi_outbox_emit(&b.f, &due, (const uint8_t[NPI_STUN_ID_SIZE]){99}, &second);
    EXPECT("The id stays.", npi_stun_id_equal(&x->t.id, &id));
    EXPECT("So do the bytes.", second.size == first.size && memcmp(second.data, first.data, first.size) == 0);
    EXPECT("And the destination.", npi_addr_equal(&second.to, &s->alternate));
    check_wire(&second, &id, 0);
    EXPECT_EQUAL("Two copies are sent.", x->t.sent, 2);
    EXPECT_EQUAL("As one transaction.", npi_rate_room(&b.f.rate, AT(GAP)), 9);
}

/* A:P has answered; A:P again is wanted, and the rate is spent. */
static npi_server *answered(build *b)
{
    build_init(b);
    npi_server *s = build_answering_server(b, RTT);
    npi_addr external = build_external(1);
    build_sees(s, &external, AT(0), AT(RTT));
    build_observe(&s->x[NPI_PRIMARY], &external, AT(0), AT(RTT));
    build_server(b);
    npi_exchange_ask(&s->x[NPI_RECHECK], "I again", &s->address, 0, NPI_ALTERNATE_COPIES);
    for (int i = 0; i < NPI_RATE_TRANSACTIONS; i++)
        npi_rate_use(&b->f.rate, AT(0));
    return s;
}

static void without_room_a_p_again_is_a_copy_of_what_was_answered(void **state)
{
    (void)state;
    static build b;
    npi_server *s = answered(&b);
    npi_exchange *again = &s->x[NPI_RECHECK];
    build_now(&b, AT(9));
    check_none("Not within 10 ms of the last copy.", &b, AT(10));
    build_now(&b, AT(RTT));
    check_due("A copy needs no room.", &b, again, 0);
    npi_datagram d = emit(&b, s, again);
    EXPECT("It has the same id.", npi_stun_id_equal(&again->t.id, &s->x[NPI_PRIMARY].t.id));
    check_wire(&d, &s->x[NPI_PRIMARY].t.id, 0);
    EXPECT("It is told apart by its time.", s->was_copied && again->t.first_ns == AT(RTT));
    EXPECT_EQUAL("It takes no share of the rate.", npi_rate_room(&b.f.rate, AT(1000)), 10);
    npi_outbox_take_back(&b.f, &d);
    EXPECT_EQUAL("So none is given back if it did not leave.", npi_rate_room(&b.f.rate, AT(1000) - 1), 0);
    EXPECT("It is due once more.", again->queued && !again->t.started);
    check_due("As a copy.", &b, again, 0);
    b.f.duplicated = true;
    check_none("With duplicates on the path it waits for the rate.", &b, AT(1000));
    s = answered(&b);
    build_now(&b, AT(1000));
    emit(&b, s, again);
    EXPECT("With room it is a new transaction.", !npi_stun_id_equal(&again->t.id, &s->x[NPI_PRIMARY].t.id));
    EXPECT_EQUAL("Which takes its share.", npi_rate_room(&b.f.rate, AT(1000)), 9);
    s = answered(&b);
    npi_rate_pass(&b.f.rate, 995 * NPI_MS);
    build_now(&b, AT(2));
    check_none("It does not wait for a copy's time where there is room sooner.", &b, AT(5));
    again->as_copy = true;
    check_none("Unless it is to leave that room to others.", &b, AT(10));
    s = answered(&b);
    again->as_copy = true;
    build_now(&b, AT(1000));
    emit(&b, s, again);
    EXPECT("Unless others need the room.", npi_stun_id_equal(&again->t.id, &s->x[NPI_PRIMARY].t.id));
}

static void a_datagram_counts_when_it_has_left(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_answering_server(&b, RTT);
    npi_datagram d = emit(&b, s, &s->x[NPI_PRIMARY]);
    EXPECT_TIME("Before the first one there is none.", b.f.traffic.first_sent_ns, NPI_NEVER);
    build_now(&b, AT(2));
    npi_outbox_sent(&b.f, &d);
    EXPECT_EQUAL("It counts.", b.f.traffic.sent, 1);
    EXPECT_EQUAL("Its number is kept.", s->x[NPI_PRIMARY].number, 1);
    EXPECT_TIME("It is the first.", b.f.traffic.first_sent_ns, AT(2));
    EXPECT_TIME("And the last.", b.f.traffic.last_sent_ns, AT(2));
    d = emit(&b, s, &s->x[NPI_PRIMARY]);
    build_now(&b, AT(GAP));
    npi_outbox_sent(&b.f, &d);
    EXPECT_EQUAL("So does another copy.", b.f.traffic.sent, 2);
    EXPECT_EQUAL("The number is that of the first.", s->x[NPI_PRIMARY].number, 1);
    EXPECT_TIME("The first stays the first.", b.f.traffic.first_sent_ns, AT(2));
    EXPECT_TIME("The last is another.", b.f.traffic.last_sent_ns, AT(GAP));
}

static void dialect_is_the_servers_or_the_requests(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        int index;
        npi_stun_dialect server, wanted;
    } rows[] = {
        {"A request has the cookie.", NPI_PRIMARY, NPI_STUN_RFC8489, NPI_STUN_RFC8489},
        {"Not one to a server that knows RFC 3489 alone.", NPI_RECHECK, NPI_STUN_RFC3489, NPI_STUN_RFC3489},
        {"Nor the one that finds that out.", NPI_RFC3489, NPI_STUN_RFC8489, NPI_STUN_RFC3489},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        npi_server *s = build_answering_server(&b, RTT);
        s->dialect = rows[i].server;
        npi_stun_id id = npi_stun_make_id(rows[i].wanted, random_bytes);
        npi_datagram d = emit(&b, s, &s->x[rows[i].index]);
        EXPECT(rows[i].sentence, memcmp(d.data + 4, id.bytes, NPI_STUN_ID_SIZE) == 0);
    }
}

/* ---- What did not leave ----------------------------------------------------------------------------------------- */

static void copy_that_did_not_leave_is_taken_back(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_asked_server(&b);
    npi_exchange *x = &s->x[NPI_PRIMARY];
    npi_datagram d = emit(&b, s, x);
    build_now(&b, AT(3));
    npi_outbox_unsent(&b.f, &d, NP_OK, 11);
    EXPECT("The request has not begun, and waits again.", !x->t.started && x->queued);
    EXPECT_EQUAL("Its share of the rate is given back.", npi_rate_room(&b.f.rate, AT(3)), 10);
    EXPECT_EQUAL("No datagram was sent.", b.f.traffic.sent, 0);
    EXPECT_TIME("There is no first one.", b.f.traffic.first_sent_ns, NPI_NEVER);
    EXPECT_TIME("Nor a last.", b.f.traffic.last_sent_ns, 0);
    check_none("It is tried again 10 ms later.", &b, AT(13));
    EXPECT_EQUAL("No room is the system's.", b.f.traffic.send_error, NP_ERR_SYSTEM);
    EXPECT_EQUAL("With its errno.", b.f.traffic.send_os_error, 11);
    EXPECT("It explains why there is no answer.", npi_facts_is_unsent(&b.f));
    build_now(&b, AT(13));
    d = emit(&b, s, x);
    npi_outbox_sent(&b.f, &d);
    EXPECT("Until it has left.", !npi_facts_is_unsent(&b.f));
    build_now(&b, AT(500));
    d = emit(&b, s, x);
    npi_outbox_unsent(&b.f, &d, NP_ERR_NETWORK_UNREACHABLE, 101);
    EXPECT("A later copy leaves the request begun.", x->t.started && !x->queued && x->t.sent == 1);
    EXPECT_EQUAL("Its transaction still counts.", npi_rate_room(&b.f.rate, AT(500)), 9);
    EXPECT_EQUAL("So does the datagram before.", b.f.traffic.sent, 1);
    EXPECT_TIME("It is the first one.", b.f.traffic.first_sent_ns, AT(13));
    EXPECT_EQUAL("The error is kept.", b.f.traffic.send_error, NP_ERR_NETWORK_UNREACHABLE);
    EXPECT_EQUAL("And its errno.", b.f.traffic.send_os_error, 101);
}

static char last_line[NPI_LOG_LINE];

static void keep_line(int32_t level, const char *line, void *user)
{
    assert_null(user);
    assert_int_equal(level, NP_LOG_WARNING);
    size_t length = strlen(line) + 1;
    memcpy(last_line, line, length < sizeof last_line ? length : sizeof last_line);
}

/*
 * The copy that is due now is refused, and so on whenever another is due, until the request fails or it is that time.
 */
static void refuse_until(build *b, npi_server *s, npi_exchange *x, int32_t error, uint64_t until_ns)
{
    while (!x->failed) {
        npi_datagram d = emit(b, s, x);
        npi_outbox_unsent(&b->f, &d, error, 101);
        if (npi_time_max(x->not_before_ns, b->f.now_ns) > until_ns)
            return;
        build_now(b, x->not_before_ns);
    }
}

static void refused_requests_are_tried_again_ever_slower(void **state)
{
    (void)state;
    static const unsigned gaps_ms[] = {10, 20, 40, 80, 160, 160, 160, 160};
    static const int32_t errors[] = {NP_ERR_NETWORK_UNREACHABLE, NP_OK};
    for (size_t e = 0; e < COUNT(errors); e++) {
        static build b;
        build_init(&b);
        npi_server *s = build_asked_server(&b);
        npi_exchange *x = &s->x[NPI_PRIMARY];
        for (size_t i = 0; i < COUNT(gaps_ms); i++) {
            npi_datagram d = emit(&b, s, x);
            npi_outbox_unsent(&b.f, &d, errors[e], 101);
            unsigned gap_ms = errors[e] == NP_OK ? 10 : gaps_ms[i];
            EXPECT_GAP(errors[e] == NP_OK ? "Where there is no room it is tried again every 10 ms."
                                          : "Each refusal doubles the gap, up to 160 ms.",
                       x->not_before_ns - b.f.now_ns, gap_ms * NPI_MS);
            check_none("Until then nothing is due.", &b, x->not_before_ns);
            build_now(&b, x->not_before_ns);
            check_due("Then it is.", &b, x, 0);
        }
        npi_datagram d = emit(&b, s, x);
        npi_outbox_sent(&b.f, &d);
        d = emit(&b, s, x);
        npi_outbox_unsent(&b.f, &d, NP_ERR_NETWORK_UNREACHABLE, 101);
        EXPECT_GAP("A copy that left in between starts the gaps anew.", x->not_before_ns - b.f.now_ns, 10 * NPI_MS);
    }
}

static void a_request_fails_when_it_was_refused_for_too_long(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        unsigned left_ms; /* when a datagram left; the first refusal comes at 100 ms. 0: none has left */
        unsigned patience_ms;
    } rows[] = {
        {"Where nothing leaves, for three seconds.", 0, 3000},
        {"The same where nothing has left since.", 99, 3000},
        {"While others leave, for one second.", 100, 1000},
        {"Also where one has left later.", 500, 1000},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        b.f.config.log = (npi_log){keep_line, NULL, NP_LOG_WARNING};
        last_line[0] = '\0';
        npi_server *s = build_asked_server(&b);
        npi_exchange *x = &s->x[NPI_PRIMARY];
        uint64_t over_ns = AT(100) + rows[i].patience_ms * NPI_MS;
        b.f.traffic.last_sent_ns = rows[i].left_ms > 0 ? AT(rows[i].left_ms) : 0;
        build_now(&b, AT(100));
        refuse_until(&b, s, x, NP_ERR_NETWORK_UNREACHABLE, over_ns - 170 * NPI_MS);
        build_now(&b, over_ns - 1);
        npi_datagram d = emit(&b, s, x);
        npi_outbox_unsent(&b.f, &d, NP_ERR_NETWORK_UNREACHABLE, 101);
        EXPECT(rows[i].sentence, !x->failed && !s->failed && x->queued);
        EXPECT("Nothing was said of it.", last_line[0] == '\0');
        build_now(&b, over_ns);
        d = emit(&b, s, x);
        npi_outbox_unsent(&b.f, &d, NP_ERR_NETWORK_UNREACHABLE, 101);
        EXPECT(rows[i].sentence, x->failed && s->failed);
        EXPECT("It is not asked any more.", !x->queued);
        check_none("Nothing is due then.", &b, NPI_NEVER);
        assert_string_equal(last_line, "cannot send I: No server can be reached from this host");
    }
}

static void the_time_of_refusals_counts_from_the_first_in_a_row(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_asked_server(&b);
    npi_exchange *x = &s->x[NPI_PRIMARY];
    refuse_until(&b, s, x, NP_ERR_NETWORK_UNREACHABLE, AT(900));
    build_now(&b, AT(900));
    npi_datagram d = emit(&b, s, x);
    npi_outbox_sent(&b.f, &d);
    build_now(&b, AT(950));
    refuse_until(&b, s, x, NP_ERR_NETWORK_UNREACHABLE, AT(1800));
    EXPECT("900 ms of refusals before a copy that left do not count.", !x->failed);
    build_now(&b, AT(3900));
    refuse_until(&b, s, x, NP_OK, AT(3920));
    EXPECT("Want of room is no refusal, however long it lasts.", !x->failed && !s->failed);
}

static void an_error_that_is_not_the_networks_fails_the_third_time(void **state)
{
    (void)state;
    static const int32_t errors[] = {NP_ERR_SYSTEM, NP_ERR_NO_MEMORY};
    for (size_t i = 0; i < COUNT(errors); i++) {
        static build b;
        build_init(&b);
        npi_server *s = build_asked_server(&b);
        npi_exchange *x = &s->x[NPI_PRIMARY];
        refuse_until(&b, s, x, errors[i], AT(0));
        refuse_until(&b, s, x, errors[i], AT(0));
        EXPECT("Two may pass.", !x->failed && !s->failed && x->send_failures == 2);
        refuse_until(&b, s, x, errors[i], AT(0));
        EXPECT("The third in a row is one too many.", x->failed && s->failed);
        EXPECT_EQUAL("The error is kept.", b.f.traffic.send_error, errors[i]);
    }
}

static void refusals_are_counted_without_end(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_asked_server(&b);
    npi_exchange *x = &s->x[NPI_PRIMARY];
    for (unsigned i = 0; i < 300; i++) { /* faster than it is asked for */
        build_now(&b, AT(i));
        npi_datagram d = emit(&b, s, x);
        npi_outbox_unsent(&b.f, &d, NP_ERR_NETWORK_UNREACHABLE, 101);
    }
    EXPECT("A count that overflows would be taken for the first refusal.", !x->failed && x->send_failures > 4);
    EXPECT_GAP("The gap stays the longest.", x->not_before_ns - b.f.now_ns, 160 * NPI_MS);
    EXPECT_TIME("The first refusal stays the first.", x->refused_from_ns, AT(0));
}

static void failed_request_fails_only_a_server_that_never_answered(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *heard = build_answering_server(&b, RTT);
    refuse_until(&b, heard, &heard->x[NPI_RECHECK], NP_ERR_NETWORK_UNREACHABLE, NPI_NEVER);
    EXPECT("A server that has answered can be sent to.", heard->x[NPI_RECHECK].failed && !heard->failed);
    npi_server *silent = build_asked_server(&b);
    silent->alternate = build_b(1, BUILD_Q);
    npi_exchange *x = build_ask(&b, build_trial(&b, silent), NPI_M_BQ);
    refuse_until(&b, silent, x, NP_ERR_NETWORK_UNREACHABLE, NPI_NEVER);
    EXPECT("Its other address says nothing of A:P.", x->failed && !silent->failed);
}

/* ---- Without a socket ------------------------------------------------------------------------------------------- */

static void what_has_no_socket_is_taken_back_without_an_error(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_asked_server(&b);
    npi_exchange *x = &s->x[NPI_PRIMARY];
    npi_datagram d = emit(&b, s, x);
    npi_outbox_take_back(&b.f, &d);
    EXPECT("The request has not begun, and waits again.", !x->t.started && x->queued);
    EXPECT_EQUAL("Its share of the rate is given back.", npi_rate_room(&b.f.rate, AT(0)), 10);
    EXPECT("It was not refused.", b.f.traffic.send_error == NP_OK && x->send_failures == 0 && x->not_before_ns == 0);
}

/* ---- Fresh sockets that look at the path ------------------------------------------------------------------------ */

static void fresh_sockets_ask_behind_everything_else_while_the_path_is_in_doubt(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    build_answering_server(&b, RTT);
    npi_server *s = build_answering_server(&b, RTT);
    b.f.path.server = 1;
    for (uint32_t i = 0; i < 2; i++) {
        npi_exchange_ask(&b.f.path.x[i], "path I", &s->address, 0, NPI_ALTERNATE_COPIES);
        b.f.path.x[i].slot = NPI_SLOT_PATH + (int)i;
    }
    b.f.path.asked = 1;
    check_none("While nobody asks they are silent.", &b, NPI_NEVER);
    b.f.path.state = NPI_PATH_ASKING;
    check_due("They ask.", &b, &b.f.path.x[0], 0);
    EXPECT("The server of which it is asked.", npi_outbox_next_due(&b.f).server == s);
    s->x[NPI_RECHECK].queued = true;
    check_due("Everything else comes first.", &b, &s->x[NPI_RECHECK], 0);
    s->x[NPI_RECHECK].queued = false;
    npi_datagram d = emit(&b, s, &b.f.path.x[0]);
    EXPECT("It leaves from its own socket.", d.slot == NPI_SLOT_PATH);
    check_none("Another copy has its gap.", &b, AT(GAP));
    b.f.path.asked = 2;
    check_due("The next of them need not wait for it.", &b, &b.f.path.x[1], 0);
    b.f.path.state = NPI_PATH_POOL;
    check_none("Once the path is known they are silent.", &b, NPI_NEVER);
}

static void nothing_is_due_once_the_datagrams_are_used_up(void **state)
{
    (void)state;
    static build b;
    static const struct {
        const char *says;
        unsigned servers;
        uint32_t sent;
        bool is_due;
    } rows[] = {
        {"One is left.", 1, 199, true},
        {"None is left.", 1, 200, false},
        {"A second server brings no more.", 2, 200, false},
        {"A third brings thirty.", 3, 229, true},
        {"They are used up as well.", 3, 230, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        build_init(&b);
        for (unsigned n = 0; n < rows[i].servers; n++)
            build_asked_server(&b)->x[NPI_PRIMARY].queued = true;
        b.f.traffic.sent = rows[i].sent;
        EXPECT_EQUAL(rows[i].says, npi_outbox_next_due(&b.f).exchange != NULL, rows[i].is_due);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_due_once_the_datagrams_are_used_up),
        cmocka_unit_test(first_copy_is_due_when_it_is_wanted_and_the_rate_allows),
        cmocka_unit_test(next_plain_copy_is_due_after_its_gap),
        cmocka_unit_test(copies_in_rounds_are_due_when_their_round_says_so),
        cmocka_unit_test(recheck_goes_behind_what_it_is_compared_with),
        cmocka_unit_test(trial_that_is_over_sends_nothing),
        cmocka_unit_test(servers_send_in_their_order),
        cmocka_unit_test(later_rounds_start_anywhere_and_go_either_way),
        cmocka_unit_test(first_copy_starts_the_transaction),
        cmocka_unit_test(further_copies_are_the_same_request),
        cmocka_unit_test(without_room_a_p_again_is_a_copy_of_what_was_answered),
        cmocka_unit_test(a_datagram_counts_when_it_has_left),
        cmocka_unit_test(dialect_is_the_servers_or_the_requests),
        cmocka_unit_test(copy_that_did_not_leave_is_taken_back),
        cmocka_unit_test(refused_requests_are_tried_again_ever_slower),
        cmocka_unit_test(a_request_fails_when_it_was_refused_for_too_long),
        cmocka_unit_test(the_time_of_refusals_counts_from_the_first_in_a_row),
        cmocka_unit_test(an_error_that_is_not_the_networks_fails_the_third_time),
        cmocka_unit_test(refusals_are_counted_without_end),
        cmocka_unit_test(failed_request_fails_only_a_server_that_never_answered),
        cmocka_unit_test(what_has_no_socket_is_taken_back_without_an_error),
        cmocka_unit_test(fresh_sockets_ask_behind_everything_else_while_the_path_is_in_doubt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
