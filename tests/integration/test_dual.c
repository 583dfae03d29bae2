/* SPDX-License-Identifier: MIT */
/* np_check_nat_dual(): both families at once, each with its own result. No name leaves this process. */
#include "support.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NAMES(table) support_set_names(table, sizeof(table) / sizeof(table)[0])

enum { BUILTIN_PORT = 3478 }; /* of most built-in servers */

/* A NAT of IPv4, as far as its server tells. */
static stun_server *server_of_ipv4(stun_server_config config)
{
    config.port = BUILTIN_PORT;
    config.mapping = MAPPING_SHIFTED;
    config.filtering = DEP_ADDRESS_AND_PORT;
    return support_server(config);
}

static stun_server *server_of_ipv6(stun_server_config config)
{
    config.port = BUILTIN_PORT;
    config.single = true;
    return support_server_of_ipv6(config);
}

static void check_both(int expected, np_result *ipv4, np_result *ipv6)
{
    support_poison(ipv4);
    support_poison(ipv6);
    assert_int_equal(np_check_nat_dual(ipv4, ipv6), expected);
    support_check_whole(ipv4, ipv4->error);
    support_check_whole(ipv6, ipv6->error);
}

static void expect_nat_of_ipv4(const np_result *r)
{
    assert_int_equal(r->error, NP_OK);
    assert_int_equal(r->nat_type, NP_NAT_PORT_RESTRICTED_CONE);
    assert_string_equal(r->external_ip, "127.0.0.1");
}

static void expect_none_of_ipv6(const np_result *r)
{
    assert_int_equal(r->error, NP_OK);
    assert_int_equal(r->nat_type, NP_NAT_NO_NAT);
    assert_string_equal(r->external_ip, "::1");
}

/* Each server waits for the other to be asked before it answers. If one check waited for the other's end, both fail. */
static struct {
    atomic_bool is_asked[2];
} meeting;

static void wait_for_other(void *user)
{
    const bool is_ipv6 = user != NULL;
    atomic_store(&meeting.is_asked[is_ipv6], true);
    for (int i = 0; i < 5000 && !atomic_load(&meeting.is_asked[!is_ipv6]); i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static void both_families_are_checked_at_the_same_time(void **state)
{
    np_result ipv4, ipv6;
    (void)state;
    memset(&meeting, 0, sizeof meeting);
    stun_server *six = server_of_ipv6((stun_server_config){.on_request = wait_for_other, .user = &meeting});
    stun_server *four = server_of_ipv4((stun_server_config){.on_request = wait_for_other});
    const support_name names[] = {{.name = NULL, .address = {stun_server_ip(four), "::1"}}};
    NAMES(names);
    check_both(NP_OK, &ipv4, &ipv6);
    expect_nat_of_ipv4(&ipv4);
    expect_none_of_ipv6(&ipv6);
    assert_true(strchr(ipv4.local_ip, ':') == NULL && strchr(ipv4.server, '[') == NULL);
    assert_true(strchr(ipv6.local_ip, ':') != NULL && strchr(ipv6.server, '[') != NULL);
    stun_server_stop(four);
    stun_server_stop(six);
}

static void a_missing_family_leaves_the_other_alone(void **state)
{
    static const support_name only_six[] = {{.name = NULL, .address = {"::1"}}};
    np_result ipv4, ipv6;
    (void)state;
    stun_server *six = server_of_ipv6((stun_server_config){0});
    stun_server *four = server_of_ipv4((stun_server_config){0});
    const support_name only_four[] = {{.name = NULL, .address = {stun_server_ip(four)}}};
    NAMES(only_four);
    check_both(NP_OK, &ipv4, &ipv6);
    expect_nat_of_ipv4(&ipv4);
    assert_int_equal(ipv6.error, NP_ERR_RESOLVE);
    assert_int_equal(ipv6.packets_sent, 0);
    assert_int_equal(stun_server_requests(six), 0);

    const unsigned asked = stun_server_requests(four);
    NAMES(only_six);
    check_both(NP_OK, &ipv4, &ipv6);
    assert_int_equal(ipv4.error, NP_ERR_RESOLVE);
    assert_int_equal(ipv4.packets_sent, 0);
    expect_none_of_ipv6(&ipv6);
    assert_int_equal(stun_server_requests(four), asked);
    stun_server_stop(four);
    stun_server_stop(six);
}

static void a_silent_family_costs_its_own_time_only(void **state)
{
    np_result ipv4, ipv6;
    (void)state;
    stun_server *six = server_of_ipv6((stun_server_config){.reply = PLAIN_SILENT});
    stun_server *four = server_of_ipv4((stun_server_config){0});
    const support_name names[] = {{.name = NULL, .address = {stun_server_ip(four), "::1"}}};
    NAMES(names);
    check_both(NP_OK, &ipv4, &ipv6);
    expect_nat_of_ipv4(&ipv4);
    assert_int_equal(ipv6.error, NP_ERR_NO_RESPONSE);
    assert_int_equal(ipv6.nat_type, NP_NAT_UDP_BLOCKED);
    assert_true(ipv4.elapsed_us < ipv6.elapsed_us);
    stun_server_stop(four);
    stun_server_stop(six);
}

static void what_says_most_is_returned_without_a_verdict(void **state)
{
    static const support_name silent_six[] = {{.name = NULL, .address = {"::1"}}};
    np_result ipv4, ipv6;
    (void)state;
    check_both(NP_ERR_RESOLVE, &ipv4, &ipv6); /* no name leads anywhere */
    assert_int_equal(ipv4.error, NP_ERR_RESOLVE);
    assert_int_equal(ipv6.error, NP_ERR_RESOLVE);

    stun_server *six = server_of_ipv6((stun_server_config){.reply = PLAIN_SILENT});
    NAMES(silent_six);
    check_both(NP_ERR_NO_RESPONSE, &ipv4, &ipv6);
    assert_int_equal(ipv4.error, NP_ERR_RESOLVE);
    stun_server_stop(six);

    stun_server *four = server_of_ipv4((stun_server_config){.reply = PLAIN_SILENT});
    const support_name silent_four[] = {{.name = NULL, .address = {stun_server_ip(four)}}};
    NAMES(silent_four);
    check_both(NP_ERR_NO_RESPONSE, &ipv4, &ipv6);
    assert_int_equal(ipv6.error, NP_ERR_RESOLVE);
    stun_server_stop(four);
}

static void two_results_are_needed(void **state)
{
    np_result r;
    (void)state;
    assert_int_equal(np_check_nat_dual(NULL, NULL), NP_ERR_ARGUMENT);
    support_poison(&r);
    assert_int_equal(np_check_nat_dual(&r, NULL), NP_ERR_ARGUMENT);
    support_check_whole(&r, NP_ERR_ARGUMENT);
    support_poison(&r);
    assert_int_equal(np_check_nat_dual(NULL, &r), NP_ERR_ARGUMENT);
    support_check_whole(&r, NP_ERR_ARGUMENT);
    support_poison(&r);
    assert_int_equal(np_check_nat_dual(&r, &r), NP_ERR_ARGUMENT);
    support_check_whole(&r, NP_ERR_ARGUMENT);
}

/* So many more descriptors, and no further one. */
static void allow_descriptors(unsigned more)
{
    struct rlimit limit;
    const int next = dup(0);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)next + more;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* IPv4 begins first. At some number of descriptors there are enough for its check, and not for the other. */
static void a_family_without_descriptors_leaves_the_other_alone(void **state)
{
    struct rlimit usual;
    unsigned only_four = 0, both = 0;
    (void)state;
    stun_server *six = server_of_ipv6((stun_server_config){0});
    stun_server *four = server_of_ipv4((stun_server_config){0});
    const support_name names[] = {{.name = NULL, .address = {stun_server_ip(four), "::1"}}};
    NAMES(names);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    for (unsigned more = 0; both == 0; more++) {
        np_result ipv4, ipv6;
        assert_true(more < 64);
        support_poison(&ipv4);
        support_poison(&ipv6);
        allow_descriptors(more);
        const int error = np_check_nat_dual(&ipv4, &ipv6);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
        support_check_whole(&ipv4, ipv4.error);
        support_check_whole(&ipv6, ipv6.error);
        assert_true(error == NP_OK || (error == NP_ERR_SYSTEM && ipv4.error == NP_ERR_SYSTEM));
        if (error == NP_OK && ipv6.error == NP_ERR_SYSTEM) {
            assert_string_equal(ipv4.external_ip, "127.0.0.1");
            only_four++;
        }
        both += ipv4.error == NP_OK && ipv6.error == NP_OK;
    }
    assert_true(only_four > 0);
    stun_server_stop(four);
    stun_server_stop(six);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(both_families_are_checked_at_the_same_time),
        CASE(a_missing_family_leaves_the_other_alone),
        CASE(a_silent_family_costs_its_own_time_only),
        CASE(what_says_most_is_returned_without_a_verdict),
        CASE(two_results_are_needed),
        CASE(a_family_without_descriptors_leaves_the_other_alone),
    };
    return cmocka_run_group_tests_name("dual", tests, NULL, NULL);
}
