/* SPDX-License-Identifier: MIT */
/* appraisal: what a set of answers says of a server, row by row; how much it is asked; and whether a check proves this
 * host open. */
#include "unit.h"

#include <string.h>

#include <natprobe/natprobe.h>

#include "appraisal.h"

#define RTT_US 20000
#define ENOUGH 100 /* more datagrams than any server is sent */

/* Where an answer comes from. */
typedef enum from { NOWHERE, A_P, A_Q, B_P, B_Q, C_P, AN_ERROR, USELESS, TWO_WAYS, BY_TURNS } from;

typedef enum other { TRUE_B, NO_OTHER, PRIVATE, OWN_IP, MOVES } other;

/* How a server behaves; zeros: not at all. */
typedef struct conduct {
    from plain, ii, iii, alternate; /* alternate: B_Q stands for "as it should" */
    other named;
    unsigned plain_every; /* of so many plain requests it answers one; 0: each */
    unsigned ii_every;
    bool is_classic, repeats, lies, changes;
    uint64_t late_us;
} conduct;

typedef struct row {
    const char *says;
    conduct conduct;
    int32_t error;
    bool capable;
    int32_t both, port, alive, right, stable;
    const char *detail; /* part of it */
} row;

#define OK NP_OK
#define BAD NP_ERR_BAD_RESPONSE
#define H NP_CONDUCT_HONOURED
#define P NP_CONDUCT_PARTIAL
#define I NP_CONDUCT_IGNORED
#define R NP_CONDUCT_REJECTED
#define S NP_CONDUCT_SILENT
#define U NP_CONDUCT_UNKNOWN
#define YES NP_TRISTATE_YES
#define NO NP_TRISTATE_NO
#define MAYBE NP_TRISTATE_UNKNOWN

/* clang-format off */
static const row rows[] = {
    {"a good server", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q},
     OK, true, H, H, YES, YES, YES, ""},
    {"one that repeats each answer", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .repeats = true},
     OK, true, H, H, YES, YES, YES, ""},
    {"silence", {.plain = NOWHERE},
     NP_ERR_NO_RESPONSE, false, U, U, MAYBE, MAYBE, MAYBE, "no answer to 6 requests"},
    {"a plain server", {.plain = A_P, .ii = A_P, .iii = A_P, .alternate = NOWHERE, .named = NO_OTHER},
     OK, false, I, I, NO, YES, YES, "no second address"},
    {"one that ignores", {.plain = A_P, .ii = A_P, .iii = A_P, .alternate = B_Q},
     OK, false, I, I, YES, YES, YES, "ignores what test II"},
    {"one that ignores III alone", {.plain = A_P, .ii = B_Q, .iii = A_P, .alternate = B_Q},
     OK, false, H, I, YES, YES, YES, "ignores what test III"},
    {"one that rejects", {.plain = A_P, .ii = AN_ERROR, .iii = AN_ERROR, .alternate = B_Q},
     OK, false, R, R, YES, YES, YES, "test II with an error"},
    {"one that rejects II alone", {.plain = A_P, .ii = AN_ERROR, .iii = A_Q, .alternate = B_Q},
     OK, false, R, H, YES, YES, YES, "test II with an error"},
    {"one that drops", {.plain = A_P, .ii = NOWHERE, .iii = NOWHERE, .alternate = B_Q},
     OK, false, S, S, YES, YES, YES, "not answer test II"},
    {"one that drops III alone", {.plain = A_P, .ii = B_Q, .iii = NOWHERE, .alternate = B_Q},
     OK, false, H, S, YES, YES, YES, "not answer test III"},
    {"one that changes the port only", {.plain = A_P, .ii = A_Q, .iii = A_Q, .alternate = B_Q},
     OK, false, P, H, YES, YES, YES, "test II from another"},
    {"one that changes the IP only", {.plain = A_P, .ii = B_P, .iii = A_P, .alternate = B_Q},
     OK, false, P, I, YES, YES, YES, "test II from another"},
    {"one that always changes both", {.plain = A_P, .ii = B_Q, .iii = B_Q, .alternate = B_Q},
     OK, false, H, P, YES, YES, YES, "test III from another"},
    {"answers to II from a third host", {.plain = A_P, .ii = C_P, .iii = A_Q, .alternate = B_Q},
     OK, false, P, H, YES, YES, YES, "test II from another"},
    {"two answers to one II", {.plain = A_P, .ii = TWO_WAYS, .iii = A_Q, .alternate = B_Q},
     OK, false, P, H, YES, YES, YES, "test II from another"},
    {"II honoured and ignored by turns", {.plain = A_P, .ii = BY_TURNS, .iii = A_Q, .alternate = B_Q},
     OK, false, P, H, YES, YES, YES, "not always"},
    {"II answered once in five", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .ii_every = 5},
     OK, false, H, H, YES, YES, YES, "1 of 5"},
    {"the same, and each answer repeated",
     {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .ii_every = 5, .repeats = true},
     OK, false, H, H, YES, YES, YES, "1 of 5"},
    {"II answered every other time", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .ii_every = 2},
     OK, true, H, H, YES, YES, YES, ""},
    {"a second address that is dead", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = NOWHERE},
     OK, false, H, H, NO, YES, YES, "does not answer on both"},
    {"one that answers from elsewhere", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = A_P},
     OK, false, H, H, NO, YES, YES, "does not answer on both"},
    {"one that names a private address", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .named = PRIVATE},
     OK, false, H, H, MAYBE, YES, YES, "nothing may be sent"},
    {"one that names itself", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .named = OWN_IP},
     OK, false, H, H, MAYBE, YES, YES, "nothing may be sent"},
    {"one that names none, and is honest", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .named = NO_OTHER},
     OK, false, H, H, NO, YES, YES, "no second address"},
    {"one that names none, and swaps the tests",
     {.plain = A_P, .ii = A_Q, .iii = B_Q, .alternate = B_Q, .named = NO_OTHER},
     OK, false, P, P, NO, YES, YES, "no second address"},
    {"one that names another each time", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .named = MOVES},
     OK, false, H, H, YES, YES, YES, "another second address"},
    {"one that reports a wrong address", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .lies = true},
     OK, false, H, H, YES, NO, YES, "did not send from"},
    {"one that reports another each time", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .changes = true},
     OK, false, H, H, YES, NO, NO, "changes"},
    {"one that is late", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .late_us = 250001},
     OK, false, H, H, YES, YES, YES, "250 ms later"},
    {"one that is just in time", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .late_us = 250000},
     OK, true, H, H, YES, YES, YES, ""},
    {"one that knows RFC 3489 alone", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .is_classic = true},
     OK, false, H, H, YES, YES, YES, "RFC 3489"},
    {"one that answers a third", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .plain_every = 3},
     OK, false, H, H, YES, YES, YES, "2 of 8 plain"},
    {"one that answers a half", {.plain = A_P, .ii = B_Q, .iii = A_Q, .alternate = B_Q, .plain_every = 2},
     OK, true, H, H, YES, YES, YES, ""},
    {"answers from a port that was not asked", {.plain = A_Q},
     BAD, false, U, U, MAYBE, MAYBE, MAYBE, "which was not asked"},
    {"an error to plain requests", {.plain = AN_ERROR},
     BAD, false, U, U, MAYBE, MAYBE, MAYBE, "error 420"},
    {"answers that say nothing", {.plain = USELESS},
     BAD, false, U, U, MAYBE, MAYBE, MAYBE, "no answer that can be used"},
};
/* clang-format on */

static const uint8_t ips[4][4] = {{192, 0, 2, 1}, {192, 0, 2, 2}, {192, 0, 2, 3}, {10, 0, 0, 1}};

static npi_addr at(unsigned ip, uint16_t port)
{
    return npi_addr_v4(ips[ip][0], ips[ip][1], ips[ip][2], ips[ip][3], port);
}

static npi_addr source_of(from where)
{
    switch (where) {
    case A_Q:
        return at(0, 3479);
    case B_P:
        return at(1, 3478);
    case B_Q:
        return at(1, 3479);
    case C_P:
        return at(2, 3478);
    default:
        return at(0, 3478);
    }
}

static npi_addr named_by(const conduct *c, unsigned number)
{
    npi_addr none = {.family = NPI_FAMILY_NONE};
    switch (c->named) {
    case NO_OTHER:
        return none;
    case PRIVATE:
        return at(3, 3479);
    case OWN_IP:
        return at(0, 3479);
    case MOVES:
        return number % 2 == 0 ? at(1, 3479) : at(2, 3479);
    default:
        return at(1, 3479);
    }
}

static from answer_of(const conduct *c, npi_ask ask)
{
    switch (ask) {
    case NPI_ASK_PLAIN:
        return c->plain;
    case NPI_ASK_II:
        return c->ii;
    case NPI_ASK_III:
        return c->iii;
    default:
        return c->alternate;
    }
}

static void give(npi_appraisal *a, const conduct *c, npi_ask ask, from where, unsigned number, bool is_again,
                 bool is_classic)
{
    bool is_change = ask == NPI_ASK_II || ask == NPI_ASK_III;
    bool is_alternate = !is_change && ask != NPI_ASK_PLAIN;
    npi_stun_response response = {
        .kind = where == AN_ERROR  ? NPI_STUN_ERROR
                : where == USELESS ? NPI_STUN_UNUSABLE
                                   : NPI_STUN_SUCCESS,
        .error_code = where == AN_ERROR ? 420 : 0,
        .mapped = npi_addr_v4(198, 51, 100, c->lies ? 9 : 1, (uint16_t)(4000 + (c->changes ? number : 0))),
        .other = named_by(c, number),
    };
    npi_reply reply = {
        .ask = ask,
        .from = is_alternate && where == B_Q ? npi_appraisal_target(a, ask) : source_of(where),
        .local = npi_addr_v4(198, 51, 100, 1, 4000),
        .rtt_us = RTT_US + (is_change ? c->late_us : 0),
        .is_classic = is_classic,
        .is_again = is_again,
    };
    assert_true(npi_appraisal_received(a));
    npi_appraisal_take(a, &reply, &response);
}

/* One request, and what comes of it. */
static void ask_once(npi_appraisal *a, const conduct *c, npi_ask ask, unsigned number)
{
    from where = answer_of(c, ask);
    bool is_classic = npi_appraisal_dialect(a) == NPI_STUN_RFC3489;
    bool is_understood = !c->is_classic || is_classic;
    unsigned every = ask == NPI_ASK_PLAIN ? c->plain_every : ask == NPI_ASK_II ? c->ii_every : 0;
    npi_appraisal_sent(a, ask);
    if (where == NOWHERE || !is_understood || (every > 0 && a->sent[ask] % every != 0))
        return;
    if (where == BY_TURNS)
        where = a->sent[ask] % 2 == 0 ? A_P : B_Q;
    give(a, c, ask, where == TWO_WAYS ? B_Q : where, number, false, is_classic);
    if (where == TWO_WAYS)
        give(a, c, ask, A_P, number, true, is_classic);
    for (unsigned i = 0; c->repeats && i < 20; i++)
        give(a, c, ask, where, number, true, is_classic);
}

/* The whole survey of one server. Returns how many datagrams it was sent. */
static unsigned play(npi_appraisal *a, const conduct *c)
{
    npi_addr server = at(0, 3478);
    npi_ask ask;
    unsigned number = 0;
    npi_appraisal_init(a, &server);
    while ((ask = npi_appraisal_next(a)) != NPI_ASK_NOTHING && number < ENOUGH)
        ask_once(a, c, ask, number++);
    return number;
}

static void answers_say_what_a_server_can_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const row *r = &rows[i];
        npi_appraisal a;
        np_survey_report report;
        memset(&report, 0, sizeof report);
        unsigned sent = play(&a, &r->conduct);
        npi_appraisal_judge(&a, &report);
        if (report.error != r->error || report.is_capable != r->capable || report.change_both != r->both ||
            report.change_port != r->port || report.alternate_alive != r->alive || report.external_right != r->right ||
            report.external_stable != r->stable || strstr(report.detail, r->detail) == NULL ||
            (report.detail[0] == '\0') != r->capable)
            fail_msg("%s: %s, capable %d, %s, %s, %d %d %d, '%s'", r->says, np_error_name(report.error),
                     report.is_capable, np_conduct_name(report.change_both), np_conduct_name(report.change_port),
                     report.alternate_alive, report.external_right, report.external_stable, report.detail);
        if (sent < 6 || sent > 30 || report.packets_sent != sent)
            fail_msg("%s: it was sent %u datagrams", r->says, sent);
    }
}

static void a_good_server_is_asked_twelve_times(void **state)
{
    (void)state;
    npi_appraisal a;
    assert_int_equal(play(&a, &rows[0].conduct), 12);
    assert_int_equal(a.sent[NPI_ASK_PLAIN], NPI_APPRAISAL_PLAIN);
    assert_int_equal(a.sent[NPI_ASK_II], NPI_APPRAISAL_CHANGE);
    assert_int_equal(a.sent[NPI_ASK_III], NPI_APPRAISAL_CHANGE);
}

/* Requests of one kind are spread: a burst of losses, or a limit of rate, hits all kinds. */
static void kinds_of_requests_take_turns(void **state)
{
    (void)state;
    static const conduct drops = {.plain = A_P, .alternate = B_Q};
    npi_addr server = at(0, 3478);
    npi_appraisal a;
    npi_ask before = NPI_ASK_NOTHING;
    npi_appraisal_init(&a, &server);
    for (unsigned i = 0; i < 12; i++) {
        npi_ask ask = npi_appraisal_next(&a);
        assert_true(ask != before);
        ask_once(&a, &drops, ask, i);
        before = ask;
    }
}

static void a_flood_ends_it(void **state)
{
    (void)state;
    npi_addr server = at(0, 3478);
    npi_appraisal a;
    np_survey_report report;
    memset(&report, 0, sizeof report);
    npi_appraisal_init(&a, &server);
    ask_once(&a, &rows[0].conduct, NPI_ASK_PLAIN, 0);
    for (int i = 0; i < NPI_APPRAISAL_FLOOD - 2; i++)
        assert_true(npi_appraisal_received(&a));
    assert_int_not_equal(npi_appraisal_next(&a), NPI_ASK_NOTHING);
    assert_false(npi_appraisal_received(&a));
    assert_int_equal(npi_appraisal_next(&a), NPI_ASK_NOTHING);
    npi_appraisal_judge(&a, &report);
    assert_int_equal(report.error, NP_ERR_BAD_RESPONSE);
    assert_int_equal(report.is_capable, 0);
    assert_non_null(strstr(report.detail, "1999 datagrams"));
}

/* ---- This host -------------------------------------------------------------------------------------------------- */

#define PROVEN (NP_EVIDENCE_FILTERING_PROVEN | NP_EVIDENCE_MAPPING_PROVEN)

typedef struct check {
    const char *says;
    int32_t error, type, mapping;
    uint32_t evidence;
    npi_openness openness;
} check;

static const check checks[] = {
    {"a proven open host", OK, NP_NAT_OPEN_INTERNET, NP_BEHAVIOUR_NONE, PROVEN, NPI_IS_OPEN},
    {"filtering not proven", OK, NP_NAT_OPEN_INTERNET, NP_BEHAVIOUR_NONE, NP_EVIDENCE_MAPPING_PROVEN, NPI_NOT_DECIDED},
    {"mapping not proven", OK, NP_NAT_OPEN_INTERNET, NP_BEHAVIOUR_NONE, NP_EVIDENCE_FILTERING_PROVEN, NPI_NOT_DECIDED},
    {"contradicted", OK, NP_NAT_OPEN_INTERNET, NP_BEHAVIOUR_NONE, PROVEN | NP_EVIDENCE_CONTRADICTION, NPI_NOT_DECIDED},
    {"answered by a box", OK, NP_NAT_OPEN_INTERNET, NP_BEHAVIOUR_NONE, PROVEN | NP_EVIDENCE_PROXIED, NPI_NOT_DECIDED},
    {"no NAT, filter unknown", OK, NP_NAT_NO_NAT, NP_BEHAVIOUR_NONE, NP_EVIDENCE_MAPPING_PROVEN, NPI_NOT_DECIDED},
    {"a firewall", OK, NP_NAT_SYMMETRIC_UDP_FIREWALL, NP_BEHAVIOUR_NONE, PROVEN, NPI_IS_NOT_OPEN},
    {"a full cone", OK, NP_NAT_FULL_CONE, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT, PROVEN, NPI_IS_NOT_OPEN},
    {"a NAT, filter unknown", OK, NP_NAT_CONE, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT, 0, NPI_IS_NOT_OPEN},
    {"a symmetric NAT", OK, NP_NAT_SYMMETRIC, NP_BEHAVIOUR_ENDPOINT_DEPENDENT, 0, NPI_IS_NOT_OPEN},
    {"no answer", NP_ERR_NO_RESPONSE, NP_NAT_UDP_BLOCKED, NP_BEHAVIOUR_UNKNOWN, 0, NPI_NOT_DECIDED},
    {"not conclusive", NP_ERR_INCONCLUSIVE, NP_NAT_UNKNOWN, NP_BEHAVIOUR_UNKNOWN, 0, NPI_NOT_DECIDED},
};

static void only_a_proof_makes_a_host_open(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(checks); i++) {
        np_result result = {.error = checks[i].error,
                            .nat_type = checks[i].type,
                            .mapping = checks[i].mapping,
                            .evidence = checks[i].evidence};
        if (npi_openness_of(&result) != checks[i].openness)
            fail_msg("%s: %d", checks[i].says, npi_openness_of(&result));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_say_what_a_server_can_do), cmocka_unit_test(a_good_server_is_asked_twelve_times),
        cmocka_unit_test(kinds_of_requests_take_turns),     cmocka_unit_test(a_flood_ends_it),
        cmocka_unit_test(only_a_proof_makes_a_host_open),
    };
    return cmocka_run_group_tests_name("appraisal", tests, NULL, NULL);
}
