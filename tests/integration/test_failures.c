/* SPDX-License-Identifier: MIT */
/* Bad input and bad luck: each has its own code and a sentence to act on, and never a type that is not so. */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHORT_MS = 150 };

/* ---- Bad input -------------------------------------------------------------------------------------------------- */

static void malformed_source_addresses_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",           " ",     "localhost", "1.2.3",   "1.2.3.4.5", "256.1.1.1",  "127.0.0.1:80",
        "127.0.0.1 ", "[::1]", ":::",       "12345::", "::1%lo",    "0x7f.0.0.1", "0177.0.0.1"};
    np_probe *probe = np_probe_new();
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        np_result r;
        support_poison(&r);
        assert_int_equal(np_probe_set_source(probe, wrong[i], 0), NP_ERR_ARGUMENT);
        assert_int_equal(np_check_nat(wrong[i], 0, &r), NP_ERR_ARGUMENT);
        support_check_whole(&r, NP_ERR_ARGUMENT);
        assert_int_equal(np_check_nat_and_log(wrong[i], 0, NULL, NULL, NULL), NP_ERR_ARGUMENT);
    }
    np_probe_free(probe);
}

static void malformed_servers_are_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        ":",
                                        ":3478",
                                        "127.0.0.1:",
                                        "127.0.0.1:0",
                                        "127.0.0.1:65536",
                                        "127.0.0.1:x",
                                        "[::1",
                                        "[::1]x",
                                        "stun:",
                                        "http://127.0.0.1",
                                        "a b",
                                        "..",
                                        "stun:127.0.0.1:-1",
                                        "0.0.0.0",
                                        "[::]:3478",
                                        "224.0.0.1",
                                        "255.255.255.255"};
    char endless[2000];
    np_probe *probe = np_probe_new();
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const int error = np_probe_add_server(probe, wrong[i]);
        if (error != NP_ERR_ARGUMENT)
            print_error("accepted: \"%s\"\n", wrong[i]);
        assert_int_equal(error, NP_ERR_ARGUMENT);
    }
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_int_equal(np_probe_add_server(probe, endless), NP_ERR_ARGUMENT);
    np_probe_free(probe);
}

static void null_and_values_out_of_range_are_refused(void **state)
{
    np_result r;
    np_probe *probe = np_probe_new();
    (void)state;
    assert_int_equal(np_check_nat(NULL, 0, NULL), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_run(probe, NULL), NP_ERR_ARGUMENT);
    support_poison(&r);
    assert_int_equal(np_probe_run(NULL, &r), NP_ERR_ARGUMENT);
    support_check_whole(&r, NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_source(NULL, NULL, 0), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_add_server(NULL, "127.0.0.1"), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_add_server(probe, NULL), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_clear_servers(NULL), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_family(NULL, NP_FAMILY_ANY), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_family(probe, 5), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_tests(NULL, NP_TESTS_DEFAULT), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_tests(probe, 0), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_tests(probe, 128), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_tests(probe, NP_TESTS_DEFAULT | 128), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_tests(probe, INT32_MIN), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_tests(probe, -1), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_interface(NULL, "lo"), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_interface(probe, ""), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_interface(probe, "longer than a name"), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_interface(probe, NULL), NP_OK);
    assert_int_equal(np_probe_set_timeout(NULL, 1000), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_timeout(probe, 0), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_timeout(probe, 3600001), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_response_timeout(NULL, 1000), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_response_timeout(probe, 0), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_response_timeout(probe, 3600001), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_lifetime_limit(NULL, 10), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_lifetime_limit(probe, 0), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_lifetime_limit(probe, 3601), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_lifetime_limit(probe, 3600), NP_OK);
    assert_int_equal(np_probe_set_log(NULL, NP_LOG_INFO, NULL, NULL), NP_ERR_ARGUMENT);
    np_probe_cancel(NULL);
    np_probe_free(NULL);
    np_probe_free(probe);
}

static void family_and_source_that_contradict_each_other_are_refused(void **state)
{
    np_result r;
    np_probe *probe = support_probe("127.0.0.1", "127.0.0.1:9");
    (void)state;
    assert_int_equal(np_probe_set_family(probe, NP_FAMILY_IPV6), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_ERR_ARGUMENT);
    np_probe_free(probe);
}

static void more_servers_than_a_handle_holds_are_refused(void **state)
{
    np_probe *probe = np_probe_new();
    char name[40];
    (void)state;
    for (unsigned i = 0; i < NP_MAX_SERVERS; i++) {
        snprintf(name, sizeof name, "127.0.0.%u:9", i + 1);
        assert_int_equal(np_probe_add_server(probe, name), NP_OK);
    }
    assert_int_equal(np_probe_add_server(probe, "127.0.1.1:9"), NP_ERR_LIMIT);
    assert_int_equal(np_probe_add_server(probe, "127.0.1.1:"), NP_ERR_ARGUMENT); /* what is no server is told first */
    np_probe_free(probe);
}

/* ---- This host -------------------------------------------------------------------------------------------------- */

static void port_in_use(void **state)
{
    np_result r;
    unsigned port = 0;
    char text[16];
    (void)state;
    stun_server *taken = support_server((stun_server_config){.single = true});
    assert_int_equal(sscanf(strchr(stun_server_name(taken), ':'), ":%u", &port), 1);
    np_probe *probe = support_probe(NULL, "127.0.0.1:9");
    assert_int_equal(np_probe_set_source(probe, stun_server_ip(taken), (uint16_t)port), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_ERR_ADDRESS_IN_USE);
    assert_int_equal(r.os_error, EADDRINUSE);
    assert_int_equal(r.packets_sent, 0);
    snprintf(text, sizeof text, "%u", port);
    assert_non_null(strstr(r.detail, text));
    support_poison(&r);
    assert_int_equal(np_check_nat(stun_server_ip(taken), (uint16_t)port, &r), NP_ERR_ADDRESS_IN_USE);
    support_check_whole(&r, NP_ERR_ADDRESS_IN_USE);
    np_probe_free(probe);
    stun_server_stop(taken);
}

static void address_not_on_this_host(void **state)
{
    static const char *const elsewhere[] = {"192.0.2.1", "2001:db8::1"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        np_result r;
        np_probe *probe = support_probe(elsewhere[i], i == 0 ? "127.0.0.1:9" : "[::1]:9");
        assert_int_equal(support_run(probe, &r), NP_ERR_ADDRESS_NOT_AVAILABLE);
        assert_int_equal(r.os_error, EADDRNOTAVAIL);
        assert_non_null(strstr(r.detail, elsewhere[i]));
        np_probe_free(probe);
    }
}

/* fe80::1 of this link is none of this host's, whatever the link is; of another that is not there, all the more. */
static void link_not_on_this_host(void **state)
{
    static const struct {
        const char *source;
        int os_error;
        const char *says;
    } rows[] = {
        {"fe80::1%gone0", ENODEV,
         "cannot use fe80::1%gone0 as the source: if_nametoindex: No such device (choose an interface of this host)"},
        {"fe80::1%2147483646", ENODEV,
         "cannot use fe80::1%2147483646 as the source: if_nametoindex: No such device (choose an interface of this "
         "host)"},
        {"fe80::1", EINVAL,
         "cannot use [fe80::1]:0 as the source: bind(port 0): Invalid argument (a link-local address needs its "
         "interface: "
         "fe80::1%eth0)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        np_result r;
        support_poison(&r);
        assert_int_equal(np_check_nat(rows[i].source, 0, &r), NP_ERR_ADDRESS_NOT_AVAILABLE);
        support_check_whole(&r, NP_ERR_ADDRESS_NOT_AVAILABLE);
        assert_int_equal(r.os_error, rows[i].os_error);
        assert_string_equal(r.detail, rows[i].says);
    }
}

static void no_descriptor_left(void **state)
{
    np_result r;
    struct rlimit limit, none;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const int next = dup(0);
    assert_true(next >= 0);
    close(next);
    /* From none to so many that it works: whichever descriptor cannot be had, it is said and nothing is left open. */
    int error = NP_ERR_SYSTEM;
    for (unsigned more = 0; more < 10 && error != NP_OK; more++) {
        none = limit;
        none.rlim_cur = (rlim_t)next + more;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        support_poison(&r);
        error = np_probe_run(probe, &r);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        support_check_whole(&r, error);
        if (error != NP_OK) {
            assert_int_equal(error, NP_ERR_SYSTEM);
            assert_int_equal(r.os_error, EMFILE);
        }
        if (more == 0)
            assert_int_equal(error, NP_ERR_SYSTEM);
    }
    assert_int_equal(error, NP_OK);
    np_probe_free(probe);
    stun_server_stop(server);
}

/* ---- The network ------------------------------------------------------------------------------------------------ */

/* In a namespace of its own, whose only interface is down: the host is off the net. Exit status: 0 as it should be. */
static int run_without_network(void)
{
    static const char *const servers[] = {"192.0.2.1:3478", "[2001:db8::1]:3478"};
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0 && unshare(CLONE_NEWNET) != 0)
        return 77;
    for (size_t i = 0; i < 2; i++) {
        np_result r;
        np_probe *probe = np_probe_new();
        support_poison(&r);
        if (probe == NULL || np_probe_add_server(probe, servers[i]) != NP_OK)
            return 2;
        const int error = np_probe_run(probe, &r);
        np_probe_free(probe);
        if (error != NP_ERR_NETWORK_UNREACHABLE || r.error != error || r.detail[0] == '\0' ||
            r.nat_type != NP_NAT_UNKNOWN || r.os_error != ENETUNREACH) {
            print_error("%s: %s, errno %d, %s\n", servers[i], np_error_name(error), r.os_error, r.detail);
            return 3;
        }
    }
    return 0;
}

static void no_network(void **state)
{
    int status = 0;
    (void)state;
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(run_without_network());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip(); /* no namespace is to be had */
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- Servers ---------------------------------------------------------------------------------------------------- */

static void nobody_at_the_port(void **state)
{
    np_result r;
    char name[100];
    (void)state;
    stun_server *gone = support_server((stun_server_config){.single = true});
    snprintf(name, sizeof name, "%s", stun_server_name(gone));
    stun_server_stop(gone);
    np_probe *probe = support_probe("127.0.0.1", name);
    assert_int_equal(np_probe_set_response_timeout(probe, SHORT_MS), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_ERR_NO_RESPONSE);
    assert_int_equal(r.nat_type, NP_NAT_UDP_BLOCKED);
    assert_int_equal(r.evidence, 0);
    assert_int_equal(r.packets_received, 0);
    assert_true(r.packets_sent > 0);
    assert_string_equal(r.external_ip, "");
    assert_string_equal(r.local_ip, "127.0.0.1");
    np_probe_free(probe);
}

static void silent_server(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){.reply = PLAIN_SILENT});
    np_probe *probe = support_probe(NULL, stun_server_name(server));
    assert_int_equal(np_probe_set_response_timeout(probe, SHORT_MS), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_ERR_NO_RESPONSE);
    assert_int_equal(r.nat_type, NP_NAT_UDP_BLOCKED);
    assert_int_equal(r.packets_received, 0);
    assert_true(r.packets_sent <= 40);
    np_probe_free(probe);
    stun_server_stop(server);
}

/* Three tenths of the time allowed: whoever allows more may be far away. Both wait at once. */
static void the_first_answer_is_waited_for_longer_where_more_time_is_allowed(void **state)
{
    enum { PROBES = 2, TIMEOUT_MS = 13000 };
    static const struct {
        uint32_t timeout_ms; /* 0: not set */
        uint64_t least_us;
    } rows[PROBES] = {{0, 3000000}, {TIMEOUT_MS, 3900000}};
    np_probe *probes[PROBES];
    (void)state;
    stun_server *server = support_server((stun_server_config){.reply = PLAIN_SILENT});
    for (int i = 0; i < PROBES; i++) {
        probes[i] = support_probe("127.0.0.1", stun_server_name(server));
        if (rows[i].timeout_ms != 0)
            assert_int_equal(np_probe_set_timeout(probes[i], rows[i].timeout_ms), NP_OK);
        assert_int_equal(np_probe_start(probes[i]), NP_OK);
    }
    for (int pending = PROBES; pending > 0;) {
        struct pollfd p[PROBES];
        for (int i = 0; i < PROBES; i++)
            p[i] = (struct pollfd){.fd = probes[i] == NULL ? -1 : np_probe_fd(probes[i]), .events = POLLIN};
        assert_true(poll(p, PROBES, -1) > 0);
        for (int i = 0; i < PROBES; i++) {
            np_result r;
            if (probes[i] == NULL || np_probe_process(probes[i], &r) == NP_PENDING)
                continue;
            assert_int_equal(r.error, NP_ERR_NO_RESPONSE);
            assert_true(r.elapsed_us >= rows[i].least_us);
            np_probe_free(probes[i]);
            probes[i] = NULL;
            pending--;
        }
    }
    stun_server_stop(server);
}

/* Whether there is such an interface is told by the run, and the handle is as good as before. */
static void an_interface_that_is_not_there(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(np_probe_set_interface(probe, "gone0"), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_ERR_ADDRESS_NOT_AVAILABLE);
    assert_int_equal(r.os_error, ENODEV);
    assert_non_null(strstr(r.detail, "the interface gone0: "));
    assert_int_equal(np_probe_set_interface(probe, NULL), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    np_probe_free(probe);
    stun_server_stop(server);
}

/* Nobody answered, and that is said. But it is too early to say that UDP is blocked. */
static void deadline_before_any_answer(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){.reply = PLAIN_SILENT});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(np_probe_set_timeout(probe, SHORT_MS), NP_OK);
    assert_int_equal(np_probe_set_response_timeout(probe, 3600000), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_ERR_NO_RESPONSE);
    assert_int_equal(r.nat_type, NP_NAT_UNKNOWN);
    assert_non_null(strstr(r.detail, "in the time allowed"));
    assert_true(r.packets_sent > 0);
    assert_true(r.elapsed_us >= SHORT_MS * 1000);
    np_probe_free(probe);
    stun_server_stop(server);
}

static void server_that_answers_garbage(void **state)
{
    static const plain_mode garbage[] = {PLAIN_TEXT,          PLAIN_EMPTY, PLAIN_HUGE,      PLAIN_WRONG_ID, PLAIN_ECHO,
                                         PLAIN_NO_ATTRIBUTES, PLAIN_CUT,   PLAIN_ERROR_400, PLAIN_ERROR_300};
    (void)state;
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        np_result r;
        stun_server *server = support_server((stun_server_config){.reply = garbage[i]});
        np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
        assert_int_equal(np_probe_set_response_timeout(probe, SHORT_MS), NP_OK);
        const int error = support_run(probe, &r);
        if (error != NP_ERR_BAD_RESPONSE)
            print_error("garbage %d: %s\n", (int)garbage[i], np_error_name(error));
        assert_int_equal(error, NP_ERR_BAD_RESPONSE);
        assert_int_equal(r.nat_type, NP_NAT_UNKNOWN);
        assert_true(r.packets_received > 0);
        assert_true(r.packets_sent <= 40); /* an answer is never a reason to send again at once */
        assert_string_equal(r.external_ip, "");
        np_probe_free(probe);
        stun_server_stop(server);
    }
}

/* Each is told as what it is: an error has its code, and an answer from elsewhere its address. */
static void what_cannot_be_used_is_told_as_what_it_is(void **state)
{
    static const struct {
        plain_mode reply;
        bool malformed;
        const char *says;
    } rows[] = {
        {PLAIN_ERROR_401, false, "STUN error 401, which asks for credentials"},
        {PLAIN_ERROR_300, false, "STUN error 300, which refers to another server"},
        {PLAIN_ERROR_400, false, "STUN error 400: name another server"},
        {PLAIN_ERROR_500, false, "STUN error 500: name another server"},
        {PLAIN_NO_ATTRIBUTES, true, "malformed"},
        {PLAIN_TEXT, false, "datagrams came from the servers' addresses"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        np_result r;
        stun_server *server = support_server((stun_server_config){.reply = rows[i].reply});
        np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
        assert_int_equal(np_probe_set_response_timeout(probe, SHORT_MS), NP_OK);
        assert_int_equal(support_run(probe, &r), NP_ERR_BAD_RESPONSE);
        assert_int_equal((r.evidence & NP_EVIDENCE_MALFORMED) != 0, rows[i].malformed);
        if (strstr(r.detail, rows[i].says) == NULL)
            print_error("%s: not \"%s\"\n", r.detail, rows[i].says);
        assert_non_null(strstr(r.detail, rows[i].says));
        np_probe_free(probe);
        stun_server_stop(server);
    }
}

static void an_answer_from_another_port_is_told(void **state)
{
    np_result r;
    char ip[64], from[80];
    (void)state;
    stun_server *server = support_server((stun_server_config){.reply = PLAIN_ELSEWHERE});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(np_probe_set_response_timeout(probe, SHORT_MS), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_ERR_BAD_RESPONSE);
    assert_int_equal(r.nat_type, NP_NAT_UNKNOWN);
    assert_int_equal(sscanf(r.detail, "an answer came from %79s and not from the address that was asked", from), 1);
    snprintf(ip, sizeof ip, "%s:", stun_server_ip(server));
    assert_int_equal(strncmp(from, ip, strlen(ip)), 0); /* the server, at its other port */
    assert_string_not_equal(from, stun_server_name(server));
    np_probe_free(probe);
    stun_server_stop(server);
}

static void garbage_from_one_server_spoils_no_other(void **state)
{
    np_result r;
    (void)state;
    stun_server *bad = support_server((stun_server_config){.reply = PLAIN_NO_ATTRIBUTES});
    stun_server *good = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(bad));
    assert_int_equal(np_probe_add_server(probe, stun_server_name(good)), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_string_equal(r.server, stun_server_name(good));
    assert_true((r.evidence & NP_EVIDENCE_MALFORMED) != 0);
    np_probe_free(probe);
    stun_server_stop(bad);
    stun_server_stop(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(malformed_source_addresses_are_refused),
        CASE(malformed_servers_are_refused),
        CASE(null_and_values_out_of_range_are_refused),
        CASE(family_and_source_that_contradict_each_other_are_refused),
        CASE(more_servers_than_a_handle_holds_are_refused),
        CASE(port_in_use),
        CASE(address_not_on_this_host),
        CASE(link_not_on_this_host),
        CASE(no_descriptor_left),
        CASE(no_network),
        CASE(nobody_at_the_port),
        CASE(silent_server),
        CASE(the_first_answer_is_waited_for_longer_where_more_time_is_allowed),
        CASE(an_interface_that_is_not_there),
        CASE(deadline_before_any_answer),
        CASE(server_that_answers_garbage),
        CASE(what_cannot_be_used_is_told_as_what_it_is),
        CASE(an_answer_from_another_port_is_told),
        CASE(garbage_from_one_server_spoils_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
