/* SPDX-License-Identifier: MIT */
/* Checks in threads, and what must hold of each; see sockets.h. */
#include "sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NONE NP_BEHAVIOUR_NONE
#define EI NP_BEHAVIOUR_ENDPOINT_INDEPENDENT
#define AD NP_BEHAVIOUR_ADDRESS_DEPENDENT
#define APD NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT

const pretended places[PRETENDED] = {
    {"open internet", NONE, EI, NP_NAT_OPEN_INTERNET},
    {"firewall", NONE, APD, NP_NAT_SYMMETRIC_UDP_FIREWALL},
    {"restricted cone", EI, AD, NP_NAT_RESTRICTED_CONE},
    {"symmetric", APD, APD, NP_NAT_SYMMETRIC},
};

enum { MOST_AT_A_TIME = 32, MOST_REQUESTS = 170, MORE_REQUESTS = 30, SLACK_US = 20000000 };

check check_in(const pretended *where, hostile_act act, void *user)
{
    check c;
    memset(&c, 0, sizeof c);
    c.config[0] = (hostile_config){.where = where, .act = act, .user = user};
    c.server_count = 1;
    return c;
}

void check_add_server(check *c)
{
    c->config[c->server_count] = (hostile_config){.where = c->config[0].where, .number = (unsigned)c->server_count};
    c->server_count++;
}

/* ---- One check -------------------------------------------------------------------------------------------------- */

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~')
            return false;
    }
    return true;
}

static void on_event(const np_event *e, void *user)
{
    check *c = user;
    c->unprintable += !is_printable(e->remote) || !is_printable(e->external);
    if (e->kind != NP_EVENT_SENT || c->sent == PLACES_ROOM)
        return;
    memcpy(c->sent_to[c->sent++], e->remote, sizeof e->remote);
}

static void on_line(int32_t level, const char *line, void *user)
{
    check *c = user;
    (void)level;
    c->unprintable += !is_printable(line);
}

static void on_datagram(const void *data, size_t size, const struct sockaddr *address, size_t address_size, void *user)
{
    check *c = user;
    (void)address;
    c->handed_over += (data != NULL || size == 0) && address_size == sizeof(struct sockaddr_in);
}

static int open_socket(void)
{
    const struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool configure(check *c, np_probe *probe, int fd)
{
    bool good = np_probe_set_events(probe, on_event, c) == NP_OK;
    good &= np_probe_set_log(probe, NP_LOG_DEBUG, on_line, c) == NP_OK;
    if (c->own_socket)
        good &= np_probe_set_socket(probe, fd, on_datagram, c) == NP_OK;
    else
        good &= np_probe_set_source(probe, "127.0.0.1", 0) == NP_OK;
    if (c->tests != 0)
        good &= np_probe_set_tests(probe, c->tests) == NP_OK;
    if (c->timeout_ms != 0)
        good &= np_probe_set_timeout(probe, c->timeout_ms) == NP_OK;
    if (c->response_timeout_ms != 0)
        good &= np_probe_set_response_timeout(probe, c->response_timeout_ms) == NP_OK;
    for (size_t i = 0; i < c->server_count; i++)
        good &= c->server[i] != NULL && np_probe_add_server(probe, hostile_name(c->server[i])) == NP_OK;
    return good;
}

/* In a thread of its own: what is to be asserted of it is asserted when all threads have ended. */
static void *run_check(void *argument)
{
    check *c = argument;
    np_probe *probe = np_probe_new();
    const int fd = c->own_socket ? open_socket() : -1;
    memset(&c->result, 0xA5, sizeof c->result);
    for (size_t i = 0; i < c->server_count; i++)
        c->server[i] = hostile_server_start(&c->config[i]);
    if (probe != NULL && configure(c, probe, fd) && np_probe_run(probe, &c->result) != c->result.error)
        c->result.error = NP_ERR_ARGUMENT; /* what it never is */
    np_probe_free(probe);
    if (fd >= 0)
        close(fd);
    for (size_t i = 0; i < c->server_count; i++) {
        if (c->server[i] != NULL)
            hostile_server_halt(c->server[i]);
    }
    return NULL;
}

/* ---- What must hold --------------------------------------------------------------------------------------------- */

static bool is_own_endpoint(const check *c, const char *name)
{
    for (size_t i = 0; i < c->server_count; i++) {
        if (hostile_is_own(c->server[i], name))
            return true;
    }
    return false;
}

static void look_at(const check *c)
{
    const np_result *r = &c->result;
    unsigned requests = 0;
    for (unsigned i = 0; i < c->sent; i++) {
        if (!is_own_endpoint(c, c->sent_to[i]))
            fail_msg("%s: a datagram to %s", c->config[0].where->name, c->sent_to[i]);
    }
    for (size_t i = 0; i < c->server_count; i++) {
        const hostile_log *log = hostile_server_log(c->server[i]);
        assert_int_equal(log->misfits, 0);
        assert_int_equal(log->shared_ids, 0);
        requests += log->requests;
    }
    assert_true(requests <= r->packets_sent);
    assert_int_equal(c->sent, r->packets_sent);
    assert_true(r->packets_sent <= MOST_REQUESTS + MORE_REQUESTS * c->server_count);
    assert_int_equal(c->unprintable, 0);
    const uint64_t allowed_us = 1000 * (uint64_t)(c->timeout_ms != 0 ? c->timeout_ms : NP_DEFAULT_TIMEOUT_MS);
    assert_true(r->elapsed_us <= allowed_us + SLACK_US);
}

void run_checks(check *all, size_t count)
{
    pthread_t threads[MOST_AT_A_TIME];
    assert_true(count <= MOST_AT_A_TIME);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_check, &all[i]), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < count; i++)
        look_at(&all[i]);
}

void end_checks(check *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < all[i].server_count; k++)
            hostile_server_stop(all[i].server[k]);
    }
}

static bool is_dependent(int32_t behaviour)
{
    return behaviour == AD || behaviour == APD || behaviour == NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
}

/* Unknown is never wrong, and of a dependent behaviour the kind may be unknown. */
static bool is_true(int32_t said, int32_t truth)
{
    return said == NP_BEHAVIOUR_UNKNOWN || said == truth ||
           (said == NP_BEHAVIOUR_ENDPOINT_DEPENDENT && is_dependent(truth));
}

/* Of pretended NATs the address stays, and the port moves by no more than there are endpoints. */
static void check_external(const check *c)
{
    const np_result *r = &c->result;
    const bool translated = c->config[0].where->mapping != NONE;
    const unsigned shift = (unsigned)(r->external_port - r->local_port);
    if (r->external_ip[0] == '\0')
        return;
    assert_string_equal(r->external_ip, "127.0.0.1");
    assert_true(translated ? (shift >= 1 && shift <= 4 * CHECK_SERVERS) || r->external_port < r->local_port
                           : shift == 0);
}

void expect_nothing_wrong(const check *c)
{
    const np_result *r = &c->result;
    const pretended *p = c->config[0].where;
    if (!is_true(r->mapping, p->mapping) || !is_true(r->filtering, p->filtering))
        fail_msg("%s: said to be %s with %s filtering", p->name, np_behaviour_name(r->mapping),
                 np_behaviour_name(r->filtering));
    if (r->error == NP_OK)
        assert_int_not_equal(r->nat_type, NP_NAT_UNKNOWN);
    else
        assert_int_equal(r->nat_type, r->error == NP_ERR_NO_RESPONSE ? NP_NAT_UDP_BLOCKED : NP_NAT_UNKNOWN);
    check_external(c);
}

void expect_truth(const check *c)
{
    const np_result *r = &c->result;
    const pretended *p = c->config[0].where;
    expect_nothing_wrong(c);
    if (r->error != NP_OK || r->nat_type != p->type)
        fail_msg("%s: said to be %s, %s: %s", p->name, np_nat_type_name(r->nat_type), np_error_name(r->error),
                 r->detail);
    assert_int_equal(r->filtering, p->filtering);
}
