/* SPDX-License-Identifier: MIT */
/* See hostile_server.h. */
#include "hostile_server.h"

#include <stdlib.h>
#include <string.h>

#include <natprobe/natprobe.h>

typedef struct known_request {
    unsigned client, asked;
    size_t size;
    uint8_t bytes[REQUEST_ROOM];
} known_request;

struct hostile_server {
    hostile_config config;
    stun_server *server;
    stun_server *inside; /* the same, as its thread knows it */
    heard last;
    hostile_log log;
    known_request known[256];
};

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

void hostile_send_to(hostile_server *s, unsigned client, unsigned from, const message *m)
{
    stun_server_send(s->inside, client, from, m);
}

void hostile_send(hostile_server *s, const heard *h, unsigned from, const message *m)
{
    hostile_send_to(s, h->in.client, from, m);
}

unsigned hostile_client_count(const hostile_server *s)
{
    return stun_server_clients(s->inside);
}

bool hostile_would_answer(const hostile_server *s, const heard *h)
{
    return stun_server_would_answer(s->inside, &h->in);
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

/* An id belongs to one request: from one socket, to one endpoint, of one content. */
static void note_id(hostile_server *s, const heard *h)
{
    hostile_log *log = &s->log;
    for (size_t i = 0; i < log->id_count; i++) {
        const known_request *k = &s->known[i];
        if (memcmp(log->ids[i], h->q.request + 4, ID_SIZE) != 0)
            continue;
        log->shared_ids += k->client != h->in.client || k->asked != h->in.asked || k->size != h->q.size ||
                           memcmp(k->bytes, h->q.request, k->size) != 0;
        return;
    }
    if (log->id_count == sizeof log->ids / sizeof log->ids[0])
        return;
    known_request *k = &s->known[log->id_count];
    *k = (known_request){h->in.client, h->in.asked, h->q.size, {0}};
    memcpy(k->bytes, h->q.request, h->q.size);
    memcpy(log->ids[log->id_count++], h->q.request + 4, ID_SIZE);
}

static bool take_request(stun_server *server, const stun_heard *in, void *user)
{
    hostile_server *s = user;
    heard h = {.in = *in, .serial = s->log.requests++};
    s->inside = server;
    question_read(&h.q, in->bytes, in->size);
    h.in.bytes = NULL;
    h.q.asked = stun_server_endpoint(server, in->asked);
    h.q.answerer = stun_server_endpoint(server, in->answerer);
    h.q.mapped = in->seen;
    if (!s->config.single)
        h.q.other = stun_server_endpoint(server, AT_BQ);
    s->log.at[in->asked]++;
    s->log.changes += h.q.change != 0;
    note_id(s, &h);
    s->last = h;
    return s->config.act == NULL || s->config.act(s, &h, s->config.user);
}

static void count_misfit(void *user)
{
    hostile_server *s = user;
    s->log.misfits++;
}

/* So many for each millisecond that has passed, but not without end where the thread was held up. */
static void flood(stun_server *server, unsigned ms, void *user)
{
    hostile_server *s = user;
    (void)server;
    for (unsigned due = (ms < 10 ? ms : 10) * s->config.floods_per_ms; due > 0 && s->log.requests > 0; due--) {
        s->config.flood(s, &s->last, s->config.user);
        s->log.floods++;
    }
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static pretended_mapping mapping_of(int32_t behaviour)
{
    if (behaviour == NP_BEHAVIOUR_NONE)
        return MAPPING_TRUE;
    return behaviour == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT ? MAPPING_SHIFTED : MAPPING_BY_ENDPOINT;
}

hostile_server *hostile_server_start(const hostile_config *config)
{
    hostile_server *s = calloc(1, sizeof *s);
    const stun_server_config honest = {
        .single = config->single,
        .classic_only = config->classic_only,
        .alternate_is_dead = config->alternate_is_dead,
        .mapping = mapping_of(config->where->mapping),
        .filtering = (dependence)(config->where->filtering - NP_BEHAVIOUR_ENDPOINT_INDEPENDENT),
        .number = config->number,
        .act = take_request,
        .misfit = count_misfit,
        .tick = config->floods_per_ms > 0 ? flood : NULL,
        .user = s,
    };
    if (s == NULL)
        return NULL;
    s->config = *config;
    s->server = stun_server_start(&honest);
    if (s->server != NULL)
        return s;
    free(s);
    return NULL;
}

void hostile_server_halt(hostile_server *s)
{
    stun_server_halt(s->server);
}

const char *hostile_name(const hostile_server *s)
{
    return stun_server_name(s->server);
}

bool hostile_is_own(const hostile_server *s, const char *name)
{
    for (unsigned i = AT_AP; i <= (s->config.single ? AT_AP : AT_BQ); i++) {
        char text[ENDPOINT_TEXT];
        const endpoint e = stun_server_endpoint(s->server, i);
        endpoint_text(&e, text);
        if (strcmp(text, name) == 0)
            return true;
    }
    return false;
}

const hostile_log *hostile_server_log(const hostile_server *s)
{
    return &s->log;
}

void hostile_server_stop(hostile_server *s)
{
    if (s == NULL)
        return;
    stun_server_stop(s->server);
    free(s);
}
