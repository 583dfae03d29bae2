/* SPDX-License-Identifier: MIT */
/* The public interface against a server on loopback: every verdict that can be had without a NAT. */
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void assert_has(const np_result *result, uint32_t bits)
{
    assert_int_equal(result->evidence & bits, bits);
}

static void assert_lacks(const np_result *result, uint32_t bits)
{
    assert_int_equal(result->evidence & bits, 0);
}

/* One run from 127.0.0.1 against one server. */
static int check(stun_server_config config, np_result *result)
{
    stun_server *server = support_server(config);
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    const int error = support_run(probe, result);
    np_probe_free(probe);
    stun_server_stop(server);
    return error;
}

static void check_type(stun_server_config config, int32_t type, np_result *result)
{
    assert_int_equal(check(config, result), NP_OK);
    if (result->nat_type != type)
        print_error("evidence %#x, %u sent, %u received: %s\n", (unsigned)result->evidence,
                    (unsigned)result->packets_sent, (unsigned)result->packets_received, result->detail);
    assert_string_equal(np_nat_type_name(result->nat_type), np_nat_type_name(type));
}

static void open_internet_with_everything_filled_in(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_int_equal(r.mapping, NP_BEHAVIOUR_NONE);
    assert_int_equal(r.filtering, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
    assert_string_equal(r.external_ip, "127.0.0.1");
    assert_string_equal(r.local_ip, "127.0.0.1");
    assert_int_not_equal(r.local_port, 0);
    assert_int_equal(r.external_port, r.local_port);
    assert_string_equal(r.server, stun_server_name(server));
    assert_true(r.packets_sent > 0 && r.packets_received > 0);
    assert_true(r.elapsed_us > 0);
    assert_true(r.rtt_us <= r.elapsed_us);
    assert_has(&r, NP_EVIDENCE_ANSWERED | NP_EVIDENCE_ALTERNATE | NP_EVIDENCE_MAPPING_PROVEN |
                       NP_EVIDENCE_TEST_II_ANSWERED | NP_EVIDENCE_FILTERING_PROVEN);
    assert_lacks(&r, NP_EVIDENCE_CHANGE_IGNORED | NP_EVIDENCE_CHANGE_PARTIAL | NP_EVIDENCE_CHANGE_REJECTED |
                         NP_EVIDENCE_CLASSIC | NP_EVIDENCE_CONTRADICTION | NP_EVIDENCE_ALG | NP_EVIDENCE_MALFORMED);
    np_probe_free(probe);
    stun_server_stop(server);
}

/* A process that stands still in the midst of its round trips measures none of them, so it may take several checks. */
static void a_round_trip_is_measured(void **state)
{
    np_result r = {0};
    (void)state;
    for (int checks = 0; r.rtt_us == 0 && checks < 10; checks++)
        assert_int_equal(check((stun_server_config){0}, &r), NP_OK);
    assert_true(r.rtt_us > 0 && r.rtt_us <= r.elapsed_us);
}

static void any_source_address_is_found_out(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe(NULL, stun_server_name(server));
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_string_equal(r.local_ip, r.external_ip);
    np_probe_free(probe);
    stun_server_stop(server);
}

/* A port that was free a moment ago on an address that hardly anybody uses. */
static uint16_t free_port(const char *ip)
{
    stun_server *server = support_server((stun_server_config){.ip = ip, .single = true});
    const char *colon = strrchr(stun_server_name(server), ':');
    unsigned port = 0;
    assert_int_equal(sscanf(colon, ":%u", &port), 1);
    stun_server_stop(server);
    return (uint16_t)port;
}

static void source_port_is_used_and_free_again_at_once(void **state)
{
    np_result r;
    (void)state;
    const uint16_t port = free_port("127.31.41.59");
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(np_probe_set_source(probe, "127.31.41.59", port), NP_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(support_run(probe, &r), NP_OK);
        assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
        assert_int_equal(r.local_port, port);
        assert_string_equal(r.local_ip, "127.31.41.59");
    }
    np_probe_free(probe);
    stun_server_stop(server);
}

static void server_that_ignores_change_request_leaves_filtering_unknown(void **state)
{
    np_result r;
    (void)state;
    check_type((stun_server_config){.change = CHANGE_IGNORED}, NP_NAT_NO_NAT, &r);
    assert_int_equal(r.filtering, NP_BEHAVIOUR_UNKNOWN);
    assert_has(&r, NP_EVIDENCE_CHANGE_IGNORED);
    assert_true(strlen(r.detail) > 0);
}

static void server_that_changes_the_port_only_leaves_filtering_unknown(void **state)
{
    np_result r;
    (void)state;
    check_type((stun_server_config){.change = CHANGE_PORT_ONLY}, NP_NAT_NO_NAT, &r);
    assert_has(&r, NP_EVIDENCE_CHANGE_PARTIAL);
}

static void server_that_rejects_change_request_leaves_filtering_unknown(void **state)
{
    np_result r;
    (void)state;
    check_type((stun_server_config){.change = CHANGE_REJECTED}, NP_NAT_NO_NAT, &r);
    assert_has(&r, NP_EVIDENCE_CHANGE_REJECTED);
    assert_true(strlen(r.detail) > 0);
}

static void server_that_drops_change_request_fails_the_control(void **state)
{
    np_result r;
    (void)state;
    check_type((stun_server_config){.change = CHANGE_DROPPED}, NP_NAT_NO_NAT, &r);
    assert_has(&r, NP_EVIDENCE_CONTROL_SILENT);
    assert_lacks(&r, NP_EVIDENCE_FILTERING_PROVEN);
}

static void translated_and_unfiltered_is_a_full_cone(void **state)
{
    np_result r;
    (void)state;
    check_type((stun_server_config){.mapping = MAPPING_SHIFTED}, NP_NAT_FULL_CONE, &r);
    assert_int_equal(r.mapping, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
    assert_int_not_equal(r.external_port, r.local_port);
}

static void translated_with_filtering_unknown_is_a_cone(void **state)
{
    np_result r;
    (void)state;
    check_type((stun_server_config){.mapping = MAPPING_SHIFTED, .change = CHANGE_IGNORED}, NP_NAT_CONE, &r);
}

static void mapping_by_address_is_symmetric(void **state)
{
    np_result r;
    (void)state;
    check_type((stun_server_config){.mapping = MAPPING_BY_ADDRESS}, NP_NAT_SYMMETRIC, &r);
    assert_int_equal(r.mapping, NP_BEHAVIOUR_ADDRESS_DEPENDENT);
}

static void mapping_by_endpoint_is_symmetric(void **state)
{
    np_result r;
    (void)state;
    check_type((stun_server_config){.mapping = MAPPING_BY_ENDPOINT}, NP_NAT_SYMMETRIC, &r);
    assert_int_equal(r.mapping, NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT);
}

static void address_that_keeps_changing_gives_no_verdict(void **state)
{
    np_result r;
    (void)state;
    /* Slow, so that the answers' differences cannot be put down to their destinations. */
    const stun_server_config config = {.mapping = MAPPING_WANDERING, .slow_ms = 10};
    assert_int_equal(check(config, &r), NP_ERR_ADDRESS_CHANGED);
    assert_has(&r, NP_EVIDENCE_RESTARTED);
}

static void address_that_changes_once_is_checked_anew(void **state)
{
    np_result r;
    (void)state;
    assert_int_equal(check((stun_server_config){.mapping = MAPPING_MOVING_ONCE, .slow_ms = 10}, &r), NP_OK);
    assert_has(&r, NP_EVIDENCE_RESTARTED);
    assert_int_equal(r.mapping, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
    /* The server's other address may have been asked before the restart: then the filtering cannot be told any more. */
    assert_true(r.nat_type == NP_NAT_FULL_CONE || r.nat_type == NP_NAT_CONE);
}

static void one_plain_server_and_a_nat_is_inconclusive(void **state)
{
    np_result r;
    (void)state;
    assert_int_equal(check((stun_server_config){.single = true, .mapping = MAPPING_SHIFTED}, &r), NP_ERR_INCONCLUSIVE);
    assert_string_equal(r.external_ip, "127.0.0.1");
    assert_int_not_equal(r.external_port, 0);
    assert_int_equal(r.mapping, NP_BEHAVIOUR_UNKNOWN);
}

static void two_plain_servers_tell_the_mapping(void **state)
{
    np_result r;
    (void)state;
    const stun_server_config config = {.single = true, .mapping = MAPPING_SHIFTED};
    stun_server *one = support_server(config);
    stun_server *two = support_server(config);
    np_probe *probe = support_probe(NULL, stun_server_name(one));
    assert_int_equal(np_probe_add_server(probe, stun_server_name(two)), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_CONE);
    assert_has(&r, NP_EVIDENCE_SECOND_SERVER);
    np_probe_free(probe);
    stun_server_stop(one);
    stun_server_stop(two);
}

static void mapping_only_asks_for_no_change(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(np_probe_set_tests(probe, NP_TESTS_MAPPING), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_NO_NAT);
    assert_int_equal(r.filtering, NP_BEHAVIOUR_UNKNOWN);
    assert_lacks(&r, NP_EVIDENCE_TEST_II_ANSWERED | NP_EVIDENCE_TEST_III_ANSWERED);
    np_probe_free(probe);
    stun_server_stop(server);
}

/* The filtering cannot be told without the external address: its bit brings that of the mapping. */
static void the_filtering_brings_the_mapping(void **state)
{
    static const int32_t masks[] = {NP_TESTS_FILTERING, NP_TESTS_MAPPING | NP_TESTS_FILTERING, NP_TESTS_DEFAULT};
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        np_result r;
        assert_int_equal(np_probe_set_tests(probe, NP_TESTS_MAPPING), NP_OK);
        assert_int_equal(np_probe_set_tests(probe, masks[i]), NP_OK);
        assert_int_equal(support_run(probe, &r), NP_OK);
        assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    }
    np_probe_free(probe);
    stun_server_stop(server);
}

static void old_server_gets_the_old_request(void **state)
{
    np_result r;
    (void)state;
    check_type((stun_server_config){.classic_only = true}, NP_NAT_OPEN_INTERNET, &r);
    assert_has(&r, NP_EVIDENCE_CLASSIC);
}

static void alternate_address_that_is_no_host_is_refused(void **state)
{
    static const char *const wrong[] = {"0.0.0.0", "224.0.0.1", "255.255.255.255", "192.168.1.1", "10.0.0.1"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        np_result r;
        check_type((stun_server_config){.other_ip = wrong[i]}, NP_NAT_NO_NAT, &r);
        assert_has(&r, NP_EVIDENCE_ALTERNATE_REFUSED);
        assert_lacks(&r, NP_EVIDENCE_ALTERNATE);
    }
}

static void silent_server_is_passed_over_for_the_next(void **state)
{
    np_result r;
    (void)state;
    stun_server *silent = support_server((stun_server_config){.reply = PLAIN_SILENT});
    stun_server *good = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(silent));
    assert_int_equal(np_probe_add_server(probe, stun_server_name(good)), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_string_equal(r.server, stun_server_name(good));
    assert_true(stun_server_requests(silent) > 0);
    np_probe_free(probe);
    stun_server_stop(silent);
    stun_server_stop(good);
}

/* The good server might be the dead one's second port, but what is silent has none. */
static void dead_port_of_the_same_host_is_passed_over(void **state)
{
    np_result r;
    char dead[100];
    (void)state;
    stun_server *good = support_server((stun_server_config){0});
    snprintf(dead, sizeof dead, "%s:9", stun_server_ip(good));
    np_probe *probe = support_probe("127.0.0.1", dead);
    assert_int_equal(np_probe_add_server(probe, stun_server_name(good)), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_string_equal(r.server, stun_server_name(good));
    assert_int_equal(r.mapping, NP_BEHAVIOUR_NONE);
    np_probe_free(probe);
    stun_server_stop(good);
}

static void spellings_of_a_server_are_all_understood(void **state)
{
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    for (size_t i = 0; i < 2; i++) {
        char text[100];
        np_result r;
        snprintf(text, sizeof text, i == 0 ? "%s" : "stun:%s", stun_server_name(server));
        np_probe *probe = support_probe("127.0.0.1", text);
        assert_int_equal(support_run(probe, &r), NP_OK);
        assert_string_equal(r.server, stun_server_name(server));
        np_probe_free(probe);
    }
    stun_server_stop(server);
}

static void ipv6_goes_the_same_way(void **state)
{
    np_result r;
    (void)state;
    const stun_server_config config = {.ip = "::1", .single = true};
    stun_server *server = stun_server_start(&config);
    if (server == NULL) {
        skip(); /* no ::1 here */
        return;
    }
    np_probe *probe = support_probe(NULL, stun_server_name(server));
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_NO_NAT);
    assert_string_equal(r.external_ip, "::1");
    assert_string_equal(r.local_ip, "::1");
    assert_string_equal(r.server, stun_server_name(server));
    assert_int_equal(np_probe_set_source(probe, "::1", 0), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(np_probe_set_source(probe, "::", 0), NP_OK);
    assert_int_equal(np_probe_set_family(probe, NP_FAMILY_IPV6), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    np_probe_free(probe);
    stun_server_stop(server);
}

static void one_handle_runs_any_number_of_times(void **state)
{
    np_result r;
    (void)state;
    stun_server *good = support_server((stun_server_config){0});
    stun_server *ignoring = support_server((stun_server_config){.change = CHANGE_IGNORED});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(good));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(support_run(probe, &r), NP_OK);
        assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    }
    assert_int_equal(np_probe_clear_servers(probe), NP_OK);
    assert_int_equal(np_probe_add_server(probe, stun_server_name(ignoring)), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_NO_NAT);
    np_probe_free(probe);
    stun_server_stop(good);
    stun_server_stop(ignoring);
}

enum { PARALLEL = 8 };

static void *run_in_thread(void *argument)
{
    np_result result;
    np_probe *probe = np_probe_new();
    if (probe == NULL)
        return NULL;
    int error = np_probe_set_source(probe, "127.0.0.1", 0);
    if (error == NP_OK)
        error = np_probe_add_server(probe, argument);
    if (error == NP_OK)
        error = np_probe_run(probe, &result);
    np_probe_free(probe);
    return error == NP_OK && result.nat_type == NP_NAT_OPEN_INTERNET ? argument : NULL;
}

static void handles_run_in_parallel(void **state)
{
    pthread_t threads[PARALLEL];
    char name[100];
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    snprintf(name, sizeof name, "%s", stun_server_name(server));
    for (int i = 0; i < PARALLEL; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_in_thread, name), 0);
    for (int i = 0; i < PARALLEL; i++) {
        void *verdict;
        assert_int_equal(pthread_join(threads[i], &verdict), 0);
        assert_non_null(verdict);
    }
    stun_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(open_internet_with_everything_filled_in),
        CASE(a_round_trip_is_measured),
        CASE(any_source_address_is_found_out),
        CASE(source_port_is_used_and_free_again_at_once),
        CASE(server_that_ignores_change_request_leaves_filtering_unknown),
        CASE(server_that_changes_the_port_only_leaves_filtering_unknown),
        CASE(server_that_rejects_change_request_leaves_filtering_unknown),
        CASE(server_that_drops_change_request_fails_the_control),
        CASE(translated_and_unfiltered_is_a_full_cone),
        CASE(translated_with_filtering_unknown_is_a_cone),
        CASE(mapping_by_address_is_symmetric),
        CASE(mapping_by_endpoint_is_symmetric),
        CASE(address_that_changes_once_is_checked_anew),
        CASE(address_that_keeps_changing_gives_no_verdict),
        CASE(one_plain_server_and_a_nat_is_inconclusive),
        CASE(two_plain_servers_tell_the_mapping),
        CASE(mapping_only_asks_for_no_change),
        CASE(the_filtering_brings_the_mapping),
        CASE(old_server_gets_the_old_request),
        CASE(alternate_address_that_is_no_host_is_refused),
        CASE(silent_server_is_passed_over_for_the_next),
        CASE(dead_port_of_the_same_host_is_passed_over),
        CASE(spellings_of_a_server_are_all_understood),
        CASE(ipv6_goes_the_same_way),
        CASE(one_handle_runs_any_number_of_times),
        CASE(handles_run_in_parallel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
