/* SPDX-License-Identifier: MIT */
/*
 * Machines that do not do what is expected of them, in the scenes of fault_scene.h: clocks that jump, go back, move in
 * large steps or sleep; too few descriptors; a source port that somebody else takes; servers that are not there and say
 * so by ICMP; datagrams that end early; names that lead to thousands of addresses; interfaces that do not agree.
 */
#include "fault_scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECOND_NS (1000 * (int64_t)FAULT_MS)

static void play(const scene *s, outcome *o)
{
    scene_play(s, NULL, o);
}

static void expect_whole(const scene *s)
{
    outcome o;
    play(s, &o);
    scene_expect(scene_is_whole(s, &o), s, NULL, &o);
}

typedef void (*in_scene)(const scene *s);

static void in_all_scenes(in_scene function)
{
    for (size_t i = 0; i < scene_count; i++) {
        if (scenes[i].needs_ipv6 && !world_has_ipv6())
            print_message("# %s: this host has no IPv6\n", scenes[i].name);
        else
            function(&scenes[i]);
    }
}

/* ---- Clocks ----------------------------------------------------------------------------------------------------- */

/*
 * Whatever the clock does, nothing untrue is said (fault_scene.c). What it may cost is the verdict, and then it is time
 * that is said to be lacking: of the whole check, or for a first answer.
 */
static bool is_excused(const scene *s, const outcome *o)
{
    /* No time was left for IPv6: what ended IPv4 stands. */
    if (s->names[0] != NULL && o->result.packets_sent == 0)
        return o->error == NP_ERR_TIMEOUT ||
               o->error == (s->lack.ipv4_route ? NP_ERR_NETWORK_UNREACHABLE : NP_ERR_RESOLVE);
    const bool nothing_came = o->error == NP_ERR_NO_RESPONSE && o->result.packets_received == 0;
    return o->error == NP_OK || o->error == NP_ERR_TIMEOUT || o->error == NP_ERR_INCONCLUSIVE || nothing_came;
}

/*
 * Who has slept has not listened. The servers answer, so UDP is never blocked, and nobody is silent while time is left.
 * In the scenes with names the sleep may leave none for those that answer.
 */
static bool is_false_silence(const scene *s, int64_t by_ns, const outcome *o)
{
    const bool has_time = by_ns >= 0 && by_ns < SCENE_TIMEOUT_MS * (int64_t)FAULT_MS && s->names[0] == NULL;
    return o->result.nat_type == NP_NAT_UDP_BLOCKED || (o->error == NP_ERR_NO_RESPONSE && has_time);
}

static void bend_at_each_reading(const scene *straight, int64_t by_ns, bool is_whole_wanted)
{
    scene s = *straight;
    unsigned readings = 1;
    for (unsigned n = 1; n <= readings; n = scene_turn_after(n)) {
        outcome o;
        s.bend = (fault_bend){.at_reading = n, .by_ns = by_ns};
        play(&s, &o);
        readings = o.readings;
        const bool is_short = is_excused(&s, &o) && !is_false_silence(&s, by_ns, &o);
        const bool is_right = scene_is_whole(&s, &o) || (!is_whole_wanted && is_short);
        if (!is_right)
            print_error("by %lld ms at reading %u: ", (long long)(by_ns / (int64_t)FAULT_MS), n);
        scene_expect(is_right, &s, NULL, &o);
    }
    assert_true(readings > 4);
}

/* A moment in which the machine stood still; hours in which it slept, or in which somebody debugged it. */
static void jump_ahead_in(const scene *s)
{
    bend_at_each_reading(s, 2 * (int64_t)FAULT_MS, true);
    bend_at_each_reading(s, SECOND_NS, false);
    bend_at_each_reading(s, SCENE_RESPONSE_TIMEOUT_MS * (int64_t)FAULT_MS, false);
    bend_at_each_reading(s, 5 * SECOND_NS, false); /* most of the time allowed */
    bend_at_each_reading(s, 5 * 3600 * SECOND_NS, false);
    bend_at_each_reading(s, 1000 * 24 * 3600 * SECOND_NS, false);
}

static void clocks_that_jump_ahead_at_each_reading(void **state)
{
    (void)state;
    in_all_scenes(jump_ahead_in);
}

/* No clock of the system's does that, but some have. */
static void jump_back_in(const scene *s)
{
    bend_at_each_reading(s, -(int64_t)FAULT_MS / 100, true);
    bend_at_each_reading(s, -SECOND_NS, false);
    bend_at_each_reading(s, -24 * 3600 * SECOND_NS, false);
}

static void clocks_that_jump_back_at_each_reading(void **state)
{
    (void)state;
    in_all_scenes(jump_back_in);
}

static void move_in_steps_in(const scene *straight)
{
    static const uint64_t fine[] = {1, 4, 10}, coarse[] = {100, 1000, 3000};
    scene s = *straight;
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        s.bend = (fault_bend){.grain_ns = fine[i] * FAULT_MS};
        expect_whole(&s);
    }
    for (size_t i = 0; i < sizeof coarse / sizeof coarse[0]; i++) {
        outcome o;
        s.bend = (fault_bend){.grain_ns = coarse[i] * FAULT_MS};
        play(&s, &o);
        assert_true(is_excused(&s, &o));
    }
}

static void clocks_that_move_in_large_steps(void **state)
{
    (void)state;
    in_all_scenes(move_in_steps_in);
}

/* A system without a clock that goes on while it sleeps, and one that has slept for long: the two are never mixed. */
static void do_without_boottime_in(const scene *straight)
{
    scene s = *straight;
    s.bend.slept_ns = 30 * 24 * 3600 * (uint64_t)SECOND_NS;
    expect_whole(&s);
    s.lack.boottime = true;
    expect_whole(&s);
}

static void clocks_that_stop_while_the_machine_sleeps(void **state)
{
    (void)state;
    in_all_scenes(do_without_boottime_in);
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------ */

/* Of all scenes, how often only the second socket was one too many. */
static unsigned without_second;

static void limit_descriptors_in(const scene *s)
{
    enum { MANY = 16 };
    unsigned least = 0;
    for (unsigned n = 0; n <= MANY; n++) {
        const scene_moment moment = {.descriptors = n + 1};
        outcome o;
        scene_play_with(s, NULL, &moment, &o);
        if (least > 0 || scene_is_whole(s, &o)) { /* enough is enough, and more is too */
            least = least > 0 ? least : n;
            assert_true(scene_is_whole(s, &o));
            continue;
        }
        const bool lacks_second = o.error == NP_OK && o.result.mapping == s->mapping &&
                                  strstr(o.result.detail, "no second socket: ") != NULL &&
                                  strstr(o.result.detail, strerror(EMFILE)) != NULL;
        const bool is_right = lacks_second || (o.error == NP_ERR_SYSTEM && (!o.has_result || o.os_error == EMFILE));
        without_second += lacks_second;
        scene_expect(is_right, s, NULL, &o);
    }
    assert_true(least >= 4 && least < MANY); /* three to wait with, and a socket */
}

static void too_few_descriptors_are_told(void **state)
{
    (void)state;
    in_all_scenes(limit_descriptors_in);
    assert_true(without_second > 0);
}

/* ---- The source port -------------------------------------------------------------------------------------------- */

static int thief = -1;
static uint16_t stolen_port;

static void steal_port(np_probe *probe)
{
    const struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(stolen_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)probe;
    fault_leave();
    thief = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(thief >= 0);
    if (bind(thief, (const struct sockaddr *)&name, sizeof name) != 0) {
        assert_int_equal(errno, EADDRINUSE); /* the library was quicker */
        close(thief);
        thief = -1;
    }
    fault_enter();
}

static void give_port_back(np_probe *probe)
{
    (void)probe;
    if (thief >= 0)
        close(thief);
    thief = -1;
}

/* A port that was free a moment ago. */
static uint16_t free_port(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof name;
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
    close(fd);
    return ntohs(name.sin_port);
}

/* Between any two calls of the library's: it has the port and the verdict, or it has not and says so. */
static void a_port_that_is_taken_in_between_is_told(void **state)
{
    scene s = *scene_named("open");
    unsigned stolen = 0, kept = 0;
    (void)state;
    for (unsigned n = 1;; n = scene_turn_after(n)) {
        const scene_moment moment = {.act = steal_port, .call = n, .undo = give_port_back};
        outcome o;
        s.source_port = stolen_port = free_port();
        scene_play_with(&s, NULL, &moment, &o);
        if (!o.acted)
            break;
        if (scene_is_whole(&s, &o)) {
            assert_int_equal(o.result.local_port, stolen_port);
            kept++;
            continue;
        }
        assert_int_equal(o.error, NP_ERR_ADDRESS_IN_USE);
        assert_int_equal(o.os_error, EADDRINUSE);
        assert_int_equal(o.result.packets_sent, 0);
        stolen++;
    }
    assert_true(stolen > 0 && kept > 0);
}

/* ---- Nobody there ----------------------------------------------------------------------------------------------- */

/* Which of the server's addresses are left decides what can be known; that others refuse is no reason to say more. */
static void play_closed(const scene *open, unsigned closed)
{
    scene s = *open;
    outcome o;
    s.world.closed = closed;
    s.again_in = &open->world;
    play(&s, &o);
    const bool is_right = (closed & 1U << WORLD_AP) != 0 ? o.error == NP_ERR_NO_RESPONSE
                                                         : o.error == NP_OK || o.error == NP_ERR_INCONCLUSIVE;
    scene_expect(is_right, &s, NULL, &o);
}

static void servers_that_refuse_are_not_mistaken(void **state)
{
    static const char *const names[] = {"open", "full-cone", "own-socket", "firewall", "symmetric", "change-dropped"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        scene s = *scene_named(names[i]);
        s.wants_errors = s.socket_family != 0;
        for (unsigned closed = 0; closed < 16; closed++)
            play_closed(&s, closed);
    }
}

/* ---- Datagrams that end early ----------------------------------------------------------------------------------- */

static void cut_answers_in(const scene *whole, bool all)
{
    static const size_t sizes[] = {0, 1, 8, 19, 20, 21, 24, 28, 31, 32, 43, 44, 55};
    const unsigned answers = 12;
    for (unsigned n = 1; n <= answers; n = scene_turn_after(n)) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            scene s = *whole;
            outcome o;
            s.world.cut_answer = n;
            s.world.cut_to = sizes[i];
            s.world.cut_all = all;
            s.again_in = &whole->world;
            play(&s, &o);
            const bool is_short = o.error == NP_OK || o.error == NP_ERR_INCONCLUSIVE || o.error == NP_ERR_TIMEOUT ||
                                  o.error == NP_ERR_BAD_RESPONSE || o.error == NP_ERR_NO_RESPONSE;
            const bool is_right = all ? is_short : scene_is_whole(&s, &o);
            if (!is_right)
                print_error("answer %u cut to %zu: ", n, sizes[i]);
            scene_expect(is_right, &s, NULL, &o);
        }
    }
}

static void answers_that_end_early_are_no_answers(void **state)
{
    static const char *const names[] = {"open", "full-cone", "own-socket", "change-dropped"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        cut_answers_in(scene_named(names[i]), false);
        cut_answers_in(scene_named(names[i]), true);
    }
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

static void names_with_thousands_of_addresses(void **state)
{
    scene s = *scene_named("names");
    (void)state;
    s.names[0] = "flood.test";
    expect_whole(&s);
    s.names[0] = "odd.test";
    s.names[1] = "flood.test";
    s.names[2] = "no.test";
    expect_whole(&s);
}

/* ---- Interfaces ------------------------------------------------------------------------------------------------- */

enum { SHORT_MS = 50 };

static void note_server(int32_t level, const char *line, void *user)
{
    (void)level;
    if (strncmp(line, "server ", 7) == 0)
        (void)snprintf(user, 100, "%s", line);
}

/* On the interface that is called lo: from a source, or from any of IPv6. The log tells where the server is. */
static int check_on_lo(const char *source, char *log, np_result *result)
{
    np_probe *probe = np_probe_new();
    assert_non_null(probe);
    assert_int_equal(np_probe_set_interface(probe, "lo"), NP_OK);
    assert_int_equal(np_probe_set_source(probe, source, 0), NP_OK);
    assert_int_equal(np_probe_set_family(probe, NP_FAMILY_IPV6), NP_OK);
    assert_int_equal(np_probe_add_server(probe, "[fe80::1]:9"), NP_OK);
    assert_int_equal(np_probe_set_timeout(probe, SHORT_MS), NP_OK);
    assert_int_equal(np_probe_set_log(probe, NP_LOG_DEBUG, note_server, log), NP_OK);
    const int error = np_probe_run(probe, result);
    np_probe_free(probe);
    return error;
}

/* A server that does not name its link is on the interface that was chosen. */
static void a_server_is_on_the_chosen_interface(void **state)
{
    np_result r;
    char log[100] = "", wanted[100];
    (void)state;
    if (!world_has_ipv6())
        skip();
    (void)check_on_lo(NULL, log, &r);
    assert_null(strstr(r.detail, "name its interface"));
    (void)snprintf(wanted, sizeof wanted, "server fe80::1 is [fe80::1%%%u]:9", if_nametoindex("lo"));
    assert_string_equal(log, wanted);
}

/* To the system the link of the source address would count, and the choice would be lost. */
static void a_source_of_another_interface_is_refused(void **state)
{
    np_result r;
    char log[100] = "", source[100] = "", name[IF_NAMESIZE];
    (void)state;
    for (unsigned i = 1; i < 100 && source[0] == '\0'; i++) {
        if (i != if_nametoindex("lo") && if_indextoname(i, name) != NULL)
            (void)snprintf(source, sizeof source, "fe80::1%%%s", name);
    }
    if (source[0] == '\0')
        skip(); /* lo is all there is */
    assert_int_equal(check_on_lo(source, log, &r), NP_ERR_ARGUMENT);
    assert_string_equal(r.detail, "the source address is on another interface than the chosen one");
    assert_int_equal(check_on_lo("fe80::1%lo", log, &r), NP_ERR_ADDRESS_NOT_AVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_CASE(clocks_that_jump_ahead_at_each_reading),
        SCENE_CASE(clocks_that_jump_back_at_each_reading),
        SCENE_CASE(clocks_that_move_in_large_steps),
        SCENE_CASE(clocks_that_stop_while_the_machine_sleeps),
        SCENE_CASE(too_few_descriptors_are_told),
        SCENE_CASE(a_port_that_is_taken_in_between_is_told),
        SCENE_CASE(servers_that_refuse_are_not_mistaken),
        SCENE_CASE(answers_that_end_early_are_no_answers),
        SCENE_CASE(names_with_thousands_of_addresses),
        cmocka_unit_test(a_server_is_on_the_chosen_interface),
        cmocka_unit_test(a_source_of_another_interface_is_refused),
    };
    return cmocka_run_group_tests(tests, scene_group_begin, scene_group_end);
}
