/* SPDX-License-Identifier: MIT */
/* np_survey over loopback: what it reports, when it refuses and ends, and what may be done to it at which moment. */
#include "support.h"

#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { PATIENCE_MS = 60000, REPORTS = 16 };

typedef struct told {
    size_t count;
    np_survey_report reports[REPORTS];
    np_survey *survey; /* to be freed or cancelled from the callback */
    bool frees, cancels;
    int inner_codes[4]; /* of calls that a callback may not make */
} told;

static void on_report(const np_survey_report *report, void *user)
{
    told *t = user;
    np_survey_status status;
    assert_true(t->count < REPORTS);
    t->reports[t->count++] = *report;
    if (t->survey == NULL)
        return;
    assert_int_equal(np_survey_read(t->survey, &status), NP_OK);
    t->inner_codes[0] = np_survey_process(t->survey);
    t->inner_codes[1] = np_survey_start(t->survey);
    t->inner_codes[2] = np_survey_add(t->survey, "127.0.0.1");
    t->inner_codes[3] = np_survey_set_reports(t->survey, NULL, NULL);
    if (t->cancels)
        np_survey_cancel(t->survey);
    if (t->frees)
        np_survey_free(t->survey);
}

/* helper: who proves that this host is open; NULL: the list has to. */
static np_survey *make(const char *helper, told *t)
{
    np_probe *probe = support_probe("127.0.0.1", helper != NULL ? helper : "127.0.0.1:9");
    if (helper == NULL)
        assert_int_equal(np_probe_clear_servers(probe), NP_OK);
    np_survey *survey = np_survey_new(probe);
    assert_non_null(survey);
    memset(t, 0, sizeof *t);
    assert_int_equal(np_survey_set_reports(survey, on_report, t), NP_OK);
    return survey;
}

static bool is_readable(const np_survey *survey, int timeout_ms)
{
    struct pollfd fd = {.fd = np_survey_fd(survey), .events = POLLIN};
    return poll(&fd, 1, timeout_ms) == 1;
}

/* Until it ends, or so much has been told. */
static int go_on(np_survey *survey, const told *t, size_t count)
{
    int error = NP_PENDING;
    while (error == NP_PENDING && t->count < count) {
        assert_true(is_readable(survey, PATIENCE_MS));
        error = np_survey_process(survey);
    }
    return error;
}

static const np_survey_report *find(const told *t, const char *server)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->reports[i].server, server) == 0)
            return &t->reports[i];
    }
    fail_msg("%s was not reported", server);
    return NULL;
}

static void check_good(const np_survey_report *r)
{
    assert_int_equal(r->error, NP_OK);
    assert_int_equal(r->is_capable, 1);
    assert_int_equal(r->change_both, NP_CONDUCT_HONOURED);
    assert_int_equal(r->change_port, NP_CONDUCT_HONOURED);
    assert_int_equal(r->alternate_alive, NP_TRISTATE_YES);
    assert_int_equal(r->external_right, NP_TRISTATE_YES);
    assert_int_equal(r->external_stable, NP_TRISTATE_YES);
    assert_int_equal(r->packets_sent, 12);
    assert_true(r->packets_received >= 12 && r->rtt_us > 0);
    assert_string_equal(r->detail, "");
    assert_int_equal(strncmp(r->external, "127.0.0.1:", 10), 0);
}

/* A whole survey. It takes some 15 s, and next to no CPU. */
static void each_server_is_reported_as_it_is(void **state)
{
    static const support_name names[] = {{.name = "same.example", .address = {"127.0.0.77"}},
                                         {.name = "missing.example", .error = EAI_NONAME}};
    told t;
    np_survey_status status;
    (void)state;
    stun_server *good = support_server((stun_server_config){.ip = "127.0.0.77"});
    stun_server *single = support_server((stun_server_config){.single = true});
    stun_server *ignores = support_server((stun_server_config){.change = CHANGE_IGNORED});
    const char *good_name = stun_server_name(good);
    char same[64];
    support_set_names(names, 2);
    snprintf(same, sizeof same, "Same.example%s", strchr(good_name, ':'));
    np_survey *survey = make(good_name, &t);
    assert_int_equal(np_survey_add(survey, good_name), NP_OK);
    assert_int_equal(np_survey_add(survey, good_name), NP_OK); /* once is enough */
    assert_int_equal(np_survey_add(survey, stun_server_name(single)), NP_OK);
    assert_int_equal(np_survey_add(survey, stun_server_name(ignores)), NP_OK);
    assert_int_equal(np_survey_add(survey, same), NP_OK);
    assert_int_equal(np_survey_add(survey, "missing.example"), NP_OK);
    assert_int_equal(np_survey_add(survey, "127.0.0.1:9"), NP_OK);
    assert_int_equal(np_survey_add(survey, "[2001:db8::1]:3478"), NP_OK);
    assert_int_equal(np_survey_skip(survey, "127.0.0.1:9"), NP_OK);
    assert_int_equal(np_survey_skip(survey, "left.out.example"), NP_OK);
    assert_int_equal(np_survey_add(survey, "left.out.example:3478"), NP_OK);
    assert_int_equal(np_survey_start(survey), NP_OK);
    assert_int_equal(np_survey_read(survey, &status), NP_OK);
    assert_int_equal(status.is_checking, 1);
    assert_int_equal(status.servers, 6);
    assert_int_equal(go_on(survey, &t, REPORTS), NP_OK);
    assert_int_equal(t.count, 6);
    check_good(find(&t, good_name));
    assert_int_equal(find(&t, stun_server_name(single))->change_both, NP_CONDUCT_SILENT);
    assert_int_equal(find(&t, stun_server_name(single))->alternate_alive, NP_TRISTATE_NO);
    assert_int_equal(find(&t, stun_server_name(ignores))->change_port, NP_CONDUCT_IGNORED);
    assert_int_equal(find(&t, stun_server_name(ignores))->is_capable, 0);
    same[0] = 's';
    assert_string_equal(find(&t, same)->same_as, good_name);
    assert_string_equal(find(&t, same)->address, good_name);
    assert_int_equal(find(&t, "missing.example:3478")->error, NP_ERR_RESOLVE);
    assert_int_equal(find(&t, "missing.example:3478")->addresses, 0);
    assert_int_equal(find(&t, "[2001:db8::1]:3478")->error, NP_ERR_NOT_OPEN);
    assert_int_equal(np_survey_read(survey, &status), NP_OK);
    assert_int_equal(status.done, 6);
    assert_int_equal(status.answered, 3);
    assert_int_equal(status.capable, 1);
    assert_int_equal(status.ipv4_open, NP_TRISTATE_YES);
    assert_int_equal(status.ipv6_open, NP_TRISTATE_UNKNOWN);
    assert_int_equal(status.check.nat_type, NP_NAT_OPEN_INTERNET);
    assert_int_equal(np_survey_process(survey), NP_ERR_ARGUMENT);
    assert_int_equal(np_survey_start(survey), NP_ERR_BUSY);
    assert_int_equal(np_survey_add(survey, good_name), NP_ERR_BUSY);
    np_survey_free(survey);
    support_set_names(NULL, 0);
    stun_server_stop(good);
    stun_server_stop(single);
    stun_server_stop(ignores);
}

/* Behind what the server pretends, nothing is asked but what the check asks. */
static void refuse(stun_server_config config, const char *why)
{
    told t;
    np_survey_status status;
    stun_server *server = support_server(config);
    np_survey *survey = make(NULL, &t);
    assert_int_equal(np_survey_add(survey, stun_server_name(server)), NP_OK);
    assert_int_equal(np_survey_start(survey), NP_OK);
    assert_int_equal(go_on(survey, &t, REPORTS), NP_ERR_NOT_OPEN);
    assert_int_equal(np_survey_read(survey, &status), NP_OK);
    assert_int_equal(t.count, 0);
    assert_int_equal(status.ipv4_open, NP_TRISTATE_NO);
    if (strncmp(status.check.detail, "this host is not proven open: ", 30) != 0 ||
        strstr(status.check.detail, why) == NULL)
        fail_msg("%s", status.check.detail);
    np_survey_free(survey);
    stun_server_stop(server);
}

static void a_host_that_is_not_open_is_refused(void **state)
{
    (void)state;
    refuse((stun_server_config){.mapping = MAPPING_SHIFTED}, "behind a NAT");
    refuse((stun_server_config){.filtering = DEP_ADDRESS_AND_PORT}, "symmetric-udp-firewall");
    refuse((stun_server_config){.reply = PLAIN_SILENT}, "answer");
    refuse((stun_server_config){.single = true}, "no server that was asked could prove it");
}

static void without_servers_of_the_family_it_is_refused(void **state)
{
    told t;
    np_survey_status status;
    (void)state;
    np_survey *survey = make(NULL, &t);
    assert_int_equal(np_survey_add(survey, "[2001:db8::1]:3478"), NP_OK);
    assert_int_equal(np_survey_start(survey), NP_OK);
    assert_int_equal(go_on(survey, &t, REPORTS), NP_ERR_NOT_OPEN);
    assert_int_equal(np_survey_read(survey, &status), NP_OK);
    assert_non_null(strstr(status.check.detail, "no server of the chosen address family"));
    np_survey_free(survey);
}

static void arguments_are_refused(void **state)
{
    told t;
    np_survey_status status;
    np_survey_status zero;
    (void)state;
    memset(&zero, 0, sizeof zero);
    assert_null(np_survey_new(NULL));
    assert_int_equal(np_survey_add(NULL, "127.0.0.1"), NP_ERR_ARGUMENT);
    assert_int_equal(np_survey_skip(NULL, "127.0.0.1"), NP_ERR_ARGUMENT);
    assert_int_equal(np_survey_set_reports(NULL, NULL, NULL), NP_ERR_ARGUMENT);
    assert_int_equal(np_survey_start(NULL), NP_ERR_ARGUMENT);
    assert_int_equal(np_survey_process(NULL), NP_ERR_ARGUMENT);
    assert_int_equal(np_survey_read(NULL, &status), NP_ERR_ARGUMENT);
    assert_memory_equal(&status, &zero, sizeof zero);
    assert_int_equal(np_survey_fd(NULL), NP_INVALID_SOCKET);
    assert_null(np_survey_wait_handle(NULL));
    np_survey_cancel(NULL);
    np_survey_free(NULL);

    np_survey *survey = make(NULL, &t);
    assert_int_equal(np_survey_read(survey, NULL), NP_ERR_ARGUMENT);
    assert_int_equal(np_survey_start(survey), NP_ERR_ARGUMENT); /* it has no servers */
    assert_int_equal(np_survey_process(survey), NP_ERR_ARGUMENT);
    assert_int_equal(np_survey_fd(survey), NP_INVALID_SOCKET);
    static const char *const bad[] = {"", "a b", "turn:x", "0.0.0.0", "224.0.0.1", "x:0", "-"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (bad[i][0] != '-')
            assert_int_equal(np_survey_add(survey, bad[i]), NP_ERR_ARGUMENT);
    }
    assert_int_equal(np_survey_add(survey, NULL), NP_ERR_ARGUMENT);
    assert_int_equal(np_survey_add(survey, "a.example"), NP_OK);
    assert_int_equal(np_survey_skip(survey, "A.example:3478"), NP_OK);
    assert_int_equal(np_survey_start(survey), NP_ERR_ARGUMENT); /* it was left out */
    np_survey_free(survey);
}

static void a_list_may_be_long(void **state)
{
    told t;
    char server[32];
    (void)state;
    np_survey *survey = make(NULL, &t);
    for (unsigned i = 0; i < NP_MAX_SURVEY_SERVERS; i++) {
        snprintf(server, sizeof server, "s%u.example", i);
        assert_int_equal(np_survey_add(survey, server), NP_OK);
    }
    assert_int_equal(np_survey_add(survey, "one.more.example"), NP_ERR_LIMIT);
    np_survey_free(survey);
}

static void a_callback_may_cancel_or_free(void **state)
{
    static const int codes[] = {NP_ERR_BUSY, NP_ERR_BUSY, NP_ERR_BUSY, NP_ERR_BUSY};
    (void)state;
    for (int frees = 0; frees < 2; frees++) {
        told t;
        stun_server *server = support_server((stun_server_config){0});
        np_survey *survey = make(stun_server_name(server), &t);
        t.survey = survey;
        t.cancels = true;
        t.frees = frees != 0;
        assert_int_equal(np_survey_add(survey, "[2001:db8::1]:3478"), NP_OK); /* reported at once */
        assert_int_equal(np_survey_add(survey, "[2001:db8::2]:3478"), NP_OK);
        assert_int_equal(np_survey_start(survey), NP_OK);
        assert_int_equal(go_on(survey, &t, REPORTS), NP_ERR_CANCELLED);
        assert_int_equal(t.count, 1);
        assert_memory_equal(t.inner_codes, codes, sizeof codes);
        if (!frees)
            np_survey_free(survey);
        stun_server_stop(server);
    }
}

static void *cancel(void *survey)
{
    np_survey_cancel(survey);
    return NULL;
}

static void it_ends_when_cancelled(void **state)
{
    told t;
    pthread_t thread;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    for (int late = 0; late < 2; late++) {
        np_survey *survey = make(stun_server_name(server), &t);
        np_survey_cancel(survey); /* nothing to end */
        assert_int_equal(np_survey_add(survey, stun_server_name(server)), NP_OK);
        assert_int_equal(np_survey_start(survey), NP_OK);
        np_survey_status status = {.is_checking = 1};
        while (late && status.is_checking) {
            assert_true(is_readable(survey, PATIENCE_MS));
            assert_int_equal(np_survey_process(survey), NP_PENDING);
            assert_int_equal(np_survey_read(survey, &status), NP_OK);
        }
        assert_int_equal(pthread_create(&thread, NULL, cancel, survey), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(is_readable(survey, PATIENCE_MS));
        assert_int_equal(np_survey_process(survey), NP_ERR_CANCELLED);
        assert_int_equal(np_survey_process(survey), NP_ERR_ARGUMENT);
        assert_false(is_readable(survey, 0));
        np_survey_free(survey);
    }
    stun_server_stop(server);
}

/* Names that hang hold up neither what is beside them nor the end. */
static void slow_names_hold_up_nobody(void **state)
{
    static const support_name names[] = {{.slow = true, .address = {"127.0.0.1"}}};
    told t;
    char name[32];
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    support_set_names(names, 1);
    np_survey *survey = make(stun_server_name(server), &t);
    for (int i = 0; i < 7; i++) {
        snprintf(name, sizeof name, "slow%d.example", i);
        assert_int_equal(np_survey_add(survey, name), NP_OK);
    }
    assert_int_equal(np_survey_add(survey, "[2001:db8::1]:3478"), NP_OK);
    assert_int_equal(np_survey_start(survey), NP_OK);
    assert_int_equal(go_on(survey, &t, 1), NP_PENDING);
    assert_string_equal(t.reports[0].server, "[2001:db8::1]:3478");
    np_survey_free(survey);
    support_release_names();
    support_set_names(NULL, 0);
    stun_server_stop(server);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(each_server_is_reported_as_it_is),
        CASE(a_host_that_is_not_open_is_refused),
        CASE(without_servers_of_the_family_it_is_refused),
        CASE(arguments_are_refused),
        CASE(a_list_may_be_long),
        CASE(a_callback_may_cancel_or_free),
        CASE(it_ends_when_cancelled),
        CASE(slow_names_hold_up_nobody),
    };
    return cmocka_run_group_tests_name("survey", tests, NULL, NULL);
}
