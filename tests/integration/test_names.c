/* SPDX-License-Identifier: MIT */
/* Names: those that do not resolve, those that resolve slowly, and the built-in list. No name leaves this process. */
#include "support.h"

#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES(table) support_set_names(table, sizeof(table) / sizeof(table)[0])

static void name_that_does_not_exist(void **state)
{
    np_result r;
    np_probe *probe = support_probe(NULL, "nowhere.test");
    (void)state;
    assert_int_equal(support_run(probe, &r), NP_ERR_RESOLVE);
    assert_int_equal(r.os_error, EAI_NONAME);
    assert_non_null(strstr(r.detail, "nowhere.test"));
    assert_int_equal(r.packets_sent, 0);
    np_probe_free(probe);
}

static void name_server_that_fails(void **state)
{
    static const support_name names[] = {{.name = "again.test", .error = EAI_AGAIN},
                                         {.name = "fail.test", .error = EAI_FAIL}};
    (void)state;
    NAMES(names);
    for (size_t i = 0; i < 2; i++) {
        np_result r;
        np_probe *probe = support_probe(NULL, names[i].name);
        assert_int_equal(support_run(probe, &r), NP_ERR_RESOLVE);
        assert_int_equal(r.os_error, names[i].error);
        np_probe_free(probe);
    }
}

static void name_without_an_address_of_the_family(void **state)
{
    static const support_name names[] = {{.name = "six.test", .address = {"2001:db8::1"}}};
    np_result r;
    (void)state;
    NAMES(names);
    np_probe *probe = support_probe("127.0.0.1", "six.test");
    assert_int_equal(support_run(probe, &r), NP_ERR_RESOLVE);
    np_probe_free(probe);
}

static void name_that_leads_nowhere_useful(void **state)
{
    static const support_name names[] = {{.name = "zero.test", .address = {"0.0.0.0", "255.255.255.255", "224.0.0.1"}}};
    np_result r;
    (void)state;
    NAMES(names);
    np_probe *probe = support_probe(NULL, "zero.test");
    assert_int_equal(support_run(probe, &r), NP_ERR_RESOLVE);
    assert_int_equal(r.packets_sent, 0);
    np_probe_free(probe);
}

/* "name:port" for a server's port under another name. */
static void name_with_port_of(const stun_server *server, const char *host, char out[100])
{
    snprintf(out, 100, "%s%s", host, strrchr(stun_server_name(server), ':'));
}

static void good_name_among_bad_ones(void **state)
{
    np_result r;
    char text[100];
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    const support_name names[] = {{.name = "good.test", .address = {stun_server_ip(server), stun_server_ip(server)}}};
    NAMES(names);
    np_probe *probe = support_probe("127.0.0.1", "nowhere.test");
    name_with_port_of(server, "good.test", text);
    assert_int_equal(np_probe_add_server(probe, text), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_string_equal(r.server, stun_server_name(server));
    np_probe_free(probe);
    stun_server_stop(server);
}

static void two_names_for_one_server_count_once(void **state)
{
    np_result r;
    char text[100];
    (void)state;
    stun_server *server = support_server((stun_server_config){.single = true, .mapping = MAPPING_SHIFTED});
    const support_name names[] = {{.name = NULL, .address = {stun_server_ip(server)}}};
    NAMES(names);
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    name_with_port_of(server, "same.test", text);
    assert_int_equal(np_probe_add_server(probe, text), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_ERR_INCONCLUSIVE);
    assert_int_equal(r.evidence & NP_EVIDENCE_SECOND_SERVER, 0);
    np_probe_free(probe);
    stun_server_stop(server);
}

/* ---- Two families ----------------------------------------------------------------------------------------------- */

/* A server at ::1, on the port of another one at an IPv4 address if there is any. */
static stun_server *server_of_ipv6(const stun_server *other)
{
    const uint16_t port = other != NULL ? (uint16_t)atoi(strrchr(stun_server_name(other), ':') + 1) : 3478;
    return support_server_of_ipv6((stun_server_config){.port = port, .single = true});
}

static void expect_verdict_over(np_probe *probe, const char *external_ip)
{
    np_result r;
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_string_equal(r.external_ip, external_ip);
    np_probe_free(probe);
}

/* One name has both addresses and IPv4 is silent; then a server of each family is given by its address. */
static void ipv6_is_asked_beside_a_silent_ipv4(void **state)
{
    char text[100];
    (void)state;
    stun_server *four = support_server((stun_server_config){.reply = PLAIN_SILENT});
    stun_server *six = server_of_ipv6(four);
    const support_name names[] = {{.name = "both.test", .address = {stun_server_ip(four), "::1"}}};
    NAMES(names);
    name_with_port_of(four, "both.test", text);
    expect_verdict_over(support_probe(NULL, text), "::1");
    assert_true(stun_server_requests(four) <= 28); /* 21 in a quarter of a second, 33 in two seconds */
    np_probe *probe = support_probe(NULL, stun_server_name(four));
    assert_int_equal(np_probe_add_server(probe, stun_server_name(six)), NP_OK);
    expect_verdict_over(probe, "::1");
    stun_server_stop(six);
    stun_server_stop(four);
}

static void ipv6_is_left_alone_where_ipv4_answers(void **state)
{
    char text[100];
    (void)state;
    stun_server *four = support_server((stun_server_config){.slow_ms = 20});
    stun_server *six = server_of_ipv6(four);
    const support_name names[] = {{.name = "both.test", .address = {stun_server_ip(four), "::1"}}};
    NAMES(names);
    name_with_port_of(four, "both.test", text);
    expect_verdict_over(support_probe(NULL, text), "127.0.0.1");
    assert_int_equal(stun_server_requests(six), 0);
    stun_server_stop(six);
    stun_server_stop(four);
}

/* As a hosts file does that blocks by name. */
static void a_name_that_leads_to_this_host_is_told(void **state)
{
    char text[100];
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){.reply = PLAIN_SILENT});
    const support_name names[] = {{.name = "here.test", .address = {stun_server_ip(server)}}};
    NAMES(names);
    name_with_port_of(server, "here.test", text);
    np_probe *probe = support_probe("127.0.0.1", text);
    assert_int_equal(support_run(probe, &r), NP_ERR_NO_RESPONSE);
    assert_non_null(strstr(r.detail, "UDP is blocked or it is down (here.test is 127."));
    assert_non_null(strstr(r.detail, "this host itself"));
    assert_int_equal(np_probe_set_timeout(probe, 200), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_ERR_NO_RESPONSE);
    assert_non_null(strstr(r.detail, "in the time allowed"));
    assert_non_null(strstr(r.detail, "here.test is 127."));
    np_probe_free(probe);
    stun_server_stop(server);
}

/* The built-in names, of which each has an IPv6 address alone. */
static void the_short_call_falls_back_to_ipv6(void **state)
{
    static const support_name names[] = {{.name = NULL, .address = {"::1"}}};
    np_result r;
    (void)state;
    NAMES(names);
    stun_server *six = server_of_ipv6(NULL);
    assert_int_equal(np_check_nat(NULL, 0, &r), NP_OK);
    assert_string_equal(r.external_ip, "::1");
    stun_server_stop(six);
}

static void an_ipv4_address_in_ipv6_notation_is_ipv4(void **state)
{
    char mapped[100], text[140];
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    snprintf(mapped, sizeof mapped, "::ffff:%s", stun_server_ip(server));
    snprintf(text, sizeof text, "[%s]%s", mapped, strrchr(stun_server_name(server), ':'));
    expect_verdict_over(support_probe(NULL, text), "127.0.0.1");
    expect_verdict_over(support_probe("::ffff:127.0.0.1", text), "127.0.0.1");
    stun_server_stop(server);
}

/* The slow name hangs until after the verdict: had it been waited for, there would be none. */
static void slow_name_delays_no_server_that_answers(void **state)
{
    static const support_name names[] = {{.name = "slow.test", .slow = true, .error = EAI_AGAIN}};
    np_result r;
    (void)state;
    NAMES(names);
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", "slow.test");
    assert_int_equal(np_probe_add_server(probe, stun_server_name(server)), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    np_probe_free(probe);
    stun_server_stop(server);
}

/* ---- Slow names ------------------------------------------------------------------------------------------------- */

enum { LIST = 8, UNSET = 1000 };

/* The good name stands at a place of the list. All others hang until after the check. */
static np_probe *probe_with_good_name_at(int place, const char *good, int32_t tests)
{
    np_probe *probe = np_probe_new();
    assert_non_null(probe);
    assert_int_equal(np_probe_set_source(probe, "127.0.0.1", 0), NP_OK);
    assert_int_equal(np_probe_set_tests(probe, tests), NP_OK);
    for (int i = 0; i < LIST; i++) {
        char slow[40];
        snprintf(slow, sizeof slow, "slow%d.test", i);
        assert_int_equal(np_probe_add_server(probe, i == place ? good : slow), NP_OK);
    }
    return probe;
}

static void silent_names_hold_up_no_name_wherever_it_stands(void **state)
{
    char text[100];
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    const support_name names[] = {{.name = "good.test", .address = {stun_server_ip(server)}},
                                  {.name = NULL, .slow = true, .error = EAI_AGAIN}};
    name_with_port_of(server, "good.test", text);
    for (int place = 0; place < LIST; place++) {
        np_result r;
        NAMES(names);
        np_probe *probe = probe_with_good_name_at(place, text, NP_TESTS_DEFAULT);
        assert_int_equal(support_run(probe, &r), NP_OK);
        assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
        np_probe_free(probe);
        support_release_names();
    }
    stun_server_stop(server);
}

static void remember_first_request(const np_event *event, void *user)
{
    unsigned *look_ups = user;
    if (event->kind == NP_EVENT_SENT && *look_ups == UNSET)
        *look_ups = support_look_ups();
}

/* The address is asked before a name is made up for by another one. */
static void silent_names_hold_up_no_address_wherever_it_stands(void **state)
{
    static const support_name names[] = {{.name = NULL, .slow = true, .error = EAI_AGAIN}};
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    for (int place = 0; place < LIST; place++) {
        np_result r;
        unsigned look_ups = UNSET;
        NAMES(names);
        np_probe *probe = probe_with_good_name_at(place, stun_server_name(server), NP_TESTS_DEFAULT);
        assert_int_equal(np_probe_set_events(probe, remember_first_request, &look_ups), NP_OK);
        assert_int_equal(support_run(probe, &r), NP_OK);
        assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
        assert_in_range(look_ups, 0, 3);
        np_probe_free(probe);
        support_release_names();
    }
    stun_server_stop(server);
}

/* Two plain servers agree, and the verdict waits for no name. */
static void a_silent_name_holds_up_no_two_servers_wherever_it_stands(void **state)
{
    static const support_name names[] = {{.name = NULL, .slow = true, .error = EAI_AGAIN}};
    (void)state;
    stun_server *server[2];
    for (unsigned i = 0; i < 2; i++)
        server[i] = support_server((stun_server_config){.single = true, .mapping = MAPPING_SHIFTED, .number = i});
    for (int place = 0; place < 3; place++) {
        np_result r;
        NAMES(names);
        np_probe *probe = np_probe_new();
        assert_non_null(probe);
        for (int i = 0, next = 0; i < 3; i++) {
            const char *name = i == place ? "slow.test" : stun_server_name(server[next++]);
            assert_int_equal(np_probe_add_server(probe, name), NP_OK);
        }
        assert_int_equal(support_run(probe, &r), NP_OK);
        assert_int_equal(r.nat_type, NP_NAT_CONE);
        np_probe_free(probe);
        support_release_names();
    }
    for (unsigned i = 0; i < 2; i++)
        stun_server_stop(server[i]);
}

/* A program with a loop of its own, which waits for nothing but the probe's descriptor. */
static int run_in_a_loop(np_probe *probe, np_result *r)
{
    int returned = np_probe_start(probe);
    assert_int_equal(returned, NP_OK);
    while ((returned = np_probe_process(probe, r)) == NP_PENDING) {
        struct pollfd p = {.fd = np_probe_fd(probe), .events = POLLIN};
        assert_int_equal(poll(&p, 1, -1), 1);
    }
    return returned;
}

/* One of two plain servers has answered; the name of the other one stands behind silent ones. */
static void silent_names_hold_up_no_second_server(void **state)
{
    np_result r;
    char text[2][100];
    (void)state;
    stun_server *server[2];
    for (unsigned i = 0; i < 2; i++)
        server[i] = support_server((stun_server_config){.single = true, .mapping = MAPPING_SHIFTED, .number = i});
    const support_name names[] = {{.name = "one.test", .address = {stun_server_ip(server[0])}},
                                  {.name = "two.test", .address = {stun_server_ip(server[1])}},
                                  {.name = NULL, .slow = true, .error = EAI_AGAIN}};
    NAMES(names);
    name_with_port_of(server[0], "one.test", text[0]);
    name_with_port_of(server[1], "two.test", text[1]);
    np_probe *probe = probe_with_good_name_at(0, text[0], NP_TESTS_MAPPING);
    assert_int_equal(np_probe_clear_servers(probe), NP_OK);
    const char *const list[] = {text[0], "a.test", "b.test", "c.test", "d.test", text[1]};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        assert_int_equal(np_probe_add_server(probe, list[i]), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_CONE);
    support_release_names();
    NAMES(names);
    assert_int_equal(run_in_a_loop(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_CONE);
    np_probe_free(probe);
    for (unsigned i = 0; i < 2; i++)
        stun_server_stop(server[i]);
}

/* So three of them may be slow, and cost nothing: nobody processes the check meanwhile. */
static void four_names_are_looked_up_at_once(void **state)
{
    static const support_name names[] = {{.name = NULL, .slow = true, .error = EAI_AGAIN}};
    (void)state;
    NAMES(names);
    np_probe *probe = probe_with_good_name_at(LIST, NULL, NP_TESTS_DEFAULT);
    assert_int_equal(np_probe_start(probe), NP_OK);
    support_wait_for_hanging_names(4);
    assert_int_equal(support_look_ups(), 4);
    np_probe_free(probe);
}

/* As many as there may be look-ups at once. They end by themselves, which the end of each case waits for. */
static np_probe *probe_with_silent_names_at_work(void)
{
    np_result r;
    np_probe *probe = probe_with_good_name_at(LIST, NULL, NP_TESTS_DEFAULT);
    assert_int_equal(np_probe_add_server(probe, "one_more.test"), NP_OK);
    assert_int_equal(np_probe_start(probe), NP_OK);
    while (support_look_ups() < LIST) {
        struct pollfd p = {.fd = np_probe_fd(probe), .events = POLLIN};
        poll(&p, 1, 20);
        assert_int_equal(np_probe_process(probe, &r), NP_PENDING);
    }
    support_wait_for_hanging_names(LIST);
    return probe;
}

static void silent_names_hold_up_neither_cancel_nor_free(void **state)
{
    static const support_name names[] = {{.name = NULL, .slow = true, .error = EAI_AGAIN}};
    np_result r;
    (void)state;
    NAMES(names);
    np_probe *probe = probe_with_silent_names_at_work();
    np_probe_cancel(probe);
    assert_int_equal(np_probe_process(probe, &r), NP_ERR_CANCELLED);
    np_probe_free(probe);
    support_release_names();
    NAMES(names);
    np_probe_free(probe_with_silent_names_at_work());
    assert_int_equal(support_look_ups(), LIST);
}

/* Names that fail are made up for at once, and those that are not needed are left alone. */
static void no_more_names_are_looked_up_than_are_needed(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    const support_name names[] = {{.name = NULL, .address = {stun_server_ip(server)}}};
    NAMES(names);
    np_probe *probe = support_probe("127.0.0.1", "name0.test");
    assert_int_equal(np_probe_clear_servers(probe), NP_OK);
    for (int i = 0; i < NP_MAX_SERVERS; i++) {
        char name[40];
        snprintf(name, sizeof name, "name%d.test:%d", i, i == 0 ? atoi(strrchr(stun_server_name(server), ':') + 1) : i);
        assert_int_equal(np_probe_add_server(probe, name), NP_OK);
    }
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_in_range(support_look_ups(), 1, 8); /* four; a machine that stands still for long may need some more */
    np_probe_free(probe);
    stun_server_stop(server);
}

/* None of these look-ups ends before the run has: it is the deadline that ends it. */
static void deadline_holds_while_names_are_looked_up(void **state)
{
    static const support_name names[] = {{.name = NULL, .slow = true, .error = EAI_AGAIN}};
    np_result r;
    (void)state;
    NAMES(names);
    np_probe *probe = support_probe(NULL, "slow.test");
    assert_int_equal(np_probe_set_timeout(probe, 100), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_ERR_TIMEOUT);
    assert_int_equal(r.packets_sent, 0);
    assert_non_null(strstr(r.detail, "name server"));
    assert_non_null(strstr(r.detail, "slow.test"));
    support_wait_for_hanging_names(1);
    /* An address of another family, of which no name server is asked, is not what the check waited for. */
    assert_int_equal(np_probe_clear_servers(probe), NP_OK);
    assert_int_equal(np_probe_set_source(probe, "127.0.0.1", 0), NP_OK);
    assert_int_equal(np_probe_add_server(probe, "[2001:db8::1]:3478"), NP_OK);
    assert_int_equal(np_probe_add_server(probe, "slow.test"), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_ERR_TIMEOUT);
    assert_non_null(strstr(r.detail, "slow.test"));
    np_probe_free(probe);
    /* What still hangs belongs to nobody now: it must end by itself, which the end of each case waits for. */
}

static void many_slow_names_and_runs_leave_nothing(void **state)
{
    static const support_name names[] = {{.name = NULL, .slow = true, .error = EAI_AGAIN}};
    np_result r;
    (void)state;
    NAMES(names);
    np_probe *probe = support_probe(NULL, "slow.test");
    for (int i = 0; i < NP_MAX_SERVERS - 1; i++) {
        char name[40];
        snprintf(name, sizeof name, "slow%d.test", i);
        assert_int_equal(np_probe_add_server(probe, name), NP_OK);
    }
    assert_int_equal(np_probe_set_timeout(probe, 30), NP_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(support_run(probe, &r), NP_ERR_TIMEOUT);
    np_probe_free(probe);
}

/* ---- The built-in servers --------------------------------------------------------------------------------------- */

static void built_in_names_that_do_not_resolve(void **state)
{
    np_result r;
    (void)state;
    support_poison(&r);
    assert_int_equal(np_check_nat(NULL, 0, &r), NP_ERR_RESOLVE);
    support_check_whole(&r, NP_ERR_RESOLVE);
    assert_int_equal(r.packets_sent, 0);
}

static stun_server *standard_port_server(support_name *name)
{
    stun_server *server = support_server((stun_server_config){.port = 3478});
    *name = (support_name){.name = NULL, .address = {stun_server_ip(server)}};
    support_set_names(name, 1);
    return server;
}

static void built_in_servers_give_a_verdict_in_one_call(void **state)
{
    np_result r;
    support_name name;
    (void)state;
    stun_server *server = standard_port_server(&name);
    support_poison(&r);
    assert_int_equal(np_check_nat(NULL, 0, &r), NP_OK);
    support_check_whole(&r, NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_string_equal(r.server, stun_server_name(server));
    stun_server_stop(server);
}

/* Threads that look names up are not all taken by names that are never answered. */
static void silent_built_in_names_hold_up_no_other(void **state)
{
    support_name name;
    (void)state;
    stun_server *server = standard_port_server(&name);
    for (unsigned silent = 1; silent < LIST; silent++) {
        np_result r;
        support_set_names(&name, 1);
        support_hang_first(silent);
        support_poison(&r);
        assert_int_equal(np_check_nat(NULL, 0, &r), NP_OK);
        support_check_whole(&r, NP_OK);
        assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
        support_release_names();
    }
    stun_server_stop(server);
}

static void remember_lines(int32_t level, const char *line, void *user)
{
    char *lines = user;
    const size_t used = strlen(lines);
    assert_true(level == NP_LOG_INFO || level == NP_LOG_ERROR);
    assert_null(strchr(line, '\n'));
    snprintf(lines + used, 4000 - used, "%d %s\n", (int)level, line);
}

static void outcome_is_logged_to_the_sink(void **state)
{
    char lines[4000] = "";
    support_name name;
    np_result r;
    (void)state;
    stun_server *server = standard_port_server(&name);
    support_poison(&r);
    assert_int_equal(np_check_nat_and_log(NULL, 0, &r, remember_lines, lines), NP_OK);
    support_check_whole(&r, NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_non_null(strstr(lines, np_nat_type_description(NP_NAT_OPEN_INTERNET)));
    assert_non_null(strstr(lines, "127.0.0.1"));
    stun_server_stop(server);
}

static void failure_is_logged_to_the_sink(void **state)
{
    char lines[4000] = "";
    (void)state;
    assert_int_equal(np_check_nat_and_log(NULL, 0, NULL, remember_lines, lines), NP_ERR_RESOLVE);
    assert_int_equal(lines[0], '0' + NP_LOG_ERROR);
    assert_non_null(strstr(lines, np_strerror(NP_ERR_RESOLVE)));
}

/* Standard error goes to a file for the time of one call. */
static size_t standard_error_of(int (*call)(void), char *out, size_t room)
{
    FILE *file = tmpfile();
    const int saved = dup(2);
    assert_true(file != NULL && saved >= 0);
    fflush(stderr);
    dup2(fileno(file), 2);
    const int error = call();
    fflush(stderr);
    dup2(saved, 2);
    close(saved);
    rewind(file);
    const size_t size = fread(out, 1, room - 1, file);
    out[size] = '\0';
    fclose(file);
    assert_int_equal(error, NP_ERR_RESOLVE);
    return size;
}

static int check_and_log_to_nowhere_in_particular(void)
{
    return np_check_nat_and_log(NULL, 0, NULL, NULL, NULL);
}

static int check_only(void)
{
    np_result result;
    return np_check_nat(NULL, 0, &result);
}

static void without_a_sink_the_outcome_goes_to_standard_error(void **state)
{
    char text[4000];
    (void)state;
    assert_true(standard_error_of(check_and_log_to_nowhere_in_particular, text, sizeof text) > 0);
    assert_non_null(strstr(text, np_strerror(NP_ERR_RESOLVE)));
    assert_int_equal(standard_error_of(check_only, text, sizeof text), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(ipv6_is_asked_beside_a_silent_ipv4),
        CASE(ipv6_is_left_alone_where_ipv4_answers),
        CASE(the_short_call_falls_back_to_ipv6),
        CASE(an_ipv4_address_in_ipv6_notation_is_ipv4),
        CASE(a_name_that_leads_to_this_host_is_told),
        CASE(name_that_does_not_exist),
        CASE(name_server_that_fails),
        CASE(name_without_an_address_of_the_family),
        CASE(name_that_leads_nowhere_useful),
        CASE(good_name_among_bad_ones),
        CASE(two_names_for_one_server_count_once),
        CASE(slow_name_delays_no_server_that_answers),
        CASE(silent_names_hold_up_no_name_wherever_it_stands),
        CASE(silent_names_hold_up_no_address_wherever_it_stands),
        CASE(a_silent_name_holds_up_no_two_servers_wherever_it_stands),
        CASE(silent_names_hold_up_no_second_server),
        CASE(four_names_are_looked_up_at_once),
        CASE(silent_names_hold_up_neither_cancel_nor_free),
        CASE(no_more_names_are_looked_up_than_are_needed),
        CASE(deadline_holds_while_names_are_looked_up),
        CASE(many_slow_names_and_runs_leave_nothing),
        CASE(built_in_names_that_do_not_resolve),
        CASE(built_in_servers_give_a_verdict_in_one_call),
        CASE(silent_built_in_names_hold_up_no_other),
        CASE(outcome_is_logged_to_the_sink),
        CASE(failure_is_logged_to_the_sink),
        CASE(without_a_sink_the_outcome_goes_to_standard_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
