/* SPDX-License-Identifier: MIT */
/*
 * A network in virtual time around one experiment: a host behind a NAT, servers with two addresses, and an
 * adversary who sees every request as it leaves and may send anything to anybody at any time. Whatever happens, the
 * stage checks what must hold in every run: where datagrams go, how many, how fast, and that none tells more than
 * it must.
 */
#ifndef TESTS_HOSTILE_STAGE_H
#define TESTS_HOSTILE_STAGE_H

#include "../support/nat.h"
#include "../support/npi_addr.h"
#include "../support/server.h"
#include "inputs.h"
#include "engine/engine.h"

/* What the host is behind, and the truth about it. */
typedef struct world {
    const char *name;
    int32_t mapping, filtering; /* enum np_behaviour, as the verdict has to have them */
    int32_t type;               /* enum np_nat_type */
    int family;                 /* 4 or 6 */
    bool classic;               /* its servers pass over requests with a cookie */
} world;

extern const world worlds[];
extern const size_t world_count;

enum { STAGE_SERVERS = 4, TRACE_ROOM = 400, SEEN_ROOM = 64 };
/* Unless a scene has another. */
#define ROUND_TRIP_NS (40 * NPI_MS)

typedef struct stage_server {
    endpoint a; /* A:P */
    endpoint b; /* B:Q; family 0: it has no second address */
    bool is_silent;
    bool is_hostile;        /* the adversary answers for it, too */
    bool alternate_is_dead; /* B neither answers nor sends */
} stage_server;

/* A datagram that the experiment sent. */
typedef struct sent {
    uint64_t at_ns;
    int slot;
    endpoint to;
    size_t size;
    uint8_t bytes[REQUEST_ROOM];
    bool begins; /* the first with its id */
} sent;

typedef struct stage stage;

/* A request on its way. */
typedef struct asked {
    question q;
    int slot;
    size_t server;
    unsigned serial; /* 0 for the first of the run */
} asked;

/* Called for each request as it leaves. Returns whether it is answered honestly as well. */
typedef bool (*adversary)(stage *s, const asked *a, void *user);
/* Called every tick_ns while the experiment runs. */
typedef void (*ticker)(stage *s, void *user);

typedef struct scene {
    const world *where;
    stage_server servers[STAGE_SERVERS];
    size_t server_count;
    adversary adversary;
    ticker ticker;
    uint64_t tick_ns;
    void *user;
    uint64_t round_trip_ns;
    uint64_t response_timeout_ns; /* 0: 3 s */
    uint64_t deadline_ns;         /* 0: 10 s */
    bool mapping_only;
    size_t alignment;        /* datagrams are handed over at addresses of this remainder of 16 */
    const char *external_ip; /* NULL: some address of the NAT */
    unsigned external_port;  /* 0: some port of the NAT */
    uint64_t seed;           /* of what the experiment takes for random */
    np_log_fn log;
    np_event_fn events;
    void *watcher;
} scene;

struct stage {
    const scene *scene;
    npi_engine *probe;
    uint64_t now_ns;
    np_result result;
    sent trace[TRACE_ROOM];
    size_t trace_size;
    unsigned handed_over; /* datagrams that came while the experiment ran */
    struct event *queue;
    size_t queued, queue_room;
    uint64_t serial;
    box_desc box;
    nat_box *nat;
    server_desc descs[STAGE_SERVERS];
    server_engine engines[STAGE_SERVERS];
    endpoint seen[SEEN_ROOM]; /* of the source socket: what the world outside was shown */
    size_t seen_count;
};

/* A scene in a world with one honest server that has a second address; a second one may be added. */
scene scene_in(const world *w);
stage_server *scene_add_server(scene *c);
/* The same with addresses that are for documentation, where private ones may be mapped to. */
void scene_use_examples(scene *c);

/* Runs the scene to its end. The stage must be closed. */
void stage_run(stage *s, const scene *c);
void stage_close(stage *s);

/* The network takes a datagram to the host: through the NAT, if it lets it. */
void stage_reply(stage *s, const asked *a, const endpoint *from, uint64_t after_ns, const message *m);
/* The same past any NAT, as somebody in the host's own network could. */
void stage_inject(stage *s, int slot, const endpoint *from, uint64_t after_ns, const message *m);

/* What the verdict of a run must be. All fail the case, with the reason. */
void expect_truth(const stage *s);
void expect_nothing_wrong(const stage *s);
/* As in another run, in what was sent and when, and in all of the result but the count of what came. */
void expect_same_run(const stage *s, const stage *other);
/* How many datagrams went to that address, of any port if that is 0. */
unsigned count_sent_to(const stage *s, const endpoint *to);

/* Whether NP_SIM_SCALE=small asks for less of everything, for the sake of tools as slow as valgrind. */
bool is_small_scale(void);

#endif
