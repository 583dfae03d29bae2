/* SPDX-License-Identifier: MIT */
/* What holds after a check, in the light of the checks before it. */
#include "unit.h"

#include <string.h>

#include <natprobe/natprobe.h>

#include "standing.h"

#define EI NP_BEHAVIOUR_ENDPOINT_INDEPENDENT
#define APD NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT
#define ALL_CHANGED (NP_CHANGED_TYPE | NP_CHANGED_MAPPING | NP_CHANGED_FILTERING | NP_CHANGED_ADDRESS)
#define MINUTE (UINT64_C(60000) * NPI_MS)

static np_result verdict(int32_t mapping, int32_t filtering, const char *external, const char *local)
{
    np_result r;
    memset(&r, 0, sizeof r);
    r.mapping = mapping;
    r.filtering = filtering;
    r.nat_type = mapping == EI ? (filtering == APD ? NP_NAT_PORT_RESTRICTED_CONE : NP_NAT_CONE) : NP_NAT_SYMMETRIC;
    r.evidence = NP_EVIDENCE_ANSWERED | (filtering != 0 ? (uint32_t)NP_EVIDENCE_FILTERING_PROVEN : 0);
    memcpy(r.external_ip, external, strlen(external));
    memcpy(r.local_ip, local, strlen(local));
    return r;
}

static np_result failure(int32_t error)
{
    np_result r;
    memset(&r, 0, sizeof r);
    r.error = error;
    r.nat_type = error == NP_ERR_NO_RESPONSE ? NP_NAT_UDP_BLOCKED : NP_NAT_UNKNOWN;
    return r;
}

static uint32_t take(npi_standing *s, np_result r, uint64_t now_ns, bool tested, bool moved)
{
    return npi_standing_take(s, &(npi_outcome){&r, now_ns, tested, moved});
}

/* A watch that knows a port-restricted NAT. */
static npi_standing known(void)
{
    npi_standing s;
    npi_standing_init(&s);
    assert_int_equal(take(&s, verdict(EI, APD, "203.0.113.5", "10.0.0.2"), MINUTE, true, true), ALL_CHANGED);
    return s;
}

static void first_outcome_is_taken_whatever_it_is(void **state)
{
    (void)state;
    npi_standing s;
    npi_standing_init(&s);
    assert_int_equal(take(&s, failure(NP_ERR_TIMEOUT), MINUTE, true, false), 0);
    assert_true(s.has_outcome);
    assert_int_equal(s.result.error, NP_ERR_TIMEOUT);
    assert_true(s.filtering_ns == NPI_NEVER);
}

static void filtering_stands_where_it_was_not_tested(void **state)
{
    (void)state;
    npi_standing s = known();
    assert_int_equal(take(&s, verdict(EI, 0, "203.0.113.5", "10.0.0.2"), 2 * MINUTE, false, false), 0);
    assert_int_equal(s.result.nat_type, NP_NAT_PORT_RESTRICTED_CONE);
    assert_int_equal(s.result.evidence, NP_EVIDENCE_ANSWERED | NP_EVIDENCE_FILTERING_PROVEN);
    assert_int_equal(s.measured_ns, 2 * MINUTE);
    assert_int_equal(s.filtering_ns, MINUTE);
    /* Even if the check thought that it had found one, by a way that was still open. */
    assert_int_equal(take(&s, verdict(EI, EI, "203.0.113.5", "10.0.0.2"), 3 * MINUTE, false, false), 0);
    assert_int_equal(s.result.filtering, APD);
    /* And if the test could not tell. */
    assert_int_equal(take(&s, verdict(EI, 0, "203.0.113.5", "10.0.0.2"), 9 * MINUTE, true, false), 0);
    assert_int_equal(s.filtering_ns, MINUTE);
}

static void filtering_that_was_tested_is_taken(void **state)
{
    (void)state;
    npi_standing s = known();
    assert_int_equal(take(&s, verdict(EI, EI, "203.0.113.5", "10.0.0.2"), 9 * MINUTE, true, false),
                     NP_CHANGED_TYPE | NP_CHANGED_FILTERING);
    assert_int_equal(s.result.nat_type, NP_NAT_FULL_CONE);
    assert_int_equal(s.filtering_ns, 9 * MINUTE);
}

static void nat_that_was_started_again_keeps_its_filtering(void **state)
{
    (void)state;
    npi_standing s = known();
    assert_int_equal(take(&s, verdict(EI, 0, "203.0.113.9", "10.0.0.2"), 2 * MINUTE, false, false), NP_CHANGED_ADDRESS);
    assert_int_equal(s.result.filtering, APD);
}

static void another_network_has_another_filtering(void **state)
{
    (void)state;
    static const struct {
        const char *says, *external, *local;
        int32_t mapping;
        bool moved;
    } rows[] = {
        {"another external address after a change of the network", "203.0.113.9", "10.0.0.2", EI, true},
        {"another local address", "203.0.113.5", "10.0.0.3", EI, false},
        {"another mapping", "203.0.113.5", "10.0.0.2", APD, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        npi_standing s = known();
        np_result r = verdict(rows[i].mapping, 0, rows[i].external, rows[i].local);
        uint32_t changed = take(&s, r, 2 * MINUTE, false, rows[i].moved);
        if ((changed & NP_CHANGED_FILTERING) == 0 || s.result.filtering != NP_BEHAVIOUR_UNKNOWN)
            fail_msg("%s: the filtering stands", rows[i].says);
        assert_true(s.filtering_ns == NPI_NEVER);
        assert_int_equal(s.result.evidence, NP_EVIDENCE_ANSWERED);
        /* Back in the first network that is known again. */
        take(&s, verdict(EI, 0, "203.0.113.5", "10.0.0.2"), 3 * MINUTE, false, true);
        assert_int_equal(s.result.filtering, APD);
        assert_int_equal(s.filtering_ns, MINUTE);
    }
}

static void outage_is_told_and_passes(void **state)
{
    (void)state;
    npi_standing s = known();
    assert_int_equal(take(&s, failure(NP_ERR_NETWORK_UNREACHABLE), 2 * MINUTE, false, true), ALL_CHANGED);
    assert_int_equal(take(&s, verdict(EI, 0, "203.0.113.5", "10.0.0.2"), 3 * MINUTE, false, true), ALL_CHANGED);
    assert_int_equal(s.result.nat_type, NP_NAT_PORT_RESTRICTED_CONE);
    assert_int_equal(take(&s, failure(NP_ERR_NO_RESPONSE), 4 * MINUTE, true, false), ALL_CHANGED);
    assert_int_equal(s.result.nat_type, NP_NAT_UDP_BLOCKED);
    /* After it another external address may be another network's. */
    take(&s, verdict(EI, 0, "203.0.113.9", "10.0.0.2"), 5 * MINUTE, false, false);
    assert_int_equal(s.result.filtering, NP_BEHAVIOUR_UNKNOWN);
}

static void check_that_says_nothing_leaves_what_was_known(void **state)
{
    (void)state;
    static const int32_t errors[] = {NP_ERR_TIMEOUT, NP_ERR_RESOLVE,         NP_ERR_INCONCLUSIVE,
                                     NP_ERR_SYSTEM,  NP_ERR_ADDRESS_CHANGED, NP_ERR_BAD_RESPONSE};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        npi_standing s = known();
        assert_int_equal(take(&s, failure(errors[i]), 2 * MINUTE, true, false), 0);
        assert_int_equal(s.result.error, NP_OK);
        assert_int_equal(s.measured_ns, MINUTE);
        /* In another network nothing is known then. */
        assert_int_equal(take(&s, failure(errors[i]), 3 * MINUTE, true, true), ALL_CHANGED);
        assert_int_equal(s.result.error, errors[i]);
    }
}

static void port_alone_is_no_change(void **state)
{
    (void)state;
    npi_standing s = known();
    np_result r = verdict(EI, APD, "203.0.113.5", "10.0.0.2");
    r.external_port = 4711;
    assert_int_equal(take(&s, r, 2 * MINUTE, true, false), 0);
    assert_int_equal(s.result.external_port, 4711);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_outcome_is_taken_whatever_it_is),
        cmocka_unit_test(filtering_stands_where_it_was_not_tested),
        cmocka_unit_test(filtering_that_was_tested_is_taken),
        cmocka_unit_test(nat_that_was_started_again_keeps_its_filtering),
        cmocka_unit_test(another_network_has_another_filtering),
        cmocka_unit_test(outage_is_told_and_passes),
        cmocka_unit_test(check_that_says_nothing_leaves_what_was_known),
        cmocka_unit_test(port_alone_is_no_change),
    };
    return cmocka_run_group_tests_name("standing", tests, NULL, NULL);
}
