/* SPDX-License-Identifier: MIT */
/* outlook: the rule for each pair, both ways round, and that what is not known only widens the range. */
#include <natprobe/natprobe.h>

#include <stdbool.h>
#include <string.h>

#include "unit.h"

#define NOW 1795651200
#define UNKNOWN NP_OUTLOOK_UNKNOWN
#define DIRECT NP_OUTLOOK_DIRECT
#define PUNCH NP_OUTLOOK_PUNCH
#define LEARN NP_OUTLOOK_PUNCH_LEARN
#define PREDICT NP_OUTLOOK_NEEDS_PREDICTION
#define RELAY NP_OUTLOOK_RELAY
#define SAME NP_OUTLOOK_SAME_NAT

/* What two ends of a table row begin with; a row may say otherwise behind it. */
#define A "x=198.51.100.1:1000 fp=1 ips=1 trap=0 t=1795651200"
#define B "x=203.0.113.2:2000 fp=1 ips=1 trap=0 t=1795651200"

static np_profile read_profile(const char *entries)
{
    char line[NP_PROFILE_TEXT_SIZE] = "np1 ";
    const char *reason = NULL;
    np_profile p;
    strncat(line, entries, sizeof line - 5);
    if (np_profile_parse(line, &p, &reason) != NP_OK)
        fail_msg("'%s': %s", line, reason);
    return p;
}

static np_outlook_result judge(const np_profile *ours, const np_profile *theirs)
{
    np_outlook_result r;
    memset(&r, 0xA5, sizeof r);
    assert_int_equal(np_outlook(ours, theirs, NOW, &r), NP_OK);
    return r;
}

static int32_t exchanged(int32_t first)
{
    return first == NP_FIRST_OURS ? NP_FIRST_THEIRS : first == NP_FIRST_THEIRS ? NP_FIRST_OURS : first;
}

/* The judgement of a pair, which is the same seen from the other side. */
static np_outlook_result judge_both_ways(const np_profile *ours, const np_profile *theirs)
{
    np_outlook_result r = judge(ours, theirs), other = judge(theirs, ours);
    assert_int_equal(other.first, exchanged(r.first));
    other.first = r.first;
    assert_memory_equal(&r, &other, sizeof r);
    return r;
}

/* ---- The rule --------------------------------------------------------------------------------------------------- */

/* The nine kinds of a NAT of which all is known: mapping by row, filtering by column. */
static const char *const kinds[] = {"m=ei f=ei", "m=ei f=ad", "m=ei f=apd", "m=apd f=ei", "m=apd f=ad", "m=apd f=apd"};

/* Each with each, both with one external address. */
static const int32_t table[6][6] = {
    {DIRECT, DIRECT, DIRECT, DIRECT, DIRECT, DIRECT},  {DIRECT, PUNCH, PUNCH, DIRECT, LEARN, LEARN},
    {DIRECT, PUNCH, PUNCH, PREDICT, PREDICT, PREDICT}, {DIRECT, DIRECT, PREDICT, DIRECT, DIRECT, RELAY},
    {DIRECT, LEARN, PREDICT, DIRECT, RELAY, RELAY},    {DIRECT, LEARN, PREDICT, RELAY, RELAY, RELAY},
};

/* The same where dependent mappings come from several addresses. */
static const int32_t pooled[6][6] = {
    {DIRECT, DIRECT, DIRECT, DIRECT, DIRECT, DIRECT}, {DIRECT, PUNCH, PUNCH, RELAY, RELAY, RELAY},
    {DIRECT, PUNCH, PUNCH, RELAY, RELAY, RELAY},      {DIRECT, RELAY, RELAY, DIRECT, RELAY, RELAY},
    {DIRECT, RELAY, RELAY, RELAY, RELAY, RELAY},      {DIRECT, RELAY, RELAY, RELAY, RELAY, RELAY},
};

static np_profile kind(const char *words, const char *rest, unsigned ips)
{
    char line[NP_PROFILE_TEXT_SIZE] = "";
    strncat(line, words, 20);
    strncat(line, " ", 2);
    strncat(line, rest, 100);
    np_profile p = read_profile(line);
    p.external_ips = (uint16_t)ips;
    return p;
}

static void check_table(const int32_t expected[6][6], unsigned ips)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        for (size_t k = 0; k < COUNT(kinds); k++) {
            np_profile ours = kind(kinds[i], A, ips), theirs = kind(kinds[k], B, ips);
            np_outlook_result r = judge_both_ways(&ours, &theirs);
            if (r.outlook != expected[i][k])
                fail_msg("%s with %s: %s", kinds[i], kinds[k], np_outlook_class_name(r.outlook));
            assert_int_equal(r.best, r.outlook);
            assert_int_equal(r.worst, r.outlook);
            assert_int_not_equal(r.rule, NP_RULE_UNKNOWN);
        }
    }
}

static void each_pair_is_judged(void **state)
{
    (void)state;
    check_table(table, 1);
}

static void each_pair_with_several_addresses_is_judged(void **state)
{
    (void)state;
    check_table(pooled, 2);
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

typedef struct row {
    const char *shows;
    const char *ours, *theirs;
    int32_t outlook, best, worst, rule, first;
    uint32_t assumes;
} row;

#define LOW NP_ASSUMES_LOW_TTL
#define SOURCE NP_ASSUMES_ANSWER_TO_SOURCE
#define FRESH NP_ASSUMES_FRESH
#define X "x=198.51.100.1"
#define Y "x=203.0.113.2"
#define T " t=1795651200"

static const row rows[] = {
    {"no NAT is as a full cone", "m=none f=ei " A, "m=apd f=apd " B, DIRECT, DIRECT, DIRECT, NP_RULE_ONE_OPEN,
     NP_FIRST_THEIRS, SOURCE},
    {"a firewall needs no port to be learnt", "m=none f=apd " A, "m=ei f=apd " B, PUNCH, PUNCH, PUNCH,
     NP_RULE_PORTS_KNOWN, NP_FIRST_BOTH, 0},
    {"either of two open ones begins", "m=ei f=ei " A, "m=none f=ei " B, DIRECT, DIRECT, DIRECT, NP_RULE_OPEN,
     NP_FIRST_ANY, 0},
    {"the side behind a filter begins", "m=ei f=apd " A, "m=ei f=ei " B, DIRECT, DIRECT, DIRECT, NP_RULE_ONE_OPEN,
     NP_FIRST_OURS, 0},
    {"the port is learnt from one address", "m=ei f=ad " A, "m=apd f=apd " B, LEARN, LEARN, LEARN, NP_RULE_PORT_LEARNT,
     NP_FIRST_BOTH, SOURCE | NP_ASSUMES_ONE_IP},
    {"an open side whose port depends answers from another", "m=dep f=ei " A, "m=ei f=ad " B, DIRECT, DIRECT, DIRECT,
     NP_RULE_ONE_OPEN, NP_FIRST_THEIRS, SOURCE | NP_ASSUMES_ONE_IP},
    {"blocked is blocked, whatever else is said", "m=ei f=ei b=1 " A, "m=ei f=ei " B, RELAY, RELAY, RELAY,
     NP_RULE_UDP_BLOCKED, NP_FIRST_ANY, 0},
    {"two families", "m=ei f=ei x=2001:db8::1 trap=0" T, "m=ei f=ei " B, RELAY, RELAY, RELAY, NP_RULE_NO_COMMON_FAMILY,
     NP_FIRST_ANY, 0},
    {"one address", "m=ei f=ei x=203.0.113.2:9" T, "m=ei f=ei " B, SAME, DIRECT, RELAY, NP_RULE_SAME_NAT, NP_FIRST_ANY,
     0},
    {"one address, written in two ways", "m=ei f=ei x=2001:db8:0::1" T, "m=ei f=ei x=2001:db8::1" T, SAME, DIRECT,
     RELAY, NP_RULE_SAME_NAT, NP_FIRST_ANY, 0},
    {"one address of two that do not connect", "m=apd f=apd fp=1 x=203.0.113.2:9 ips=1" T, "m=apd f=apd " B, SAME,
     RELAY, RELAY, NP_RULE_SAME_NAT, NP_FIRST_ANY, 0},
    {"an address that is left out may be the same", "m=ei f=ei v=4" T, "m=ei f=ei " B, UNKNOWN, DIRECT, RELAY,
     NP_RULE_SAME_NAT, NP_FIRST_ANY, 0},
    {"a family that is not known may be another", "m=ei f=ei" T, "m=ei f=ei " B, UNKNOWN, DIRECT, RELAY,
     NP_RULE_UNKNOWN, NP_FIRST_ANY, 0},
    {"nothing makes up for blocked UDP", "m=ei f=ei" T, "b=1" T, RELAY, RELAY, RELAY, NP_RULE_UDP_BLOCKED, NP_FIRST_ANY,
     0},
    {"an unknown filter: either way they connect", "m=ei f=? trap=0 " X T, "m=ei f=ad trap=0 fp=1 " Y T, PUNCH, DIRECT,
     PUNCH, NP_RULE_PORTS_KNOWN, NP_FIRST_BOTH, 0},
    {"an unknown filter: it decides", "m=ei f=? trap=0 " X T, "m=apd f=apd trap=0 ips=1 fp=1 " Y T, UNKNOWN, DIRECT,
     PREDICT, NP_RULE_UNKNOWN, NP_FIRST_BOTH, SOURCE | NP_ASSUMES_ONE_IP},
    {"an unknown mapping", "m=? f=apd trap=0 ips=1 fp=1 " X T, "m=apd f=apd trap=0 ips=1 fp=1 " Y T, RELAY, PREDICT,
     RELAY, NP_RULE_BOTH_DEPENDENT, NP_FIRST_ANY, 0},
    {"addresses that were not counted", "m=ei f=ad trap=0 fp=1 " X T, "m=apd f=apd trap=0 fp=1 " Y T, UNKNOWN, LEARN,
     RELAY, NP_RULE_UNKNOWN, NP_FIRST_BOTH, SOURCE},
    {"a filter that is one of two", "m=ei f=dep trap=0 fp=1 " X T, "m=ei f=apd trap=0 fp=1 " Y T, PUNCH, PUNCH, PUNCH,
     NP_RULE_PORTS_KNOWN, NP_FIRST_BOTH, 0},
    {"both may lose their ports", "m=ei f=apd fp=1 " X T, "m=ei f=apd trap=1 fp=1 " Y T, PUNCH, PUNCH, PUNCH,
     NP_RULE_PORTS_KNOWN, NP_FIRST_BOTH, LOW},
    {"only ours may", "m=ei f=apd fp=1 " X T, "m=ei f=apd trap=0 fp=1 " Y T, PUNCH, PUNCH, PUNCH, NP_RULE_PORTS_KNOWN,
     NP_FIRST_OURS, 0},
    {"a port that depends cannot be lost", "m=ei f=ad trap=1 fp=1 " X T, "m=apd f=apd trap=1 ips=1 fp=1 " Y T, LEARN,
     LEARN, LEARN, NP_RULE_PORT_LEARNT, NP_FIRST_OURS, SOURCE | NP_ASSUMES_ONE_IP},
    {"a filter that is not proven, and matters", "m=ei f=ad trap=0 fp=0 " X T, "m=apd f=apd trap=0 ips=1 fp=1 " Y T,
     LEARN, LEARN, LEARN, NP_RULE_PORT_LEARNT, NP_FIRST_BOTH, SOURCE | NP_ASSUMES_ONE_IP | NP_ASSUMES_FILTERING},
    {"a filter that is not proven, and lets nobody in", "m=ei f=apd trap=0 fp=0 " X T,
     "m=apd f=apd trap=0 ips=1 fp=1 " Y T, PREDICT, PREDICT, PREDICT, NP_RULE_PORT_UNKNOWN, NP_FIRST_ANY,
     NP_ASSUMES_ONE_IP | NP_ASSUMES_FILTERING},
    {"a filter that is not proven, and a punch opens anyway", "m=ei f=apd trap=0 fp=0 " X T,
     "m=ei f=apd trap=0 fp=1 " Y T, PUNCH, PUNCH, PUNCH, NP_RULE_PORTS_KNOWN, NP_FIRST_BOTH, 0},
    {"a filter that is not proven, and does not", "m=ei f=ei fp=1 " X T, "m=apd f=apd fp=0 " Y T, DIRECT, DIRECT,
     DIRECT, NP_RULE_ONE_OPEN, NP_FIRST_THEIRS, SOURCE},
    {"a profile of 15 minutes", "m=ei f=ei fp=1 t=1795650300 " X, "m=ei f=ei fp=1 " Y T, DIRECT, DIRECT, DIRECT,
     NP_RULE_OPEN, NP_FIRST_ANY, 0},
    {"a second more", "m=ei f=ei fp=1 t=1795650299 " X, "m=ei f=ei fp=1 " Y T, DIRECT, DIRECT, DIRECT, NP_RULE_OPEN,
     NP_FIRST_ANY, FRESH},
    {"a clock that is wrong", "m=ei f=ei fp=1 t=1795652101 " X, "m=ei f=ei fp=1 " Y T, DIRECT, DIRECT, DIRECT,
     NP_RULE_OPEN, NP_FIRST_ANY, FRESH},
    {"no time at all", "m=ei f=ei fp=1 " X, "m=ei f=ei fp=1 " Y T, DIRECT, DIRECT, DIRECT, NP_RULE_OPEN, NP_FIRST_ANY,
     FRESH},
};

static void rows_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const row *w = &rows[i];
        np_profile ours = read_profile(w->ours), theirs = read_profile(w->theirs);
        np_outlook_result r = judge_both_ways(&ours, &theirs);
        if (r.outlook != w->outlook || r.best != w->best || r.worst != w->worst)
            fail_msg("%s: %s, %s to %s", w->shows, np_outlook_class_name(r.outlook), np_outlook_class_name(r.best),
                     np_outlook_class_name(r.worst));
        if (r.rule != w->rule || r.first != w->first || r.assumes != w->assumes)
            fail_msg("%s: rule %s, first %s, assumes %u", w->shows, np_outlook_rule_name(r.rule),
                     np_first_name(r.first), (unsigned)r.assumes);
        for (size_t k = 0; k < sizeof r.reserved; k++)
            assert_int_equal(r.reserved[k], 0);
    }
}

/* ---- What is not known ------------------------------------------------------------------------------------------ */

typedef struct choice { /* what a value that is not known, first, may turn out to be */
    int32_t values[7];
    size_t count;
} choice;

static const choice mappings = {{0, 2, 4, 5}, 4};
static const choice filterings = {{0, 2, 3, 4, 5}, 5};
static const choice ips = {{0, 1, 2}, 3};
static const choice addresses = {{0, 1, 2}, 3};

#define EVERY 180 /* of all choices */

static np_profile every(size_t number)
{
    static const char *const texts[] = {"", "198.51.100.1", "203.0.113.2"};
    np_profile p = {.family = NP_FAMILY_IPV4, .measured_at = NOW, .filtering_proven = 1};
    p.mapping = mappings.values[number % mappings.count];
    number /= mappings.count;
    p.filtering = filterings.values[number % filterings.count];
    number /= filterings.count;
    p.external_ips = (uint16_t)ips.values[number % ips.count];
    number /= ips.count;
    const char *text = texts[addresses.values[number % addresses.count]];
    memcpy(p.external_ip, text, strlen(text));
    return p;
}

/* What p may turn out to be when one more thing is known; false when there is nothing behind number. */
static bool learn(const np_profile *p, size_t number, np_profile *out)
{
    static const np_profile more[] = {{.mapping = 1},
                                      {.mapping = 2},
                                      {.mapping = 3},
                                      {.mapping = 4},
                                      {.mapping = 5},
                                      {.filtering = 2},
                                      {.filtering = 3},
                                      {.filtering = 4},
                                      {.filtering = 5},
                                      {.external_ips = 1},
                                      {.external_ips = 2},
                                      {.external_ip = "198.51.100.1"},
                                      {.external_ip = "203.0.113.2"},
                                      {.udp_blocked = 0}};
    const np_profile *m = &more[number];
    *out = *p;
    if (m->mapping != 0 && (p->mapping == 0 || (p->mapping == 5 && m->mapping >= 3)))
        out->mapping = m->mapping;
    if (m->filtering != 0 && (p->filtering == 0 || (p->filtering == 5 && m->filtering >= 3)))
        out->filtering = m->filtering;
    if (m->external_ips != 0 && p->external_ips == 0)
        out->external_ips = m->external_ips;
    if (m->external_ip[0] != '\0' && p->external_ip[0] == '\0')
        memcpy(out->external_ip, m->external_ip, sizeof out->external_ip);
    return number + 1 < COUNT(more);
}

static bool connects(int32_t outlook)
{
    return outlook == DIRECT || outlook == PUNCH || outlook == LEARN;
}

/* Nothing that becomes known makes the best better or the worst worse; all pairs, both ways round. */
static void what_becomes_known_narrows_the_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERY; i++) {
        for (size_t k = 0; k < EVERY; k++) {
            np_profile ours = every(i), theirs = every(k), known;
            np_outlook_result r = judge_both_ways(&ours, &theirs);
            assert_true(r.best >= DIRECT && r.best <= r.worst && r.worst <= RELAY);
            if (r.outlook != SAME)
                assert_int_equal(r.outlook, connects(r.best) == connects(r.worst) ? r.worst : UNKNOWN);
            size_t number = 0;
            for (bool is_more = true; is_more; number++) {
                is_more = learn(&ours, number, &known);
                if (memcmp(&known, &ours, sizeof known) == 0)
                    continue; /* it was known before */
                np_outlook_result then = judge(&known, &theirs);
                assert_true(then.best >= r.best && then.worst <= r.worst);
            }
        }
    }
}

/* Whatever a peer says, it does not make more of us than we are. */
static void nothing_that_a_peer_says_improves_our_side(void **state)
{
    (void)state;
    static const np_profile best = {.mapping = 1,
                                    .filtering = 2,
                                    .external_ips = 1,
                                    .family = 4,
                                    .filtering_proven = 1,
                                    .refused_takes_port = NP_TRISTATE_NO,
                                    .external_ip = "192.0.2.77"};
    for (size_t i = 0; i < EVERY; i++) {
        np_profile ours = every(i);
        np_outlook_result limit = judge(&ours, &best);
        for (size_t k = 0; k < EVERY; k++) {
            np_profile theirs = every(k);
            np_outlook_result r = judge(&ours, &theirs);
            assert_true(r.best >= limit.best && r.worst >= limit.worst);
        }
    }
    np_profile blocked = best;
    blocked.udp_blocked = 1;
    assert_int_equal(judge(&blocked, &best).best, RELAY);
}

/* ---- Arguments -------------------------------------------------------------------------------------------------- */

static void values_that_are_none_count_as_unknown(void **state)
{
    (void)state;
    np_profile nothing = {0},
               strange = {
                   .mapping = 99, .filtering = -7, .family = 5, .refused_takes_port = 9, .measured_at = INT64_MIN};
    memset(strange.external_ip, '9', sizeof strange.external_ip);
    np_outlook_result expected = judge(&nothing, &nothing), r = judge_both_ways(&strange, &nothing);
    assert_memory_equal(&r, &expected, sizeof r);
    assert_int_equal(np_outlook(&strange, &strange, INT64_MAX, &r), NP_OK);
    assert_int_equal(np_outlook(&strange, &strange, INT64_MIN, &r), NP_OK);
    assert_memory_equal(&r, &expected, sizeof r);
}

static void null_is_refused(void **state)
{
    (void)state;
    static const np_outlook_result nothing;
    const np_profile p = {0};
    np_outlook_result r;
    memset(&r, 0xA5, sizeof r);
    assert_int_equal(np_outlook(NULL, &p, 0, &r), NP_ERR_ARGUMENT);
    assert_memory_equal(&r, &nothing, sizeof r);
    memset(&r, 0xA5, sizeof r);
    assert_int_equal(np_outlook(&p, NULL, 0, &r), NP_ERR_ARGUMENT);
    assert_memory_equal(&r, &nothing, sizeof r);
    assert_int_equal(np_outlook(&p, &p, 0, NULL), NP_ERR_ARGUMENT);
}

static void the_size_is_told(void **state)
{
    (void)state;
    assert_int_equal(np_outlook_result_size(), 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pair_is_judged),
        cmocka_unit_test(each_pair_with_several_addresses_is_judged),
        cmocka_unit_test(rows_are_judged),
        cmocka_unit_test(what_becomes_known_narrows_the_range),
        cmocka_unit_test(nothing_that_a_peer_says_improves_our_side),
        cmocka_unit_test(values_that_are_none_count_as_unknown),
        cmocka_unit_test(null_is_refused),
        cmocka_unit_test(the_size_is_told),
    };
    return cmocka_run_group_tests_name("outlook", tests, NULL, NULL);
}
