/* SPDX-License-Identifier: MIT */
/* The hostile inputs that are not bytes alone, out of real sockets. */
#include <string.h>

#include "sockets.h"

/* Checks that run at the same time, each with something of its own for its server's thread. */
enum { CHECKS = 16, KEPT = 64 };

typedef struct script {
    message m;
    unsigned ii, iii; /* what CHANGE-REQUESTs are understood as: endpoints */
    unsigned copies;
    bool is_error, before; /* of a second answer */
    heard kept[KEPT];
    unsigned kept_count;
    size_t row;
    unsigned variant, serial;
} script;

static check checks[CHECKS];
static script scripts[CHECKS];

static check *prepare(size_t i, const pretended *where, hostile_act act)
{
    memset(&scripts[i], 0, sizeof scripts[i]);
    checks[i] = check_in(where, act, &scripts[i]);
    return &checks[i];
}

/* The same in every place, and the verdict is the truth. */
static void expect_truth_everywhere(hostile_act act)
{
    for (size_t i = 0; i < PRETENDED; i++)
        prepare(i, &places[i], act);
    run_checks(checks, PRETENDED);
    for (size_t i = 0; i < PRETENDED; i++)
        expect_truth(&checks[i]);
    end_checks(checks, PRETENDED);
}

static void answer(hostile_server *s, const heard *h, script *t)
{
    if (!hostile_would_answer(s, h))
        return;
    make_good(&t->m, &h->q);
    hostile_send(s, h, h->in.answerer, &t->m);
}

/* ---- What we send ----------------------------------------------------------------------------------------------- */

/* The servers look at every byte and every id of what they are sent. */
static void check_requests(bool with_other)
{
    unsigned plain = 0, changes = 0;
    for (size_t i = 0; i < PRETENDED; i++) {
        prepare(i, &places[i], NULL);
        if (with_other)
            check_add_server(&checks[i]);
    }
    run_checks(checks, PRETENDED);
    for (size_t i = 0; i < PRETENDED; i++) {
        const hostile_log *log = hostile_server_log(checks[i].server[0]);
        expect_truth(&checks[i]);
        assert_true(log->misfits == 0 && log->shared_ids == 0);
        changes += log->changes;
        plain += log->requests - log->changes;
    }
    assert_true(plain > 0 && changes > 0);
    end_checks(checks, PRETENDED);
}

static void h49_our_own_unused_bits_are_zero__CVE_2020_4067_pjsip_4842(void)
{
    check_requests(false);
}

static void h53_one_id_for_two_requests__libjuice_261_262_RFC_3489_9_3(void)
{
    check_requests(false);
    check_requests(true);
}

/* Each bit behind the cookie is now one, now zero; and no id is seen twice. */
static void check_ids(void)
{
    unsigned ones[96] = {0}, count = 0;
    for (size_t i = 0; i < CHECKS; i++) {
        const hostile_log *log = hostile_server_log(checks[i].server[0]);
        for (size_t k = 0; k < log->id_count; k++, count++) {
            for (unsigned bit = 0; bit < 96; bit++)
                ones[bit] += (unsigned)(log->ids[k][4 + bit / 8] >> (7 - bit % 8)) & 1u;
        }
    }
    assert_true(count >= 64);
    for (unsigned bit = 0; bit < 96; bit++)
        assert_true(ones[bit] > count / 8 && ones[bit] < count - count / 8);
}

static void check_no_id_twice(size_t one, size_t other)
{
    const hostile_log *a = hostile_server_log(checks[one].server[0]), *b = hostile_server_log(checks[other].server[0]);
    for (size_t i = 0; i < a->id_count; i++) {
        for (size_t k = 0; k < b->id_count; k++)
            assert_memory_not_equal(a->ids[i], b->ids[k], ID_SIZE);
    }
}

/* Neighbours of the right id, none, and the ids of other requests than this socket's. */
static bool guess(hostile_server *s, const heard *h, void *user)
{
    script *t = user;
    for (unsigned i = 0; i < GUESSES; i++) {
        make_guess(&t->m, &h->q, i);
        hostile_send(s, h, h->in.asked, &t->m);
    }
    for (unsigned i = 0; i < t->kept_count; i++) {
        if (t->kept[i].in.client == h->in.client)
            continue;
        make_lie(&t->m, &t->kept[i].q);
        hostile_send(s, h, h->in.asked, &t->m);
    }
    if (t->kept_count < KEPT)
        t->kept[t->kept_count++] = *h;
    return true;
}

static void h52_guessed_transaction_id__pjsip_082948b0a_RFC_5389_6(void)
{
    for (size_t i = 0; i < CHECKS; i++)
        prepare(i, &places[i % PRETENDED], NULL);
    run_checks(checks, CHECKS);
    check_ids();
    for (size_t i = 0; i < CHECKS; i++) {
        for (size_t k = 0; k < i; k++)
            check_no_id_twice(i, k);
    }
    end_checks(checks, CHECKS);
    expect_truth_everywhere(guess);
}

/* ---- Sources ---------------------------------------------------------------------------------------------------- */

static bool answer_from_elsewhere(hostile_server *s, const heard *h, void *user)
{
    script *t = user;
    for (unsigned from = 0; from < LOOPBACK_SOCKETS && h->q.change == 0; from++) {
        if (from == h->in.asked)
            continue;
        make_lie(&t->m, &h->q);
        hostile_send(s, h, from, &t->m);
    }
    return true;
}

static void h54_right_id_from_elsewhere__RFC_5389_7_3_1_2(void)
{
    expect_truth_everywhere(answer_from_elsewhere);
}

static bool misunderstand(hostile_server *s, const heard *h, void *user)
{
    script *t = user;
    if (h->q.change == 0)
        return true;
    make_good(&t->m, &h->q);
    hostile_send(s, h, h->q.change == (CHANGE_IP | CHANGE_PORT) ? t->ii : t->iii, &t->m);
    return false;
}

/* In every place, alone and with an honest server. What arrives is not filtered here. */
static void check_misunderstood(unsigned ii, unsigned iii, uint32_t evidence)
{
    for (size_t i = 0; i < 2 * PRETENDED; i++) {
        check *c = prepare(i, &places[i % PRETENDED], misunderstand);
        scripts[i].ii = ii;
        scripts[i].iii = iii;
        if (i >= PRETENDED)
            check_add_server(c);
    }
    run_checks(checks, 2 * PRETENDED);
    for (size_t i = 0; i < 2 * PRETENDED; i++) {
        expect_nothing_wrong(&checks[i]);
        assert_true((checks[i].result.evidence & evidence) != 0);
        if (i >= PRETENDED)
            expect_truth(&checks[i]);
        else
            assert_int_equal(checks[i].result.filtering, NP_BEHAVIOUR_UNKNOWN);
    }
    end_checks(checks, 2 * PRETENDED);
}

static void h55_test_II_answered_from_the_primary__NatTypeTester_Test2ResponseFromSameAddress(void)
{
    check_misunderstood(AT_AP, AT_AP, NP_EVIDENCE_CHANGE_IGNORED);
}

static void h56_change_request_honoured_in_part__NatTypeTester_SameIPOnly_SamePort_Test3WrongRemote(void)
{
    check_misunderstood(AT_AQ, AT_BP, NP_EVIDENCE_CHANGE_PARTIAL);
    check_misunderstood(AT_BP, AT_STRANGER, NP_EVIDENCE_CHANGE_PARTIAL);
    check_misunderstood(AT_STRANGER, AT_BQ, NP_EVIDENCE_CHANGE_PARTIAL);
}

/* ---- Time and number -------------------------------------------------------------------------------------------- */

/* With every answer all that this socket's plain requests were answered before, once more. */
static bool repeat_all(hostile_server *s, const heard *h, void *user)
{
    script *t = user;
    answer(s, h, t);
    for (unsigned i = 0; i < t->kept_count; i++) {
        if (t->kept[i].in.client == h->in.client)
            answer(s, &t->kept[i], t);
    }
    if (h->q.change == 0 && t->kept_count < 8)
        t->kept[t->kept_count++] = *h;
    return false;
}

static void h57_late_duplicate_of_test_I__pion_stun_nat_behaviour(void)
{
    expect_truth_everywhere(repeat_all);
}

static bool answer_often(hostile_server *s, const heard *h, void *user)
{
    for (unsigned i = 0; i < 5; i++)
        answer(s, h, user);
    return false;
}

static void h60_more_than_twice_as_many_responses__RFC_3489_9_4(void)
{
    expect_truth_everywhere(answer_often);
}

/* What must be dropped, in turn and from everywhere. */
static void throw_one(hostile_server *s, const heard *h, script *t)
{
    const unsigned needed = SOCKETS | (h->q.classic ? CLASSIC : NEW);
    while (inputs[t->row].outcome != DROP || (inputs[t->row].use & needed) != needed ||
           t->variant >= inputs[t->row].variants) {
        t->row = (t->row + 1) % input_count;
        t->variant = 0;
    }
    inputs[t->row].make(&t->m, &h->q, t->variant++);
    if (t->m.size > 4096)
        t->m.size = 4096;
    const unsigned client = t->serial % hostile_client_count(s);
    const unsigned from = t->serial % 3 == 0 ? (unsigned)AT_STRANGER : h->in.asked;
    t->serial++;
    hostile_send_to(s, client, from, &t->m);
}

static bool throw_junk(hostile_server *s, const heard *h, void *user)
{
    for (unsigned i = 0; i < 24; i++)
        throw_one(s, h, user);
    return true;
}

static bool throw_junk_alone(hostile_server *s, const heard *h, void *user)
{
    (void)throw_junk(s, h, user);
    return false;
}

/* Also to a socket of the caller's, who gets what is not for the library. */
static void h58_junk_while_waiting__NatTypeTester_pion(void)
{
    for (size_t i = 0; i < PRETENDED; i++)
        prepare(i, &places[i], throw_junk);
    check *own = prepare(PRETENDED, &places[2], throw_junk);
    own->own_socket = true;
    check *deaf = prepare(PRETENDED + 1, &places[0], throw_junk_alone);
    deaf->response_timeout_ms = 200;
    run_checks(checks, PRETENDED + 2);
    for (size_t i = 0; i <= PRETENDED; i++)
        expect_truth(&checks[i]);
    assert_true(own->handed_over > 0);
    assert_int_equal(deaf->result.error, deaf->result.packets_received > 0 ? NP_ERR_BAD_RESPONSE : NP_ERR_NO_RESPONSE);
    end_checks(checks, PRETENDED + 2);
}

/* An answer but for one bit of its id, or of its FINGERPRINT. */
static bool flood(hostile_server *s, const heard *h, void *user)
{
    script *t = user;
    question q = h->q;
    const unsigned bit = t->serial++ % 96;
    if (t->serial % 2 == 0)
        q.request[8 + bit / 8] ^= (uint8_t)(1 << bit % 8);
    make_lie(&t->m, &q);
    if (t->serial % 2 != 0) {
        message_add_fingerprint(&t->m);
        t->m.bytes[t->m.size - 1] ^= 1;
    }
    hostile_send_to(s, t->serial / 2 % hostile_client_count(s), h->in.asked, &t->m);
    return true;
}

static bool stay_silent(hostile_server *s, const heard *h, void *user)
{
    (void)s;
    (void)h;
    (void)user;
    return false;
}

enum { FLOOD_MS = 300, FLOOD_DEADLINE_MS = 3000, FLOODS_PER_MS = 100 };

/*
 * What is lost because the socket is full is lost: the check may be out of time then, but its time is kept. That the
 * verdict stays the same where nothing is lost is for the experiment alone to show.
 */
static void h61_flood_of_near_valid_replies__100000_a_second(void)
{
    for (size_t i = 0; i < PRETENDED; i++) {
        check *c = prepare(i, &places[i], i == 3 ? stay_silent : NULL);
        c->config[0].floods_per_ms = FLOODS_PER_MS;
        c->config[0].flood = flood;
        c->timeout_ms = FLOOD_DEADLINE_MS;
        c->response_timeout_ms = FLOOD_MS;
    }
    run_checks(checks, PRETENDED);
    for (size_t i = 0; i < PRETENDED; i++) {
        expect_nothing_wrong(&checks[i]);
        assert_true(checks[i].server[0] != NULL);
    }
    const check *silent = &checks[3];
    assert_true(hostile_server_log(silent->server[0])->floods > FLOOD_MS);
    assert_int_equal(silent->result.error, NP_ERR_BAD_RESPONSE);
    assert_true(silent->result.elapsed_us >= 1000 * FLOOD_MS);
    end_checks(checks, PRETENDED);
}

static bool add_second(hostile_server *s, const heard *h, void *user)
{
    script *t = user;
    question q = h->q;
    if (h->q.change != 0)
        return true;
    if (!t->before)
        answer(s, h, t);
    q.mapped = lying_mapped(&q);
    make_good(&t->m, &q);
    if (t->is_error) {
        message_begin(&t->m, BINDING_ERROR, q.request + 4);
        message_add_error(&t->m, 400, "Bad Request", 11);
    }
    hostile_send(s, h, h->in.asked, &t->m);
    return t->before;
}

/* Whichever comes first: what is said of the external address is true, or nothing. */
static void check_second(bool is_error)
{
    for (size_t i = 0; i < 2 * PRETENDED; i++) {
        check *c = prepare(i, &places[i % PRETENDED], add_second);
        scripts[i].is_error = is_error;
        scripts[i].before = i < PRETENDED;
        if (is_error)
            check_add_server(c);
    }
    run_checks(checks, 2 * PRETENDED);
    for (size_t i = 0; i < 2 * PRETENDED; i++) {
        expect_nothing_wrong(&checks[i]);
        if (is_error)
            expect_truth(&checks[i]);
        if (is_error)
            assert_true((checks[i].result.evidence & NP_EVIDENCE_RESTARTED) == 0);
    }
    end_checks(checks, 2 * PRETENDED);
}

static void h59_one_id_two_mapped_addresses__RFC_3489_9_4(void)
{
    check_second(false);
}

static void h62_error_reply_beats_the_real_one__RFC_5389_16_1_1_RFC_3489_9_4(void)
{
    check_second(true);
}

/* ---- The second address ----------------------------------------------------------------------------------------- */

enum { MOST_TO_VICTIM_PORT = 8 };

/* It cannot be told from an honest one, but does not answer. It is sent little. */
static void check_dead(bool with_other)
{
    for (size_t i = 0; i < PRETENDED; i++) {
        check *c = prepare(i, &places[i], NULL);
        c->config[0].alternate_is_dead = true;
        if (with_other)
            check_add_server(c);
    }
    run_checks(checks, PRETENDED);
    for (size_t i = 0; i < PRETENDED; i++) {
        const hostile_log *log = hostile_server_log(checks[i].server[0]);
        expect_nothing_wrong(&checks[i]);
        assert_true(log->at[AT_BP] <= MOST_TO_VICTIM_PORT && log->at[AT_BQ] <= MOST_TO_VICTIM_PORT);
        assert_true(log->at[AT_AQ] <= MOST_TO_VICTIM_PORT);
        assert_true((checks[i].result.evidence & NP_EVIDENCE_ALTERNATE_ALIVE) == 0 || with_other);
        if (with_other)
            expect_truth(&checks[i]);
    }
    if (!with_other) /* nothing but the first address tells of the mapping */
        assert_int_equal(checks[2].result.error, NP_ERR_INCONCLUSIVE);
    end_checks(checks, PRETENDED);
}

static void h67_other_address_is_a_victim__nICEr_UnsafePortRejectedUDP(void)
{
    check_dead(false);
}

static void h71_other_address_is_dead__pjsip_nat_detect_Test_1B(void)
{
    check_dead(false);
    check_dead(true);
}

/* The first answer is honest; all others name somebody who has not asked for anything. */
static bool change_other(hostile_server *s, const heard *h, void *user)
{
    script *t = user;
    question q = h->q;
    if (h->serial > 0)
        q.other = victim(&q);
    if (!hostile_would_answer(s, h))
        return false;
    make_good(&t->m, &q);
    hostile_send(s, h, h->in.answerer, &t->m);
    return false;
}

static void h70_other_address_changes__RFC_5780_7_4(void)
{
    expect_truth_everywhere(change_other);
}

/* No translation is no reason to believe that nothing is filtered. */
static void h74_mapped_equals_local__stunserver_61_RFC_5780_4_4(void)
{
    for (size_t i = 0; i < 2; i++)
        prepare(i, &places[i], NULL);
    run_checks(checks, 2);
    for (size_t i = 0; i < 2; i++) {
        const np_result *r = &checks[i].result;
        expect_truth(&checks[i]);
        assert_string_equal(r->external_ip, r->local_ip);
        assert_int_equal(r->external_port, r->local_port);
        assert_true(hostile_server_log(checks[i].server[0])->changes > 0);
    }
    end_checks(checks, 2);
}

const hostile_case socket_cases[] = {
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
};
const size_t socket_case_count = COUNT(socket_cases);
