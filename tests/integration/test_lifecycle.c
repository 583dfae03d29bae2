/* SPDX-License-Identifier: MIT */
/*
 * A check that is given up at every moment there is: cancelled from within each call that the library makes of the
 * system, cancelled and freed from within each callback and before each turn, forked in between. It ends at once,
 * nothing is left behind, nothing calls back any more, and a handle that is left works again (fault_scene.h).
 */
#include "fault_scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a check may still take on the clock of fault_clock.h: no wait, but each reading and each circle takes a little.
 */
#define AT_ONCE_NS FAULT_MS

static bool was_given_up(const outcome *o)
{
    return o->error == NP_ERR_CANCELLED && o->os_error == 0 && o->result.nat_type == NP_NAT_UNKNOWN;
}

/* Where the verdict was there first, it stands. Before the run there is nothing to cancel. */
static void check_cancelled(const scene *s, const outcome *o)
{
    const bool ends_at_once = (was_given_up(o) || scene_is_whole(s, o)) && o->after_ns <= AT_ONCE_NS;
    scene_expect(o->acted_in_run ? ends_at_once : scene_is_whole(s, o), s, NULL, o);
}

/* All ways to use the library, with everything that calls back. */
static scene watched(size_t index)
{
    scene s = scenes[index];
    s.watched = true;
    return s;
}

typedef void (*in_scene)(const scene *s);

static void in_all_scenes(in_scene function)
{
    for (size_t i = 0; i < scene_count; i++) {
        const scene s = watched(i);
        if (s.needs_ipv6 && !world_has_ipv6())
            print_message("# %s: this host has no IPv6\n", s.name);
        else
            function(&s);
    }
}

/* ---- Cancelled -------------------------------------------------------------------------------------------------- */

static void cancel_within_calls_of(const scene *s)
{
    unsigned cancelled = 0, n = 2; /* the first one makes the handle */
    for (;; n = scene_turn_after(n)) {
        const scene_moment moment = {.act = scene_cancels, .call = n};
        outcome o;
        scene_play_with(s, NULL, &moment, &o);
        if (!o.acted)
            break;
        check_cancelled(s, &o);
        cancelled += was_given_up(&o);
    }
    assert_true(n > 30);
    assert_true(cancelled > 0);
}

static void cancelled_from_within_each_call(void **state)
{
    (void)state;
    in_all_scenes(cancel_within_calls_of);
}

static void cancel_in_callbacks_of(const scene *s)
{
    for (unsigned n = 1;; n = scene_turn_after(n)) {
        const scene_moment moment = {.act = scene_cancels, .callback = n};
        outcome o;
        scene_play_with(s, NULL, &moment, &o);
        if (!o.acted) {
            assert_true(n > 4);
            return;
        }
        check_cancelled(s, &o);
    }
}

static void cancelled_from_each_callback(void **state)
{
    (void)state;
    in_all_scenes(cancel_in_callbacks_of);
}

static void cancel_before_turns_of(const scene *s)
{
    scene in_loop = *s;
    in_loop.in_loop = true;
    for (unsigned n = 1;; n = scene_turn_after(n)) {
        const scene_moment moment = {.act = scene_cancels, .turn = n};
        outcome o;
        scene_play_with(&in_loop, NULL, &moment, &o);
        if (!o.acted)
            return;
        check_cancelled(&in_loop, &o);
    }
}

static void cancelled_before_each_turn(void **state)
{
    (void)state;
    in_all_scenes(cancel_before_turns_of);
}

static void cancel_at_request(const np_event *event, void *user)
{
    if (event->kind == NP_EVENT_SENT)
        np_probe_cancel(user);
}

/* Not even the other requests of the same moment. */
static void nothing_is_sent_after_a_cancellation(void **state)
{
    np_result r;
    np_probe *probe = np_probe_new();
    (void)state;
    assert_non_null(probe);
    assert_int_equal(np_probe_add_server(probe, "127.0.0.1:9"), NP_OK);
    assert_int_equal(np_probe_set_events(probe, cancel_at_request, probe), NP_OK);
    assert_int_equal(np_probe_run(probe, &r), NP_ERR_CANCELLED);
    assert_int_equal(r.packets_sent, 1);
    np_probe_free(probe);
}

/* ---- Freed ------------------------------------------------------------------------------------------------------ */

static unsigned free_in(const scene *s, bool in_callback)
{
    scene in_loop = *s;
    in_loop.in_loop |= !in_callback;
    for (unsigned n = 1;; n = scene_turn_after(n)) {
        const scene_moment moment = {.act = scene_frees, .callback = in_callback ? n : 0, .turn = in_callback ? 0 : n};
        outcome o;
        scene_play_with(&in_loop, NULL, &moment, &o);
        if (!o.acted)
            return n;
        assert_true(o.freed);
        assert_true(o.after_ns <= AT_ONCE_NS);
    }
}

static void free_in_callbacks_of(const scene *s)
{
    assert_true(free_in(s, true) > 4);
}

static void freed_from_each_callback(void **state)
{
    (void)state;
    in_all_scenes(free_in_callbacks_of);
}

static void free_before_turns_of(const scene *s)
{
    assert_true(free_in(s, false) > 1);
}

static void freed_before_each_turn(void **state)
{
    (void)state;
    in_all_scenes(free_before_turns_of);
}

/* ---- Cancelled, and then freed ---------------------------------------------------------------------------------- */

/* Both servers' filtering tests are concluded when the check ends, one right after the other. */
static const scene ignoring = {.name = "two servers that ignore CHANGE-REQUEST",
                               .two_servers = true,
                               .watched = true,
                               .world = {.mapping = MAPPING_SHIFTED, .change = CHANGE_IGNORED},
                               .nat_type = NP_NAT_CONE,
                               .mapping = NP_BEHAVIOUR_ENDPOINT_INDEPENDENT,
                               .filtering = NP_BEHAVIOUR_UNKNOWN};

typedef struct given_up {
    bool cancelled;
    unsigned callbacks; /* that came after the cancellation */
} given_up;

/* From within each callback that comes after the cancellation. */
static given_up free_after_cancelling(const scene *s, unsigned callback)
{
    for (unsigned later = 1;; later++) {
        const scene_moment moment = {.act = scene_cancels, .callback = callback, .again = scene_frees, .later = later};
        outcome o;
        scene_play_with(s, NULL, &moment, &o);
        assert_true(o.after_ns <= AT_ONCE_NS);
        if (!o.acted_again)
            return (given_up){.cancelled = o.acted, .callbacks = later - 1};
        assert_true(o.freed);
    }
}

/* Returns how many callbacks came after a cancellation at most. */
static unsigned free_after_each_cancellation(const scene *s)
{
    unsigned most = 0;
    for (unsigned n = 1;; n = scene_turn_after(n)) {
        const given_up g = free_after_cancelling(s, n);
        if (!g.cancelled)
            return most;
        most = g.callbacks > most ? g.callbacks : most;
    }
}

static void free_after_cancelling_in(const scene *s)
{
    assert_true(free_after_each_cancellation(s) > 0);
}

static void cancelled_in_a_callback_and_freed_in_a_later_one(void **state)
{
    (void)state;
    in_all_scenes(free_after_cancelling_in);
}

static void two_servers_are_given_up_within_their_conclusions(void **state)
{
    scene s = ignoring;
    (void)state;
    assert_true(free_after_each_cancellation(&s) > 3); /* the servers', the mapping's and that of the whole */
    s.in_loop = true;
    assert_true(free_after_each_cancellation(&s) > 3);
    cancel_in_callbacks_of(&s);
    free_in_callbacks_of(&s);
}

/* ---- Names that hang -------------------------------------------------------------------------------------------- */

static const scene hanging = {.name = "hanging",
                              .in_loop = true,
                              .watched = true,
                              .names = {"hang.test", "hang.too.test"},
                              .world = {.mapping = MAPPING_SHIFTED},
                              .nat_type = NP_NAT_FULL_CONE,
                              .mapping = NP_BEHAVIOUR_ENDPOINT_INDEPENDENT,
                              .filtering = NP_BEHAVIOUR_ENDPOINT_INDEPENDENT};

static void release(np_probe *probe)
{
    (void)probe;
    names_release();
}

/* The names hang until the handle is gone, and no longer: their threads are waited for. */
static void free_and_release(np_probe *probe)
{
    scene_frees(probe);
    names_release();
}

static void cancel_and_release(np_probe *probe)
{
    np_probe_cancel(probe);
    names_release();
}

static void play_hanging(const scene *s, scene_act act, unsigned turn, outcome *o)
{
    const scene_moment moment = {.act = act, .turn = turn};
    names_hold();
    scene_play_with(s, NULL, &moment, o);
    names_release();
}

static void given_up_while_names_hang(void **state)
{
    (void)state;
    for (unsigned turn = 1; turn <= 4; turn++) {
        outcome o;
        play_hanging(&hanging, free_and_release, turn, &o);
        assert_true(o.acted && o.freed && o.after_ns <= AT_ONCE_NS);
        play_hanging(&hanging, cancel_and_release, turn, &o);
        assert_true(o.acted && was_given_up(&o) && o.after_ns <= AT_ONCE_NS);
    }
}

/* Slow names are waited for to the end of the time, but not beyond (fault_scene.c), and one that is quick is enough. */
static void slow_names_are_waited_for_in_vain_or_not(void **state)
{
    scene quick = hanging;
    unsigned in_vain = 0;
    (void)state;
    quick.names[1] = "four.test";
    for (unsigned turn = 1; in_vain == 0; turn++) {
        outcome o;
        play_hanging(&hanging, release, turn, &o);
        in_vain += o.error == NP_ERR_TIMEOUT;
        assert_true(scene_is_whole(&hanging, &o) || o.error == NP_ERR_TIMEOUT);
        assert_true(o.acted);
        play_hanging(&quick, release, turn, &o);
        assert_true(scene_is_whole(&quick, &o));
        assert_true(o.result.elapsed_us < 1000000);
    }
}

/* ---- Forked ----------------------------------------------------------------------------------------------------- */

static const scene *forked_scene;

/* The child leaves the handle alone and has one of its own, in the same world. */
static void fork_and_check(np_probe *probe)
{
    (void)probe;
    fault_leave();
    const pid_t child = fork();
    if (child == 0) {
        outcome o;
        fault_forget_all();
        scene_play(forked_scene, NULL, &o);
        _exit(scene_is_whole(forked_scene, &o) ? 0 : 1);
    }
    int status = -1;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    fault_enter();
}

static void fork_before_turns_of(const scene *s)
{
    scene in_loop = *s;
    if (s->names[0] != NULL) /* then there are threads, and a child may do nothing */
        return;
    in_loop.in_loop = true;
    forked_scene = &in_loop;
    for (unsigned n = 1;; n += 2) {
        const scene_moment moment = {.act = fork_and_check, .turn = n};
        outcome o;
        scene_play_with(&in_loop, NULL, &moment, &o);
        assert_true(scene_is_whole(&in_loop, &o));
        if (!o.acted)
            return;
    }
}

/* Neither check disturbs the other. */
static void forked_before_each_turn(void **state)
{
    (void)state;
    in_all_scenes(fork_before_turns_of);
}

static pid_t child_that_waits;
static int end_of_child[2];

static void fork_and_wait(np_probe *probe)
{
    char byte;
    (void)probe;
    fault_leave();
    assert_int_equal(pipe(end_of_child), 0);
    child_that_waits = fork();
    if (child_that_waits == 0) {
        close(end_of_child[1]);
        _exit(read(end_of_child[0], &byte, 1) == 0 ? 0 : 1);
    }
    assert_true(child_that_waits > 0);
    close(end_of_child[0]);
    fault_enter();
}

static void end_child(void)
{
    int status = -1;
    close(end_of_child[1]);
    assert_int_equal(waitpid(child_that_waits, &status, 0), child_that_waits);
    assert_int_equal(status, 0);
}

static bool is_port_free(uint16_t port)
{
    const struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool is_free = bind(fd, (const struct sockaddr *)&name, sizeof name) == 0;
    assert_true(is_free || errno == EADDRINUSE);
    close(fd);
    return is_free;
}

/* What a child holds on to is what docs/THREADS.md says, and the parent's check does not mind. */
static void a_child_keeps_the_source_port_until_it_ends(void **state)
{
    const scene_moment moment = {.act = fork_and_wait, .turn = 1};
    scene s = *scene_named("open");
    outcome o;
    (void)state;
    s.in_loop = true;
    scene_play_with(&s, NULL, &moment, &o);
    assert_true(o.acted && scene_is_whole(&s, &o));
    assert_false(is_port_free(o.result.local_port));
    end_child();
    assert_true(is_port_free(o.result.local_port));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_CASE(cancelled_from_within_each_call),
        SCENE_CASE(cancelled_from_each_callback),
        SCENE_CASE(cancelled_before_each_turn),
        cmocka_unit_test(nothing_is_sent_after_a_cancellation),
        SCENE_CASE(freed_from_each_callback),
        SCENE_CASE(freed_before_each_turn),
        SCENE_CASE(cancelled_in_a_callback_and_freed_in_a_later_one),
        SCENE_CASE(two_servers_are_given_up_within_their_conclusions),
        SCENE_CASE(given_up_while_names_hang),
        SCENE_CASE(slow_names_are_waited_for_in_vain_or_not),
        SCENE_CASE(forked_before_each_turn),
        SCENE_CASE(a_child_keeps_the_source_port_until_it_ends),
    };
    return cmocka_run_group_tests(tests, scene_group_begin, scene_group_end);
}
