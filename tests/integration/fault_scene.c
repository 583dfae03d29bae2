/* SPDX-License-Identifier: MIT */
/* See fault_scene.h. */
#include "fault_scene.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { STRAYS = 4 };
/* What the last turn may take beyond the time allowed, on the clock of fault_clock.h. */
#define SLACK_US 100000

/* ---- Scenes ----------------------------------------------------------------------------------------------------- */

#define TRUTH(type, map, filter)                                                                                       \
    .nat_type = NP_NAT_##type, .mapping = NP_BEHAVIOUR_##map, .filtering = NP_BEHAVIOUR_##filter

/* Every way to use the library, every mapping and every filtering, and every way to find out the local address. */
const scene scenes[] = {
    {.name = "open", .source = "127.0.0.1", TRUTH(OPEN_INTERNET, NONE, ENDPOINT_INDEPENDENT)},
    {.name = "full-cone",
     .world = {.mapping = MAPPING_SHIFTED},
     .in_loop = true,
     .watched = true,
     TRUTH(FULL_CONE, ENDPOINT_INDEPENDENT, ENDPOINT_INDEPENDENT)},
    {.name = "own-socket",
     .world = {.mapping = MAPPING_SHIFTED, .filter = DEP_ADDRESS_AND_PORT},
     .in_loop = true,
     .socket_family = AF_INET,
     TRUTH(PORT_RESTRICTED_CONE, ENDPOINT_INDEPENDENT, ADDRESS_AND_PORT_DEPENDENT)},
    {.name = "own-dual-socket",
     .world = {.mapping = MAPPING_SHIFTED, .filter = DEP_ADDRESS},
     .needs_ipv6 = true,
     .socket_family = AF_INET6,
     TRUTH(RESTRICTED_CONE, ENDPOINT_INDEPENDENT, ADDRESS_DEPENDENT)},
    {.name = "open-dual-socket",
     .needs_ipv6 = true,
     .socket_family = AF_INET6,
     TRUTH(OPEN_INTERNET, NONE, ENDPOINT_INDEPENDENT)},
    {.name = "firewall",
     .world = {.filter = DEP_ADDRESS_AND_PORT},
     .lack = {.pktinfo = true},
     TRUTH(SYMMETRIC_UDP_FIREWALL, NONE, ADDRESS_AND_PORT_DEPENDENT)},
    {.name = "change-dropped",
     .world = {.mapping = MAPPING_SHIFTED, .change = CHANGE_DROPPED},
     .watched = true,
     TRUTH(CONE, ENDPOINT_INDEPENDENT, UNKNOWN)},
    {.name = "few-ports",
     .world = {.mapping = MAPPING_FEW_PORTS, .change = CHANGE_DROPPED},
     TRUTH(CONE, ENDPOINT_INDEPENDENT, UNKNOWN)},
    {.name = "names",
     .world = {.mapping = MAPPING_SHIFTED},
     .names = {"no.test", "four.test", "odd.test", "hundred.test"},
     TRUTH(FULL_CONE, ENDPOINT_INDEPENDENT, ENDPOINT_INDEPENDENT)},
    {.name = "name-of-ipv6", .names = {"six.test"}, .needs_ipv6 = true, TRUTH(NO_NAT, NONE, UNKNOWN)},
    {.name = "no-ipv4-route",
     .lack = {.ipv4_route = true},
     .in_loop = true,
     .names = {"both.test"},
     .needs_ipv6 = true,
     TRUTH(NO_NAT, NONE, UNKNOWN)},
    {.name = "gateway",
     .world = {.mapping = MAPPING_SHIFTED},
     .optional = NP_TESTS_GATEWAY,
     TRUTH(FULL_CONE, ENDPOINT_INDEPENDENT, ENDPOINT_INDEPENDENT)},
    {.name = "symmetric",
     .world = {.mapping = MAPPING_BY_ENDPOINT, .filter = DEP_ADDRESS_AND_PORT},
     .lack = {.pktinfo = true},
     TRUTH(SYMMETRIC, ADDRESS_AND_PORT_DEPENDENT, ADDRESS_AND_PORT_DEPENDENT)},
};
const size_t scene_count = sizeof scenes / sizeof scenes[0];

const scene *scene_named(const char *name)
{
    for (size_t i = 0; i < scene_count; i++) {
        if (strcmp(scenes[i].name, name) == 0)
            return &scenes[i];
    }
    fail_msg("no such scene: %s", name);
    return NULL;
}

/* ---- Groups and cases ------------------------------------------------------------------------------------------- */

int scene_group_begin(void **state)
{
    (void)state;
    world_build();
    return 0;
}

int scene_group_end(void **state)
{
    (void)state;
    world_close();
    return 0;
}

/* A failed test leaves from wherever it was. */
int scene_end(void **state)
{
    fault_leave();
    fault_arm(NULL);
    fault_set_lack((fault_lack){0});
    names_release();
    (void)fault_left_over();
    fault_forget_all();
    return support_end(state);
}

/* ---- The caller ------------------------------------------------------------------------------------------------- */

typedef struct caller {
    outcome *out;
    int socket;
    unsigned next_stray;
    bool concluded;
    int32_t conclusion;
    np_probe *probe;
    const scene_moment *moment; /* NULL: none */
    unsigned callbacks;
    unsigned later; /* those after the first act */
    uint64_t acted_ns;
    bool is_running;
} caller;

static caller the_caller;

void scene_cancels(np_probe *probe)
{
    np_probe_cancel(probe);
}

void scene_frees(np_probe *probe)
{
    the_caller.out->freed = true;
    np_probe_free(probe);
}

static void act(caller *c)
{
    c->out->acted = true;
    c->acted_ns = fault_now_ns();
    c->out->acted_in_run = c->is_running;
    c->moment->act(c->probe);
}

static void act_within_call(void *user)
{
    act(user);
}

static void act_again(caller *c)
{
    c->out->acted_again = true;
    c->moment->again(c->probe);
}

static void count_callback(caller *c)
{
    if (c->out->freed)
        fault_mistake("a callback after the handle was freed");
    if (c->moment == NULL)
        return;
    if (c->out->acted && c->moment->again != NULL && ++c->later == c->moment->later)
        act_again(c);
    if (++c->callbacks == c->moment->callback)
        act(c);
}

static void on_line(int32_t level, const char *line, void *user)
{
    caller *c = user;
    count_callback(c);
    if (level < NP_LOG_ERROR || level > NP_LOG_DEBUG || line[0] == '\0' || strchr(line, '\n') != NULL)
        fault_mistake("a line that is none, level %d: \"%s\"", (int)level, line);
    c->out->lines++;
}

static void on_event(const np_event *event, void *user)
{
    caller *c = user;
    count_callback(c);
    if (c->concluded)
        fault_mistake("an event after the conclusion of the whole");
    if (strcmp(np_event_kind_name(event->kind), "unknown") == 0)
        fault_mistake("an event of no kind: %d", (int)event->kind);
    c->concluded = event->kind == NP_EVENT_CONCLUDED && event->purpose == 0;
    c->conclusion = event->error;
    c->out->events++;
}

/*
 * Strays come whole, once and in order, but for those that the system has lost. Answers that ended early, or to
 * requests that the library has given up, may be among them.
 */
static void take_stray(caller *c, const uint8_t *data, size_t size)
{
    if (size >= 20 || size == 0 || data[0] < 4)
        return;
    if (size != 8 || data[0] != 0xFF || data[1] < c->next_stray)
        fault_mistake("a stray that nobody has sent: %zu bytes, %u", size, size > 1 ? data[1] : 0U);
    else
        c->next_stray = data[1] + 1U;
    c->out->strays++;
}

static void on_datagram(const void *data, size_t size, const struct sockaddr *address, size_t address_size, void *user)
{
    if (address == NULL || address_size < sizeof(struct sockaddr_in))
        fault_mistake("a datagram from nowhere");
    count_callback(user);
    take_stray(user, data, size);
}

/* What has been left in the socket. */
static void read_the_rest(caller *c)
{
    uint8_t bytes[512];
    ssize_t size;
    while ((size = recv(c->socket, bytes, sizeof bytes, MSG_DONTWAIT)) >= 0)
        take_stray(c, bytes, (size_t)size);
}

static int open_socket(const scene *s)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    const bool is_six = s->socket_family == AF_INET6;
    const int off = 0, on = 1;
    if (s->socket_family == 0)
        return -1;
    const int fd = socket(s->socket_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (is_six)
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
    if (s->wants_errors)
        assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on), 0);
    const struct sockaddr *name = is_six ? (const struct sockaddr *)&in6 : (const struct sockaddr *)&in4;
    assert_int_equal(bind(fd, name, is_six ? sizeof in6 : sizeof in4), 0);
    return fd;
}

/* ---- A life of a handle ----------------------------------------------------------------------------------------- */

static int set_up(np_probe *probe, const scene *s, int socket, outcome *out)
{
    char text[80];
    int error = NP_OK;
    if (socket >= 0)
        error = np_probe_set_socket(probe, socket, on_datagram, &the_caller);
    else
        assert_int_equal(np_probe_set_source(probe, s->source, s->source_port), NP_OK);
    if (s->names[0] == NULL)
        assert_int_equal(np_probe_add_server(probe, world_name(WORLD_AP)), NP_OK);
    if (s->names[0] == NULL && s->two_servers)
        assert_int_equal(np_probe_add_server(probe, world_name(WORLD_BP)), NP_OK);
    for (unsigned i = 0; i < 4 && s->names[i] != NULL; i++) {
        snprintf(text, sizeof text, "%s:%u", s->names[i], world_port());
        assert_int_equal(np_probe_add_server(probe, text), NP_OK);
    }
    if (s->watched) {
        assert_int_equal(np_probe_set_log(probe, NP_LOG_DEBUG, on_line, &the_caller), NP_OK);
        assert_int_equal(np_probe_set_events(probe, on_event, &the_caller), NP_OK);
    }
    if (s->optional != 0)
        assert_int_equal(np_probe_set_tests(probe, NP_TESTS_DEFAULT | s->optional), NP_OK);
    assert_int_equal(np_probe_set_timeout(probe, SCENE_TIMEOUT_MS), NP_OK);
    assert_int_equal(np_probe_set_response_timeout(probe, SCENE_RESPONSE_TIMEOUT_MS), NP_OK);
    out->error = error;
    return error;
}

static np_probe *make_probe(const scene *s, int socket, outcome *out)
{
    np_probe *probe = the_caller.probe = np_probe_new();
    out->has_handle = probe != NULL;
    out->error = NP_ERR_NO_MEMORY;
    if (probe != NULL)
        (void)set_up(probe, s, socket, out);
    return probe;
}

/* Until there is a result, or the handle was freed. */
static int go_on(np_probe *probe, outcome *out)
{
    const int fd = np_probe_fd(probe);
    int error = NP_PENDING;
    for (unsigned turn = 1; error == NP_PENDING && !out->freed; turn++) {
        fault_wait(fd);
        if (the_caller.moment != NULL && the_caller.moment->turn == turn)
            act(&the_caller);
        if (!out->freed)
            error = np_probe_process(probe, &out->result);
    }
    return error;
}

static void run_in_loop(np_probe *probe, outcome *out)
{
    out->error = np_probe_start(probe);
    if (out->error != NP_OK || out->freed)
        return;
    out->error = go_on(probe, out);
    out->has_result = !out->freed;
}

static void run(np_probe *probe, bool in_loop, outcome *out)
{
    support_poison(&out->result);
    the_caller.concluded = false;
    the_caller.is_running = true;
    if (in_loop) {
        run_in_loop(probe, out);
    } else {
        out->error = np_probe_run(probe, &out->result);
        out->has_result = !out->freed;
    }
    the_caller.is_running = false;
    if (out->has_result)
        out->os_error = out->result.os_error;
}

static void begin(const scene *s, int socket)
{
    fault_clock_reset(s->bend);
    world_reset(&s->world);
    fault_set_lack(s->lack);
    for (unsigned i = 0; socket >= 0 && i < STRAYS; i++)
        world_sends_stray(socket, (1 + 4 * i) * FAULT_MS, i);
}

/* ---- What always holds ------------------------------------------------------------------------------------------ */

static bool is_dependent(int32_t behaviour)
{
    return behaviour == NP_BEHAVIOUR_ADDRESS_DEPENDENT || behaviour == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
}

static bool is_true_behaviour(int32_t said, int32_t truth)
{
    return said == NP_BEHAVIOUR_UNKNOWN || said == truth ||
           (said == NP_BEHAVIOUR_ENDPOINT_DEPENDENT && is_dependent(truth));
}

/* The true type, or one that says less. */
static bool is_true_type(int32_t said, const scene *s)
{
    if (said == NP_NAT_UNKNOWN || said == s->nat_type)
        return true;
    if (s->mapping == NP_BEHAVIOUR_NONE)
        return said == NP_NAT_NO_NAT;
    return s->mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT && said == NP_NAT_CONE;
}

static bool is_true(const scene *s, const np_result *r)
{
    const bool is_blocked = r->nat_type == NP_NAT_UDP_BLOCKED && r->error == NP_ERR_NO_RESPONSE &&
                            r->packets_received == 0;
    if (!is_blocked && !is_true_type(r->nat_type, s))
        return false;
    return is_true_behaviour(r->mapping, s->mapping) && is_true_behaviour(r->filtering, s->filtering);
}

static bool has_true_addresses(const np_result *r)
{
    if (r->external_ip[0] != '\0' && r->local_ip[0] != '\0' && strcmp(r->external_ip, r->local_ip) != 0)
        return false;
    return r->external_port == 0 || r->external_port == world_mapped_port(r->local_port);
}

/* It ends in time, and does not call it a day before. */
static void check_times(const outcome *o)
{
    assert_true(o->result.elapsed_us <= SCENE_TIMEOUT_MS * 1000 + SLACK_US);
    if (o->error == NP_ERR_TIMEOUT)
        assert_true(o->result.elapsed_us >= SCENE_TIMEOUT_MS * 1000);
    if (o->error == NP_ERR_NO_RESPONSE)
        assert_true(o->result.elapsed_us >= SCENE_RESPONSE_TIMEOUT_MS * 1000);
}

static void check(const scene *s, const outcome *o)
{
    if (!o->has_result) {
        assert_true(o->freed || (o->error != NP_OK && o->error != NP_PENDING));
        return;
    }
    support_check_whole(&o->result, o->error);
    assert_true(is_true(s, &o->result));
    assert_true(has_true_addresses(&o->result));
    if (s->bend.at_reading == 0 && s->bend.grain_ns == 0)
        check_times(o);
}

static void check_callbacks(const scene *s, const outcome *o)
{
    if (!s->watched || !o->has_result || o->events == 0 || o->freed)
        return;
    assert_true(the_caller.concluded);
    assert_int_equal(the_caller.conclusion, o->error);
}

bool scene_is_whole(const scene *s, const outcome *o)
{
    return o->has_result && o->error == NP_OK && o->result.nat_type == s->nat_type && o->result.mapping == s->mapping &&
           o->result.filtering == s->filtering;
}

void scene_expect(bool is_right, const scene *s, const fault_plan *plan, const outcome *o)
{
    static const char *const modes[] = {
        "once", "from then on", "every other time", "a third of the time", "two thirds of the time", "eight times"};
    char trouble[200] = "";
    if (is_right)
        return;
    if (plan != NULL)
        snprintf(trouble, sizeof trouble,
                 "%s refused with %d (%s) at turn %u, %s, socket %u, endpoints %#x: ", fault_call_name(plan->call),
                 plan->error, plan->error > 0 ? strerror(plan->error) : "not an errno", plan->turn, modes[plan->mode],
                 plan->socket, plan->endpoints);
    if (!o->has_result)
        fail_msg("%s: %s%s, nothing begun", s->name, trouble, np_error_name(o->error));
    fail_msg("%s: %s%s, errno %d, %s, %s, %s, %u sent, %u received: %s", s->name, trouble, np_error_name(o->error),
             o->os_error, np_nat_type_name(o->result.nat_type), np_behaviour_name(o->result.mapping),
             np_behaviour_name(o->result.filtering), o->result.packets_sent, o->result.packets_received,
             o->result.detail);
}

/* With the system as it should be, the same handle gives the verdict. The mapping alone costs a fraction of it. */
static void check_works_again(np_probe *probe, const scene *s, int socket, bool whole)
{
    outcome again;
    memset(&again, 0, sizeof again);
    the_caller = (caller){.out = &again, .socket = socket};
    scene straight = *s;
    straight.bend = (fault_bend){0};
    straight.world = s->again_in != NULL ? *s->again_in : s->world;
    fault_leave();
    begin(&straight, -1);
    fault_enter();
    assert_int_equal(np_probe_set_tests(probe, whole ? NP_TESTS_FILTERING : NP_TESTS_MAPPING), NP_OK);
    run(probe, s->in_loop, &again);
    const bool is_right = again.error == NP_OK && again.result.mapping == s->mapping &&
                          (!whole || scene_is_whole(s, &again));
    scene_expect(is_right, s, NULL, &again);
}

static void check_nothing_is_left(const scene *s, const fault_plan *plan, const outcome *o)
{
    names_release();
    const char *what = fault_left_over();
    if (what == NULL)
        return;
    print_error("%s\n", what);
    scene_expect(false, s, plan, o);
}

static void check_held(const scene *s, const fault_plan *plan, const outcome *o)
{
    const np_result *r = &o->result;
    const bool holds = !o->has_result || (is_true(s, r) && has_true_addresses(r));
    scene_expect(holds, s, plan, o);
    check(s, o);
    check_callbacks(s, o);
}

/* So many descriptors less one are left, wherever the holes are. */
static rlim_t limit_descriptors(unsigned descriptors)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const rlim_t before = limit.rlim_cur;
    unsigned free_ones = 0;
    for (rlim_t fd = 0; descriptors > 0 && fd < before && free_ones < descriptors; fd++) {
        free_ones += fcntl((int)fd, F_GETFD) < 0;
        limit.rlim_cur = fd;
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void restore_descriptors(rlim_t before)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void note_calls(outcome *out)
{
    out->refused = fault_refused();
    out->spins = fault_most_spins();
    out->readings = fault_readings();
    out->after_ns = out->acted ? fault_now_ns() - the_caller.acted_ns : 0;
    for (int c = 0; c < FAULT_CALLS; c++)
        out->made[c] = fault_made((fault_call)c);
}

/* A handle made and used once, with the trouble that there is to be. */
static np_probe *live(const scene *s, const fault_plan *plan, const scene_moment *moment, int socket, outcome *out)
{
    memset(out, 0, sizeof *out);
    the_caller = (caller){.out = out, .socket = socket, .moment = moment};
    begin(s, socket);
    const rlim_t limit = limit_descriptors(moment != NULL ? moment->descriptors : 0);
    fault_arm(plan);
    if (moment != NULL && moment->call > 0)
        fault_set_hook(moment->call - 1, act_within_call, &the_caller);
    fault_enter();
    np_probe *probe = make_probe(s, socket, out);
    if (probe != NULL && out->error == NP_OK)
        run(probe, s->in_loop, out);
    fault_leave();
    note_calls(out);
    fault_set_hook(0, NULL, NULL);
    fault_arm(NULL);
    restore_descriptors(limit);
    if (moment != NULL && moment->undo != NULL)
        moment->undo(probe);
    the_caller.moment = NULL;
    return out->freed ? NULL : probe;
}

void scene_play_with(const scene *s, const fault_plan *plan, const scene_moment *moment, outcome *out)
{
    const int socket = open_socket(s);
    np_probe *probe = live(s, plan, moment, socket, out);
    if (socket >= 0) {
        read_the_rest(&the_caller);
        assert_int_equal(out->strays, world_strays());
    }
    check_held(s, plan, out);
    fault_enter();
    if (probe != NULL && socket >= 0 && !out->has_result)
        assert_int_equal(np_probe_set_socket(probe, socket, on_datagram, &the_caller), NP_OK);
    if (probe != NULL)
        check_works_again(probe, s, socket, plan == NULL || plan->turn == 0);
    np_probe_free(probe);
    fault_leave();
    if (socket >= 0)
        close(socket);
    check_nothing_is_left(s, plan, out);
}

void scene_play(const scene *s, const fault_plan *plan, outcome *out)
{
    scene_play_with(s, plan, NULL, out);
}

/* ---- How much of it --------------------------------------------------------------------------------------------- */

bool scene_is_small(void)
{
    const char *scale = getenv("NP_SIM_SCALE");
    return scale != NULL && strcmp(scale, "small") == 0;
}

unsigned scene_turn_after(unsigned turn)
{
    return scene_is_small() ? turn + 1 + turn : turn + 1;
}

void scene_skip_without_ipv6(const scene *s)
{
    if (!s->needs_ipv6 || world_has_ipv6())
        return;
    print_message("# this host has no IPv6\n");
    skip();
}
