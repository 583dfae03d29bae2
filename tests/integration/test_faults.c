/* SPDX-License-Identifier: MIT */
/*
 * The system refuses: every call that the library makes fails at every one of its turns, with every error that it can
 * have, once and from then on, in every scene (fault_scene.h). What passes is outlived; what stays is reported under
 * its own code; no verdict is untrue, nothing hangs, and nothing is left behind.
 *
 *     test-faults          what the test itself can see, and which codes there are
 *     test-faults SCENE    all of it in that scene
 */
#include "fault_errors.h"
#include "fault_scene.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- How much of it --------------------------------------------------------------------------------------------- */

/* On the small scale one error of each kind has to do. */
static bool is_of_a_kind(const fault_error *a, const fault_error *b)
{
    return a->call == b->call && a->weight == b->weight && a->code == b->code;
}

static bool is_wanted(size_t index)
{
    return !scene_is_small() || index == 0 || !is_of_a_kind(&fault_errors[index], &fault_errors[index - 1]);
}

/* ---- What is right ---------------------------------------------------------------------------------------------- */

/*
 * Where no datagram tells the local address, a socket beside the source socket has to. Its errors are no word on the
 * source address or the network, both of which are in use.
 */
static bool is_for_local_address(const scene *s, const fault_error *e)
{
    const bool is_looked_up = s->lack.pktinfo || s->socket_family != 0;
    return is_looked_up && (e->call == CALL_SOCKET || e->call == CALL_BIND);
}

/* As the library reports it: no address to send from is no way to the network. */
static int reported(const fault_error *e)
{
    return e->call == CALL_SENDTO && e->error == EADDRNOTAVAIL ? ENETUNREACH : e->error;
}

/* The code for what was refused, with the errno behind it. */
static bool has_code(const scene *s, const fault_error *e, const outcome *o)
{
    if (is_for_local_address(s, e) && o->error == NP_ERR_SYSTEM && o->result.packets_sent > 0)
        return o->os_error == e->error;
    if (e->code == NP_OK || o->error != e->code)
        return false;
    if (!o->has_result)
        return o->has_handle; /* np_probe_start() says no more */
    if (e->call == CALL_GETSOCKOPT)
        return o->os_error == 0; /* no option of a UDP socket: it is none */
    if (e->call == CALL_MUTEX_INIT)
        return o->os_error == ENOMEM;
    return o->os_error == reported(e);
}

/* A socket of the caller's of which the system tells nothing is no UDP socket. */
static bool is_no_socket(const scene *s, const fault_error *e, const outcome *o)
{
    return s->socket_family != 0 && (e->call == CALL_GETSOCKNAME || e->call == CALL_GETSOCKOPT) &&
           o->error == NP_ERR_ARGUMENT && o->os_error == 0;
}

/* What ended IPv4 stands where IPv6 fails for the like. */
static bool stands_for_ipv4(const scene *s, const fault_error *e, const outcome *o)
{
    const bool is_the_like = e->weight == FAULT_OF_NAME || e->code == NP_ERR_NETWORK_UNREACHABLE;
    if (s->names[0] == NULL || !is_the_like)
        return false;
    return s->lack.ipv4_route ? o->error == NP_ERR_NETWORK_UNREACHABLE && o->os_error == ENETUNREACH
                              : o->error == NP_ERR_RESOLVE && o->os_error != 0;
}

/* Without a second socket the mapping is known, the filtering is not, and the detail says why. */
static bool lacks_second_socket(const scene *s, const fault_error *e, const outcome *o)
{
    return o->error == NP_OK && o->result.mapping == s->mapping && o->result.filtering == NP_BEHAVIOUR_UNKNOWN &&
           strstr(o->result.detail, "no second socket: ") != NULL &&
           strstr(o->result.detail, fault_call_name(e->call)) != NULL &&
           strstr(o->result.detail, strerror(e->error)) != NULL;
}

/* The check came to its end without what the system kept back: less than the truth, and nothing untrue. */
static bool went_short(const fault_error *e, const outcome *o)
{
    const np_result *r = &o->result;
    if (!o->has_result || (o->os_error != 0 && (e->call != CALL_SENDTO || o->os_error != reported(e))))
        return false;
    if (o->error == NP_ERR_NO_RESPONSE)
        return r->packets_sent > 0 && r->packets_received == 0;
    if (o->error == NP_ERR_BAD_RESPONSE)
        return e->error == FAULT_SHORT;
    return o->error == NP_OK || o->error == NP_ERR_INCONCLUSIVE || o->error == NP_ERR_TIMEOUT;
}

static bool is_resolved_otherwise(const fault_error *e, const outcome *o)
{
    if (o->error != NP_ERR_RESOLVE)
        return false;
    return e->call != CALL_GETADDRINFO ? o->os_error == EAI_SYSTEM : o->os_error != 0;
}

static bool is_drawn(const fault_plan *plan)
{
    return plan->mode == FAULT_A_THIRD || plan->mode == FAULT_TWO_THIRDS;
}

/* Without the whole verdict: what passes at once takes nothing away from it. */
static bool is_outlived(const scene *s, const fault_plan *plan, const fault_error *e, const outcome *o)
{
    if (s->lack.ipv4_route && has_code(s, e, o)) /* among many refusals the last one counts */
        return true;
    const bool lasts = plan->mode == FAULT_FOREVER || plan->mode == FAULT_EVERY_OTHER || is_drawn(plan);
    return lasts && (has_code(s, e, o) || went_short(e, o) || stands_for_ipv4(s, e, o));
}

static bool is_right(const scene *s, const fault_plan *plan, const fault_error *e, const outcome *o)
{
    if (!o->has_handle)
        return e->call == CALL_MALLOC && plan->turn == 0;
    if (scene_is_whole(s, o))
        return true;
    switch (e->weight) {
    case FAULT_HARMLESS:
        return false;
    case FAULT_PASSING:
        return is_outlived(s, plan, e, o);
    case FAULT_FATAL:
        return has_code(s, e, o) || is_no_socket(s, e, o) || stands_for_ipv4(s, e, o) || lacks_second_socket(s, e, o);
    case FAULT_OF_NAME:
        return is_resolved_otherwise(e, o) || stands_for_ipv4(s, e, o);
    }
    return false;
}

/* What else might have been the cause of less than a verdict, and here is none. */
static bool blames_others(const scene *s, const char *detail)
{
    static const char *const others[] = {"second address (RFC 5780)",
                                         "a second server",
                                         "another server",
                                         "other servers",
                                         "more servers",
                                         "too slowly",
                                         "fell silent",
                                         "lost",
                                         "may have changed",
                                         "UDP is blocked",
                                         "ran out before"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strstr(detail, others[i]) != NULL && s->filtering != NP_BEHAVIOUR_UNKNOWN)
            return true;
    }
    return strstr(detail, "CHANGE-REQUEST") != NULL && s->world.change != CHANGE_DROPPED;
}

/* Where no name at all could be looked up, the reason names what the system said: no threads left, say. */
static bool names_cause_of_name(const fault_plan *plan, const fault_error *e, const outcome *o)
{
    const bool is_certain = plan->mode == FAULT_FOREVER && plan->turn == 0 && o->error == NP_ERR_RESOLVE;
    const char *said = e->call == CALL_GETADDRINFO && e->error != EAI_SYSTEM ? gai_strerror(e->error)
                                                                             : strerror(e->error);
    if (!is_certain || (e->call == CALL_GETADDRINFO && e->error == EAI_SYSTEM))
        return true;
    return strstr(o->result.detail, said) != NULL && strstr(o->result.detail, "cannot resolve ") != NULL;
}

static bool names_cause_of_sending(const fault_error *e, const char *detail)
{
    return strstr(detail, "sendto: ") != NULL && strstr(detail, strerror(reported(e))) != NULL;
}

/* No reason at all, and so no false one. */
static bool blames_nobody(const char *detail)
{
    return strstr(detail, "could not be finished") != NULL ||
           strcmp(detail, "the time allowed ran out before enough answers had come") == 0;
}

/*
 * Where the system would not send, the reason names the call and what the system said, and nobody else. Where some
 * copies of each request left and others did not, it may give none.
 */
static bool gives_cause(const scene *s, const fault_plan *plan, const fault_error *e, const outcome *o)
{
    const char *detail = o->result.detail;
    if (o->has_result && e->weight == FAULT_OF_NAME && !names_cause_of_name(plan, e, o))
        return false;
    if (e->call != CALL_SENDTO || !o->has_result || scene_is_whole(s, o) || stands_for_ipv4(s, e, o))
        return true;
    if (is_drawn(plan) && blames_nobody(detail))
        return true;
    return names_cause_of_sending(e, detail) && !blames_others(s, detail);
}

/* Returns whether anything was refused: if not, the call is not made that often. */
static bool play_refused(const scene *s, const fault_plan *plan, const fault_error *e)
{
    outcome o;
    scene_play(s, plan, &o);
    if (o.refused == 0)
        return false;
    const bool right = is_right(s, plan, e, &o) && gives_cause(s, plan, e, &o);
    scene_expect(right, s, plan, &o);
    return true;
}

/* ---- A scene ---------------------------------------------------------------------------------------------------- */

/* What was counted when nothing was refused. */
static unsigned made[FAULT_CALLS];

static void count_calls(const scene *s)
{
    static const fault_plan never = {.call = CALL_MALLOC, .turn = UINT32_MAX};
    outcome o;
    scene_play(s, &never, &o);
    assert_int_equal(o.refused, 0);
    scene_expect(scene_is_whole(s, &o), s, NULL, &o);
    assert_true(o.spins <= 4);
    memcpy(made, o.made, sizeof made);
}

static void whole_verdict_without_refusals(void **state)
{
    const scene *s = *state;
    outcome o;
    scene_skip_without_ipv6(s);
    for (int i = 0; i < 3; i++) {
        scene_play(s, NULL, &o);
        assert_true(scene_is_whole(s, &o));
        if (s->socket_family != 0)
            assert_true(o.strays > 0);
        if (s->watched)
            assert_true(o.events > 0 && o.lines > 0);
    }
}

static void refuse_all(const scene *s, fault_mode mode)
{
    scene_skip_without_ipv6(s);
    count_calls(s);
    for (size_t i = 0; i < fault_error_count; i++) {
        const fault_error *e = &fault_errors[i];
        /* To be interrupted for ever is not a fault but a busy loop of the system's. */
        if (!is_wanted(i) ||
            (mode == FAULT_FOREVER && e->error == EINTR && e->call != CALL_POLL && e->call != CALL_CLOSE))
            continue;
        unsigned turn = 0;
        while (play_refused(s, &(fault_plan){.call = e->call, .turn = turn, .mode = mode, .error = e->error}, e))
            turn = scene_turn_after(turn);
        if (made[e->call] > 0)
            assert_true(turn > 0);
    }
}

static void each_call_refused_once(void **state)
{
    refuse_all(*state, FAULT_ONCE);
}

static void each_call_refused_from_then_on(void **state)
{
    refuse_all(*state, FAULT_FOREVER);
}

/* As a storm of signals, a full queue or a flood of ICMP messages would. */
static void calls_refused_every_other_time(void **state)
{
    static const int errors[] = {EINTR, EAGAIN, ECONNREFUSED, ENETUNREACH, ENOBUFS, EPERM, FAULT_SHORT};
    const scene *s = *state;
    scene_skip_without_ipv6(s);
    for (size_t i = 0; i < fault_error_count; i++) {
        const fault_error *e = &fault_errors[i];
        bool is_wanted_error = false;
        for (size_t k = 0; k < sizeof errors / sizeof errors[0]; k++)
            is_wanted_error |= e->error == errors[k];
        for (unsigned turn = 0; is_wanted_error && turn < 2; turn++)
            (void)play_refused(s, &(fault_plan){e->call, turn, FAULT_EVERY_OTHER, e->error, 0, 0}, e);
    }
}

enum { SEEDS = 24 };

/* As by a firewall of the host's that limits rates, whichever sends they are. */
static void sends_refused_at_random(void **state)
{
    const scene *s = *state;
    scene_skip_without_ipv6(s);
    for (size_t i = 0; i < fault_error_count; i++) {
        const fault_error *e = &fault_errors[i];
        if (e->call != CALL_SENDTO || e->error != EPERM)
            continue;
        for (unsigned seed = 1; seed <= SEEDS; seed++) {
            (void)play_refused(s, &(fault_plan){e->call, seed, FAULT_A_THIRD, e->error, 0, 0}, e);
            (void)play_refused(s, &(fault_plan){e->call, seed, FAULT_TWO_THIRDS, e->error, 0, 0}, e);
        }
    }
}

/* A call that was interrupted is made again, as often as it takes. */
static void storms_of_signals_are_outlived(void **state)
{
    const scene *s = *state;
    scene_skip_without_ipv6(s);
    for (size_t i = 0; i < fault_error_count; i++) {
        const fault_error *e = &fault_errors[i];
        if (e->error != EINTR || e->weight == FAULT_FATAL)
            continue;
        unsigned turn = 0;
        while (play_refused(s, &(fault_plan){e->call, turn, FAULT_STORM, EINTR, 0, 0}, e))
            turn = scene_turn_after(turn);
    }
}

static unsigned slow_turn_after(unsigned turn)
{
    return turn + 1 + turn / 2;
}

/* The source socket or a filtering socket alone. */
static void one_socket_refused_from_then_on(void **state)
{
    const scene *s = *state;
    scene_skip_without_ipv6(s);
    for (size_t i = 0; i < fault_error_count; i++) {
        const fault_error *e = &fault_errors[i];
        if (!is_wanted(i) || e->error == EINTR || (e->call != CALL_SENDTO && e->call != CALL_RECVMSG))
            continue;
        for (unsigned socket = 1; socket <= 2; socket++) {
            unsigned turn = 0;
            while (play_refused(s, &(fault_plan){e->call, turn, FAULT_FOREVER, e->error, socket, 0}, e))
                turn = slow_turn_after(turn);
        }
    }
}

/* As a firewall of the host's would that minds some addresses or ports. */
static void some_endpoints_refused_from_then_on(void **state)
{
    static const unsigned endpoints[] = {1U << WORLD_AP,
                                         1U << WORLD_AQ,
                                         1U << WORLD_BP,
                                         1U << WORLD_BQ,
                                         1U << WORLD_BP | 1U << WORLD_BQ,
                                         1U << WORLD_AQ | 1U << WORLD_BQ};
    const scene *s = *state;
    scene_skip_without_ipv6(s);
    for (size_t i = 0; i < fault_error_count; i++) {
        const fault_error *e = &fault_errors[i];
        if (!is_wanted(i) || e->call != CALL_SENDTO || e->error == EINTR)
            continue;
        for (size_t k = 0; k < sizeof endpoints / sizeof endpoints[0]; k++) {
            unsigned turn = 0;
            while (play_refused(s, &(fault_plan){e->call, turn, FAULT_FOREVER, e->error, 0, endpoints[k]}, e))
                turn = slow_turn_after(turn);
        }
    }
}

static int run_scene(const scene *s)
{
    void *state = (void *)(uintptr_t)s;
#define IN_SCENE(f)                                                                                                    \
    {                                                                                                                  \
#f, f, support_begin, scene_end, state                                                                         \
    }
    const struct CMUnitTest tests[] = {
        IN_SCENE(whole_verdict_without_refusals),  IN_SCENE(each_call_refused_once),
        IN_SCENE(each_call_refused_from_then_on),  IN_SCENE(calls_refused_every_other_time),
        IN_SCENE(sends_refused_at_random),         IN_SCENE(storms_of_signals_are_outlived),
        IN_SCENE(one_socket_refused_from_then_on), IN_SCENE(some_endpoints_refused_from_then_on),
    };
    return cmocka_run_group_tests(tests, scene_group_begin, scene_group_end);
}

/* ---- Codes ------------------------------------------------------------------------------------------------------ */

/* Memory has no more to say than its code. */
static bool is_named(const fault_error *e, const outcome *o)
{
    if (!o->has_result || e->call == CALL_MUTEX_INIT)
        return true;
    return strstr(o->result.detail, fault_call_name(e->call)) != NULL &&
           strstr(o->result.detail, strerror(reported(e))) != NULL;
}

/* From the beginning, and for good: each has its own code, whatever else it might have been, and its reason. */
static void what_stays_has_its_own_code(void **state)
{
    const scene *s = scene_named("open");
    (void)state;
    count_calls(s);
    for (size_t i = 0; i < fault_error_count; i++) {
        const fault_error *e = &fault_errors[i];
        outcome o;
        const bool matters = e->code != NP_OK && made[e->call] > 0 && e->call != CALL_SETSOCKOPT;
        if (!matters || e->call == CALL_MALLOC)
            continue;
        const fault_plan plan = {.call = e->call, .turn = 0, .mode = FAULT_FOREVER, .error = e->error};
        scene_play(s, &plan, &o);
        const bool is_code = has_code(s, e, &o) && is_named(e, &o);
        scene_expect(is_code, s, &plan, &o);
    }
}

/* With the built-in servers, whose names lead nowhere in this world. */
static bool refuse_in_one_call(const fault_error *e, unsigned turn)
{
    const fault_plan plan = {.call = e->call, .turn = turn, .error = e->error};
    const world_config world = {0};
    np_result result;
    fault_clock_reset((fault_bend){0});
    world_reset(&world);
    support_poison(&result);
    fault_arm(&plan);
    fault_enter();
    const int error = np_check_nat(NULL, 0, &result);
    fault_leave();
    const unsigned refused = fault_refused();
    fault_arm(NULL);
    support_check_whole(&result, error);
    assert_true(error == NP_ERR_RESOLVE || (error == e->code && result.os_error != 0));
    assert_null(fault_left_over());
    return refused > 0;
}

static void one_call_refused_anything_is_no_different(void **state)
{
    unsigned refused = 0;
    (void)state;
    for (size_t i = 0; i < fault_error_count; i++) {
        unsigned turn = 0;
        while (refuse_in_one_call(&fault_errors[i], turn))
            turn = scene_turn_after(turn);
        refused += turn;
    }
    assert_true(refused > 100);
}

/* Each family is refused on its own: the other's result is what it would have been. */
static bool refuse_in_both_families(const fault_error *e, unsigned turn)
{
    const fault_plan plan = {.call = e->call, .turn = turn, .error = e->error};
    const world_config world = {0};
    np_result results[2];
    fault_clock_reset((fault_bend){0});
    world_reset(&world);
    support_poison(&results[0]);
    support_poison(&results[1]);
    fault_arm(&plan);
    fault_enter();
    const int error = np_check_nat_dual(&results[0], &results[1]);
    fault_leave();
    const unsigned refused = fault_refused();
    fault_arm(NULL);
    for (int i = 0; i < 2; i++) {
        support_check_whole(&results[i], results[i].error);
        assert_true(results[i].error == NP_ERR_RESOLVE || (results[i].error == e->code && results[i].os_error != 0));
    }
    assert_true(e->call == CALL_POLL || results[0].error == NP_ERR_RESOLVE || results[1].error == NP_ERR_RESOLVE);
    const bool has_no_ipv4 = results[0].error == NP_ERR_RESOLVE || results[0].error == NP_ERR_NETWORK_UNREACHABLE;
    assert_int_equal(error, results[has_no_ipv4].error);
    assert_null(fault_left_over());
    return refused > 0;
}

static void a_family_that_is_refused_anything_leaves_the_other_alone(void **state)
{
    unsigned refused = 0;
    (void)state;
    for (size_t i = 0; i < fault_error_count; i++) {
        unsigned turn = 0;
        while (refuse_in_both_families(&fault_errors[i], turn))
            turn = scene_turn_after(turn);
        refused += turn;
    }
    assert_true(refused > 100);
}

static void every_call_is_made_in_some_scene(void **state)
{
    unsigned all[FAULT_CALLS] = {0};
    (void)state;
    for (size_t i = 0; i < scene_count; i++) {
        if (scenes[i].needs_ipv6 && !world_has_ipv6())
            continue;
        count_calls(&scenes[i]);
        for (int c = 0; c < FAULT_CALLS; c++)
            all[c] += made[c];
    }
    for (int c = 0; c < FAULT_CALLS; c++) {
        if (all[c] == 0)
            print_error("never called: %s\n", fault_call_name((fault_call)c));
        assert_true(all[c] > 0);
    }
}

/* A world without a random choice of the library's plays the same way twice. */
static void the_same_calls_are_made_again(void **state)
{
    unsigned before[FAULT_CALLS];
    (void)state;
    count_calls(scene_named("open"));
    memcpy(before, made, sizeof before);
    for (int i = 0; i < 20; i++) {
        count_calls(scene_named("open"));
        assert_memory_equal(before, made, sizeof before);
    }
}

/* ---- What the test itself can see ------------------------------------------------------------------------------- */

static void expect_left_over(const char *what)
{
    const char *found = fault_left_over();
    if (found == NULL || strstr(found, what) == NULL)
        print_error("found: %s\n", found != NULL ? found : "nothing");
    assert_true(found != NULL && strstr(found, what) != NULL);
    fault_forget_all();
    assert_null(fault_left_over());
}

/* A compiler leaves out memory that nobody uses. */
static void *(*volatile allocate)(size_t size) = malloc;

static void a_descriptor_left_open_is_seen(void **state)
{
    (void)state;
    fault_enter();
    const int fd = eventfd(0, EFD_CLOEXEC);
    fault_leave();
    expect_left_over("left open: descriptor");
    close(fd);
}

static void a_descriptor_closed_twice_is_seen(void **state)
{
    (void)state;
    fault_enter();
    const int fd = eventfd(0, EFD_CLOEXEC);
    close(fd);
    close(fd);
    fault_leave();
    expect_left_over("that is not the library's");
}

static void memory_not_freed_is_seen(void **state)
{
    (void)state;
    fault_enter();
    void *block = allocate(10);
    fault_leave();
    expect_left_over("memory that was not freed");
    free(block);
}

static void memory_of_others_freed_is_seen(void **state)
{
    (void)state;
    void *block = allocate(10);
    fault_enter();
    free(block);
    fault_leave();
    expect_left_over("memory that is not the library's");
}

static void addresses_not_freed_are_seen(void **state)
{
    struct addrinfo *list = NULL;
    (void)state;
    fault_enter();
    assert_int_equal(getaddrinfo("four.test", NULL, NULL, &list), 0);
    fault_leave();
    expect_left_over("a list of addresses");
    names_free(list);
}

static void a_clock_of_another_kind_is_seen(void **state)
{
    struct timespec now;
    (void)state;
    fault_enter();
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    fault_leave();
    expect_left_over("a clock was asked that does not show the time");
}

/* Each of these outcomes is wrong for what was refused. */
static void wrong_outcomes_are_seen(void **state)
{
    static const scene s = {.nat_type = NP_NAT_FULL_CONE,
                            .mapping = NP_BEHAVIOUR_ENDPOINT_INDEPENDENT,
                            .filtering = NP_BEHAVIOUR_ENDPOINT_INDEPENDENT};
    const fault_plan once = {.call = CALL_SOCKET, .error = EMFILE}, ever = {.call = CALL_SOCKET, .mode = FAULT_FOREVER};
    const fault_error fatal = {CALL_SOCKET, EMFILE, FAULT_FATAL, NP_ERR_SYSTEM};
    const fault_error passing = {CALL_RECVMSG, ECONNREFUSED, FAULT_PASSING, NP_OK};
    const fault_error harmless = {CALL_CLOSE, EINTR, FAULT_HARMLESS, NP_OK};
    outcome o = {.has_handle = true, .has_result = true, .error = NP_ERR_SYSTEM, .os_error = EMFILE};
    (void)state;
    assert_true(is_right(&s, &once, &fatal, &o));
    assert_false(is_right(&s, &once, &passing, &o));
    assert_false(is_right(&s, &once, &harmless, &o));
    o.os_error = 0; /* it does not say why */
    assert_false(is_right(&s, &once, &fatal, &o));
    o.os_error = EMFILE;
    o.error = NP_ERR_NO_MEMORY;
    assert_false(is_right(&s, &once, &fatal, &o));
    o = (outcome){.has_handle = true, .has_result = true, .error = NP_ERR_TIMEOUT};
    assert_false(is_right(&s, &once, &fatal, &o));
    assert_false(is_right(&s, &once, &passing, &o));
    assert_true(is_right(&s, &ever, &passing, &o));
    o.error = NP_ERR_NO_RESPONSE; /* to nothing */
    assert_false(is_right(&s, &ever, &passing, &o));
    o.result.packets_sent = 1;
    assert_true(is_right(&s, &ever, &passing, &o));
    o = (outcome){.error = NP_ERR_NO_MEMORY};
    assert_false(is_right(&s, &once, &fatal, &o));
}

static void false_reasons_are_seen(void **state)
{
    static const scene s = {.nat_type = NP_NAT_CONE,
                            .mapping = NP_BEHAVIOUR_ENDPOINT_INDEPENDENT,
                            .filtering = NP_BEHAVIOUR_ADDRESS_DEPENDENT};
    static const char *const reasons[] = {
        "filtering unknown: no server that answered has a second address (RFC 5780) to test it with",
        "filtering unknown: the server ignores what the test asks for (CHANGE-REQUEST): name another server",
        "filtering unknown: too many datagrams are lost to tell silence from loss: try again",
        "filtering unknown: the test could not be finished, sendto: No space left on device",
    };
    const fault_error e = {CALL_SENDTO, EPERM, FAULT_PASSING, NP_ERR_NETWORK_UNREACHABLE};
    outcome o = {.has_handle = true, .has_result = true};
    (void)state;
    for (int mode = FAULT_ONCE; mode <= FAULT_STORM; mode++) {
        const fault_plan plan = {.call = CALL_SENDTO, .turn = 1, .mode = (fault_mode)mode, .error = EPERM};
        for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
            snprintf(o.result.detail, sizeof o.result.detail, "%s", reasons[i]);
            assert_int_equal(gives_cause(&s, &plan, &e, &o), is_drawn(&plan) && i == 3);
        }
        snprintf(o.result.detail, sizeof o.result.detail, "filtering unknown: sendto: %s", strerror(EPERM));
        assert_true(gives_cause(&s, &plan, &e, &o));
    }
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        SCENE_CASE(a_descriptor_left_open_is_seen),
        SCENE_CASE(a_descriptor_closed_twice_is_seen),
        SCENE_CASE(memory_not_freed_is_seen),
        SCENE_CASE(memory_of_others_freed_is_seen),
        SCENE_CASE(addresses_not_freed_are_seen),
        SCENE_CASE(a_clock_of_another_kind_is_seen),
        SCENE_CASE(wrong_outcomes_are_seen),
        SCENE_CASE(false_reasons_are_seen),
        SCENE_CASE(every_call_is_made_in_some_scene),
        SCENE_CASE(the_same_calls_are_made_again),
        SCENE_CASE(what_stays_has_its_own_code),
        SCENE_CASE(one_call_refused_anything_is_no_different),
        SCENE_CASE(a_family_that_is_refused_anything_leaves_the_other_alone),
    };
    if (count > 1)
        return run_scene(scene_named(arguments[1]));
    return cmocka_run_group_tests(tests, scene_group_begin, scene_group_end);
}
