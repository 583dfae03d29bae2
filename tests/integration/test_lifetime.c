/* SPDX-License-Identifier: MIT */
/* The test LIFETIME over sockets: it begins behind the verdict, tells how it goes on, and can be cancelled. */
#include "support.h"

enum { LONGEST_S = 3600 };

typedef struct watcher {
    np_probe *probe;
    bool cancels, frees;
    unsigned requests; /* of optional tests */
    unsigned told;
    uint32_t done_s, total_s;
} watcher;

static void watch(const np_event *e, void *user)
{
    watcher *w = user;
    if (e->kind == NP_EVENT_SENT)
        w->requests += e->purpose == NP_PURPOSE_OPTIONAL;
    if (e->kind != NP_EVENT_PROGRESS)
        return;
    assert_int_equal(e->test, NP_TESTS_LIFETIME);
    assert_int_equal(e->purpose, NP_PURPOSE_OPTIONAL);
    assert_true(e->done_s >= w->done_s && e->done_s <= e->total_s);
    w->told++;
    w->done_s = e->done_s;
    w->total_s = e->total_s;
    if (w->cancels)
        np_probe_cancel(w->probe);
    if (w->frees)
        np_probe_free(w->probe);
}

static np_probe *new_probe(const stun_server *server, uint32_t limit_s, watcher *w)
{
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(np_probe_set_tests(probe, NP_TESTS_DEFAULT | NP_TESTS_LIFETIME), NP_OK);
    assert_int_equal(np_probe_set_lifetime_limit(probe, limit_s), NP_OK);
    assert_int_equal(np_probe_set_events(probe, watch, w), NP_OK);
    w->probe = probe;
    return probe;
}

static stun_server *behind_nat(void)
{
    return support_server((stun_server_config){.mapping = MAPPING_SHIFTED, .filtering = DEP_ADDRESS_AND_PORT});
}

static void check_verdict(const np_result *r)
{
    assert_int_equal(r->error, NP_OK);
    assert_int_equal(r->nat_type, NP_NAT_PORT_RESTRICTED_CONE);
    assert_int_equal(r->mapping, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
    assert_int_equal(r->filtering, NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT);
}

/* This NAT never forgets: all that can be said is how long was waited. */
static void what_lives_on_has_no_end(void **state)
{
    np_result r;
    watcher w = {0};
    (void)state;
    stun_server *server = behind_nat();
    np_probe *probe = new_probe(server, 1, &w);
    assert_int_equal(support_run(probe, &r), NP_OK);
    check_verdict(&r);
    assert_int_equal(r.lifetime_min_s, 1);
    assert_int_equal(r.lifetime_max_s, 0);
    assert_int_equal(r.unanswered_min_s, 1);
    assert_int_equal(r.unanswered_max_s, 0);
    assert_int_equal(r.lifetime_recreated, NP_TRISTATE_UNKNOWN);
    assert_true(w.requests > 0 && w.told > 0);
    np_probe_free(probe);
    stun_server_stop(server);
}

/* Only the cancellation can end this run within the hour. */
static void cancelled_it_ends_with_its_verdict(void **state)
{
    np_result r;
    watcher w = {.cancels = true};
    (void)state;
    stun_server *server = behind_nat();
    np_probe *probe = new_probe(server, LONGEST_S, &w);
    assert_int_equal(support_run(probe, &r), NP_OK);
    check_verdict(&r);
    assert_int_equal(r.lifetime_min_s, 0);
    assert_int_equal(w.told, 1);
    assert_true(w.total_s >= LONGEST_S);
    np_probe_free(probe);
    stun_server_stop(server);
}

static void freed_it_is_gone(void **state)
{
    np_result r;
    watcher w = {.frees = true};
    (void)state;
    stun_server *server = behind_nat();
    np_probe *probe = new_probe(server, LONGEST_S, &w);
    (void)np_probe_run(probe, &r);
    assert_int_equal(w.told, 1);
    stun_server_stop(server);
}

/* Where nothing is translated and nothing filtered, there is nothing to wait for. */
static void open_hosts_do_not_wait(void **state)
{
    np_result r;
    watcher w = {0};
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = new_probe(server, LONGEST_S, &w);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_int_equal(r.lifetime_min_s, 0);
    assert_int_equal(w.requests, 0);
    np_probe_free(probe);
    stun_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_lives_on_has_no_end),
        CASE(cancelled_it_ends_with_its_verdict),
        CASE(freed_it_is_gone),
        CASE(open_hosts_do_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
