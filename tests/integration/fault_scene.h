/* SPDX-License-Identifier: MIT */
/*
 * One way to use the library, in one world (fault_world.h): a whole life of a handle while the system refuses something
 * (fault_calls.h). Whatever it refuses, some things have to hold, and are checked after each.
 */
#ifndef TESTS_FAULT_SCENE_H
#define TESTS_FAULT_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "fault_calls.h"
#include "fault_clock.h"
#include "fault_names.h"
#include "fault_world.h"
#include "support.h"

enum { SCENE_TIMEOUT_MS = 6000, SCENE_RESPONSE_TIMEOUT_MS = 2000 };

typedef struct scene {
    const char *name;
    world_config world;
    const world_config *again_in; /* the world in which the handle works again; NULL: the same */
    fault_lack lack;
    fault_bend bend;
    bool in_loop;      /* np_probe_start() and np_probe_process(), else np_probe_run() */
    bool watched;      /* with a log and events */
    int socket_family; /* of a socket of the caller's; AF_INET6: it speaks IPv4 as well */
    bool needs_ipv6;
    bool wants_errors;    /* of ICMP, on the caller's socket (IP_RECVERR) */
    const char *source;   /* NULL: any */
    uint16_t source_port; /* 0: any */
    const char *names[4]; /* servers by name; none: the world's, by address */
    bool two_servers;     /* by address: at B:P is another one */
    int32_t optional;     /* bits of enum np_tests beside the default */
    /* What is true in this world and can be told. */
    int32_t nat_type;
    int32_t mapping;
    int32_t filtering;
} scene;

extern const scene scenes[];
extern const size_t scene_count;
const scene *scene_named(const char *name);

typedef struct outcome {
    bool has_handle; /* else there was no memory for one */
    bool has_result; /* else nothing could be begun: the error only */
    int error;
    int os_error;
    np_result result;
    unsigned refused; /* how many calls */
    unsigned strays;  /* handed over, or left in the caller's socket */
    unsigned events;
    unsigned lines;
    unsigned spins;    /* fault_most_spins() */
    unsigned readings; /* of the clock */
    bool acted;        /* the moment has come */
    bool acted_in_run; /* and not before, as while the handle was being set up */
    bool acted_again;  /* the second act has come too */
    bool freed;        /* by an act; the result is worth nothing */
    uint64_t after_ns; /* that the check went on afterwards */
    unsigned made[FAULT_CALLS];
} outcome;

/* What the test does to a handle in the middle of its check, at one of these moments, each counted from 1. */
typedef void (*scene_act)(np_probe *probe);
typedef struct scene_moment {
    scene_act act;
    scene_act undo;       /* when the check is over; NULL: nothing */
    unsigned call;        /* from within the n-th call that the library makes, as a signal handler would; 0: not so */
    unsigned callback;    /* from within the n-th callback; 0: not so */
    unsigned turn;        /* before the n-th np_probe_process(); 0: not so */
    scene_act again;      /* a second act, from within a later callback; NULL: none */
    unsigned later;       /* that is the n-th callback after the one of the first act */
    unsigned descriptors; /* the system gives one less than this; 0: as many as there are */
} scene_moment;

/* Program-wide: a world, and nothing left by the one before. */
int scene_group_begin(void **state);
int scene_group_end(void **state);
/* A case: as CASE in support.h. */
#define SCENE_CASE(f) cmocka_unit_test_setup_teardown(f, support_begin, scene_end)
int scene_end(void **state);

/*
 * Plays a scene under a plan (NULL: nothing is refused) and checks what always has to hold: a result that is whole,
 * nothing untrue in it, an end in time, nothing left over, and a handle that gives the right verdict as soon as the
 * system does.
 */
void scene_play(const scene *s, const fault_plan *plan, outcome *out);
/* The same with something done in the middle. */
void scene_play_with(const scene *s, const fault_plan *plan, const scene_moment *moment, outcome *out);
/* Acts. */
void scene_cancels(np_probe *probe);
void scene_frees(np_probe *probe);

/* Where each call takes fifty times as long (NP_SIM_SCALE=small), some of the turns have to do. */
bool scene_is_small(void);
unsigned scene_turn_after(unsigned turn);

/* The verdict is all that can be told in this world. */
bool scene_is_whole(const scene *s, const outcome *o);
/* Fails the test where it is not right, and says what happened. */
void scene_expect(bool is_right, const scene *s, const fault_plan *plan, const outcome *o);
/* A case that needs IPv6 is skipped where there is none, and says so. */
void scene_skip_without_ipv6(const scene *s);

#endif
