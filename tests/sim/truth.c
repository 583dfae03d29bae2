/* SPDX-License-Identifier: MIT */
/* The judge. It knows the world and the result, and nothing of how the one was found out about the other. */
#include "truth.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sightings.h"

/* ---- What is true ---- */

static int32_t behaviour_of(dependence d)
{
    return NP_BEHAVIOUR_ENDPOINT_INDEPENDENT + (int32_t)d;
}

static dependence box_mapping(const box_desc *b)
{
    if (b->kind == BOX_LINUX)
        return b->fully_random ? DEP_ADDRESS_AND_PORT : DEP_INDEPENDENT;
    return b->kind == BOX_NAT ? b->mapping : DEP_INDEPENDENT;
}

/* What is forwarded to one port of the host says nothing of the others. */
static bool forwards_everything(const box_desc *b)
{
    return b->forward_low != 0 && b->forward_low <= 1024 && b->forward_high == UINT16_MAX;
}

static dependence box_filtering(const box_desc *b)
{
    if (b->kind == BOX_LINUX)
        return DEP_ADDRESS_AND_PORT;
    if (forwards_everything(b))
        return DEP_INDEPENDENT;
    return b->kind == BOX_NAT || b->kind == BOX_FIREWALL ? b->filtering : DEP_INDEPENDENT;
}

/*
 * RFC 3489 section 5 describes four NATs by what becomes of packets, and section 10.1 names what has no NAT. Here each
 * row says for one name which mappings and which filterings fit these words; the first row that fits counts.
 */
#define IS(behaviour) (1u << NP_BEHAVIOUR_##behaviour)
#define DEPENDS (IS(ADDRESS_DEPENDENT) | IS(ADDRESS_AND_PORT_DEPENDENT) | IS(ENDPOINT_DEPENDENT))
#define WHATEVER (~0u)

static const struct {
    unsigned mapping, filtering;
    int32_t type;
} rfc3489[] = {
    /* "all requests from the same internal IP address and port are mapped to the same external IP address and port" */
    {IS(ENDPOINT_INDEPENDENT), IS(ENDPOINT_INDEPENDENT), NP_NAT_FULL_CONE},    /* "any external host can send" */
    {IS(ENDPOINT_INDEPENDENT), IS(ADDRESS_DEPENDENT), NP_NAT_RESTRICTED_CONE}, /* only "IP address X" */
    {IS(ENDPOINT_INDEPENDENT), IS(ADDRESS_AND_PORT_DEPENDENT), NP_NAT_PORT_RESTRICTED_CONE}, /* "and port P" */
    {IS(ENDPOINT_INDEPENDENT), WHATEVER, NP_NAT_CONE},
    /* "but to a different destination, a different mapping is used" */
    {DEPENDS, WHATEVER, NP_NAT_SYMMETRIC},
    /* "it is not natted", and "it has open access to the Internet" or not */
    {IS(NONE), IS(ENDPOINT_INDEPENDENT), NP_NAT_OPEN_INTERNET},
    {IS(NONE), DEPENDS, NP_NAT_SYMMETRIC_UDP_FIREWALL},
    {IS(NONE), WHATEVER, NP_NAT_NO_NAT},
    {WHATEVER, WHATEVER, NP_NAT_UNKNOWN},
};

int32_t truth_type(int32_t mapping, int32_t filtering)
{
    size_t row = 0;
    while ((rfc3489[row].mapping >> mapping & rfc3489[row].filtering >> filtering & 1u) == 0)
        row++;
    return rfc3489[row].type;
}

/* ---- What may be expected ---- */

static double worst_loss(const world *w)
{
    return w->link.loss[UP] > w->link.loss[DOWN] ? w->link.loss[UP] : w->link.loss[DOWN];
}

static bool is_quiet_world(const world *w, const truth *t)
{
    const host_desc *h = &w->host;
    if (t->blocked || t->moves || h->no_route || h->cancel_ns != 0)
        return false;
    if (worst_loss(w) > 0.1 + 1e-9 || (w->link.kind != LOSS_INDEPENDENT && worst_loss(w) > 0))
        return false;
    return w->timeout_ns >= 10 * SECOND && w->response_timeout_ns >= 3 * SECOND;
}

static bool lets_out(const world *w, uint16_t port)
{
    for (unsigned i = 0; i < w->boxes; i++) {
        if (w->box[i].only_port != 0 && w->box[i].only_port != port)
            return false;
    }
    return true;
}

static bool has_good_mapped(const server_desc *s)
{
    return s->mapped <= MAPPED_REWRITTEN;
}

static bool is_deaf_somewhere(const server_desc *s)
{
    return s->deaf_aq || s->deaf_bp || s->deaf_bq;
}

/* The longest that an answer takes. */
static uint64_t longest_round_trip(const world *w, const server_desc *s)
{
    uint64_t rtt = w->link.rtt_ns + s->extra_rtt_ns + s->late_ns + 2 * s->extra_b_ns;
    return rtt + (uint64_t)((double)w->link.rtt_ns * w->link.jitter) + (w->link.late > 0 ? w->link.late_ns : 0);
}

static bool is_answering(const world *w, const listed_server *l)
{
    const server_desc *s = &w->server[l->server];
    if (s->plain != PLAIN_ANSWERED || !has_good_mapped(s) || s->no_route || l->resolve_ns > 500 * MS)
        return false;
    if (s->rate != 0 || s->dies_ns != 0 || (s->unpadded && s->software) || !lets_out(w, l->address.port))
        return false;
    bool all_there = s->two_ips && s->two_ports && !is_deaf_somewhere(s);
    if (!all_there && !endpoint_equal(&l->address, &s->a))
        return false;
    return longest_round_trip(w, s) < (s->dialect == DIALECT_CLASSIC ? 500 : 1500) * MS;
}

/* Tells everybody what only some see, or what nobody sees. */
static bool is_untruthful(const world *w, const server_desc *s)
{
    bool hidden = w->intercepts && s->a.port == WORLD_STUN_PORT;
    return s->exempt || s->sees.family != 0 || s->sees_port != SEEN_PORT_TRUE || hidden;
}

/* Follows RFC 5780, and yet its silence does not speak of the NAT. */
static bool is_right_and_misleading(const truth *t, const server_desc *s)
{
    bool unlike = s->true_a.family != 0 && t->filtering != NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    return s->state != STATELESS || s->change_gap_ns != 0 || s->busy_ns != 0 || unlike;
}

static bool is_conforming(const world *w, const truth *t, const listed_server *l)
{
    const server_desc *s = &w->server[l->server];
    if (!is_answering(w, l) || !endpoint_equal(&l->address, &s->a) || s->dialect != DIALECT_ANY)
        return false;
    if (is_deaf_somewhere(s) || s->change_flips || is_right_and_misleading(t, s))
        return false;
    if (!s->two_ips || !s->two_ports || s->other == OTHER_NONE || s->other_is_false || s->other_flips)
        return false;
    return s->change == CHANGE_HONOURED && s->late_ns == 0 && s->extra_b_ns == 0 && s->loss_b <= 0 && s->copies == 1;
}

static bool names_second_address(const world *w)
{
    for (unsigned i = 0; i < w->listed_count; i++) {
        for (unsigned k = 0; k < w->servers; k++) {
            if (endpoint_same_ip(&w->listed[i].address, &w->server[k].b))
                return true;
        }
    }
    return false;
}

/* What another program's tests II and III left in a Linux NAT can keep the control's answer out. */
static bool has_leftovers(const world *w)
{
    bool tested = false;
    for (unsigned i = 0; i < w->earlier_count; i++)
        tested = tested || w->earlier[i].change != 0;
    return tested && world_remembers_refused(w);
}

/* A server that stops in the middle has to be waited for before it can be given up. */
static bool has_dying_server(const world *w)
{
    for (unsigned i = 0; i < w->servers; i++) {
        if (w->server[i].dies_ns != 0)
            return true;
    }
    return false;
}

static bool has_lasting_state(const world *w)
{
    for (unsigned i = 0; i < w->boxes; i++) {
        const box_desc *b = &w->box[i];
        if (b->only_port != 0 || ((b->kind == BOX_NAT || b->kind == BOX_FIREWALL) && b->timeout_ns < 30 * SECOND))
            return false;
    }
    return true;
}

static bool has_untruthful_server(const world *w)
{
    for (unsigned i = 0; i < w->servers; i++) {
        if (is_untruthful(w, &w->server[i]))
            return true;
    }
    return false;
}

/* Drops most of a check: what is left proves no silence. */
static bool is_too_narrow(const link_desc *l)
{
    const rate_limit *r = &l->limit;
    bool strict = r->place != LIMIT_NOWHERE && (r->burst < 10 || r->per_second < 20);
    for (unsigned d = UP; d <= DOWN; d++) {
        const slow_link *s = &l->slow[d];
        strict = strict || (s->queue_packets != 0 && s->bits_per_s < 48000);
    }
    return strict;
}

/* Whether a box or the host does what leaves room for doubt. */
static bool has_odd_way(const world *w)
{
    for (unsigned i = 0; i < w->boxes; i++) {
        const box_desc *b = &w->box[i];
        if (b->by_port || b->forward_low != 0 || b->rewrites || b->ban_after != 0 || b->prefix.family != 0)
            return true;
    }
    return w->route != ROUTE_ONE || w->host.out_rate != 0 || is_too_narrow(&w->link);
}

/* ---- What may be expected of the mapping alone, in the worlds of field.c ---- */

static bool has_ban(const world *w)
{
    for (unsigned i = 0; i < w->boxes; i++) {
        if (w->box[i].ban_after != 0)
            return true;
    }
    return false;
}

static bool maps_by_port(const world *w)
{
    for (unsigned i = 0; i < w->boxes; i++) {
        if (w->box[i].by_port)
            return true;
    }
    return false;
}

/* Round trips that no other class has. */
static bool is_remote(const world *w)
{
    return w->link.rtt_ns > 2 * SECOND;
}

/* How long silence has to last: what the caller says, or the usual part of all the time there is. */
static uint64_t patience_ns(const world *w)
{
    uint64_t share = w->timeout_ns / 10 * 3;
    return w->response_timeout_ns > share ? w->response_timeout_ns : share;
}

typedef struct witnesses {
    unsigned servers;   /* that tell the truth */
    unsigned addresses; /* of theirs */
} witnesses;

static witnesses count_witnesses(const world *w)
{
    witnesses n = {0};
    for (unsigned i = 0; i < w->servers; i++) {
        const server_desc *s = &w->server[i];
        bool good = s->plain == PLAIN_ANSWERED && has_good_mapped(s) && s->dialect == DIALECT_ANY && s->rate == 0 &&
                    s->dies_ns == 0 && !(s->unpadded && s->software);
        if (!good || is_untruthful(w, s) || (longest_round_trip(w, s) >= 1500 * MS && !is_remote(w)))
            continue;
        n.servers++;
        n.addresses += s->two_ips && s->two_ports && s->other != OTHER_NONE ? 2 : 1;
    }
    return n;
}

static bool expects_remote_mapping(const world *w)
{
    return patience_ns(w) > w->link.rtt_ns / 2 * 3 && w->timeout_ns >= 8 * w->link.rtt_ns;
}

static bool is_any_field_class(const world *w)
{
    bool odd_box = has_odd_way(w) || has_untruthful_server(w) || w->link.silent_ns != 0 || is_remote(w);
    odd_box = odd_box || world_dead_servers(w) > 0;
    for (unsigned i = 0; i < w->servers; i++) {
        const server_desc *s = &w->server[i];
        odd_box = odd_box || s->state != STATELESS || s->change_gap_ns != 0 || s->busy_ns != 0 || s->true_a.family != 0;
    }
    for (unsigned i = 0; i < w->boxes; i++)
        odd_box = odd_box || w->box[i].block != 0;
    return odd_box || w->host.freeze_ns != 0 || w->host.outage_ns != 0;
}

static bool expects_mapping(const world *w, const truth *t)
{
    if (!is_any_field_class(w) || !is_quiet_world(w, t) || !has_lasting_state(w) || w->link.late > 0)
        return false;
    if (is_remote(w))
        return expects_remote_mapping(w);
    witnesses n = count_witnesses(w);
    if (w->link.rtt_ns > 200 * MS || maps_by_port(w))
        return false;
    if (has_untruthful_server(w) || t->translated_between_families)
        return n.servers >= 2;
    if (has_ban(w))
        return n.servers >= 3;
    bool split = w->route == ROUTE_BY_SERVER && t->mapping != NP_BEHAVIOUR_NONE;
    return !split && n.addresses >= 2;
}

#define POOL_ASKED 8 /* fresh sockets at most */

/* A pool of addresses shows when one fresh socket of several has another: they are asked one after the other. */
static unsigned pool_round_trips(const world *w)
{
    unsigned most = 0;
    for (unsigned i = 0; i < w->boxes; i++)
        most = w->box[i].pooling == POOL_ONE ? most : POOL_ASKED;
    return most;
}

/*
 * Half a second beyond what cannot be helped, and some round trips, one of which is for measuring it. To begin anew
 * takes more than ten transactions: the last of them leave in the second that follows (RFC 5780 section 5), however
 * short the trouble was. What a host drops that hears nothing meanwhile are losses like others: the proof takes so many
 * copies more.
 */
static uint64_t expects_within_ns(const world *w)
{
    const host_desc *h = &w->host;
    uint64_t lost_ns = w->link.silent_ns + h->freeze_ns + (h->outage_ns != 0 ? h->outage_at_ns + h->outage_ns : 0);
    uint64_t most_ns = lost_ns < 500 * MS ? SECOND + 40 * MS : lost_ns + 540 * MS;
    most_ns += h->outage_deafens ? 250 * MS : 0;
    return lost_ns == 0 ? 0 : most_ns + (5 + pool_round_trips(w)) * w->link.rtt_ns;
}

static bool expects_verdict(const world *w, const truth *t)
{
    if (has_untruthful_server(w) || has_odd_way(w))
        return false;
    if (!is_quiet_world(w, t) || names_second_address(w) || !has_lasting_state(w) || w->link.late > 0 ||
        w->mapping_only)
        return false;
    if (t->mapping > NP_BEHAVIOUR_ENDPOINT_INDEPENDENT && t->silence_may_mislead) /* see is_excused */
        return false;
    if (has_leftovers(w) || has_dying_server(w))
        return false;
    for (unsigned i = 0; i < w->listed_count; i++) {
        const server_desc *s = &w->server[w->listed[i].server];
        uint64_t rtt = w->link.rtt_ns + s->extra_rtt_ns;
        if (is_conforming(w, t, &w->listed[i]) && rtt <= (w->listed_count == 1 ? 1000 : 200) * MS)
            return true;
    }
    return false;
}

static bool expects_answer(const world *w, const truth *t)
{
    if (!is_quiet_world(w, t) || has_ban(w))
        return false;
    if (is_remote(w))
        return expects_remote_mapping(w);
    for (unsigned i = 0; i < w->listed_count; i++) {
        if (is_answering(w, &w->listed[i]))
            return true;
    }
    return false;
}

/* Whether some server may be silent where it should answer, in a way that no control shows. */
static bool has_misleading_server(const world *w)
{
    for (unsigned i = 0; i < w->servers; i++) {
        const server_desc *s = &w->server[i];
        change_mode m = s->change;
        bool drops = m == CHANGE_DROPPED || m == CHANGE_IP_DROPPED || m == CHANGE_PORT_DROPPED;
        bool picks = s->state != STATELESS || s->change_gap_ns != 0 || s->true_a.family != 0;
        bool misleads = drops || picks || s->rate != 0 || s->dies_ns != 0;
        if (misleads && !server_is_dead(s))
            return true;
    }
    return w->strict_reverse;
}

void truth_of(const world *w, truth *t)
{
    dependence mapping = DEP_INDEPENDENT;
    dependence filtering = DEP_INDEPENDENT;
    bool translated = false;
    memset(t, 0, sizeof *t);
    for (unsigned i = 0; i < w->boxes; i++) { /* of several boxes the strictest shows */
        const box_desc *b = &w->box[i];
        mapping = box_mapping(b) > mapping ? box_mapping(b) : mapping;
        filtering = box_filtering(b) > filtering ? box_filtering(b) : filtering;
        translated = translated || b->kind == BOX_NAT || b->kind == BOX_LINUX;
        t->blocked = t->blocked || b->kind == BOX_BLOCKED;
        t->moves = t->moves || b->changes > 0;
        t->translated_between_families = t->translated_between_families || b->prefix.family != 0;
    }
    t->mapping = translated ? behaviour_of(mapping) : NP_BEHAVIOUR_NONE;
    if (maps_by_port(w) || w->route == ROUTE_BY_PORT)
        t->mapping = NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
    t->filtering = behaviour_of(filtering);
    t->nat_type = t->blocked ? NP_NAT_UDP_BLOCKED : truth_type(t->mapping, t->filtering);
    t->silence_may_mislead = has_misleading_server(w);
    t->answer_expected = expects_answer(w, t);
    t->verdict_expected = expects_verdict(w, t);
    t->mapping_expected = expects_mapping(w, t);
    t->within_ns = expects_within_ns(w);
}

bool truth_is_short(const truth *t, const run_record *r, verdict v)
{
    if (t->verdict_expected && v == VERDICT_UNKNOWN)
        return true;
    bool late = t->within_ns != 0 && r->end_ns - r->start_ns > t->within_ns;
    bool no_mapping = r->result.mapping == NP_BEHAVIOUR_UNKNOWN || r->result.error != NP_OK;
    return t->mapping_expected && v != VERDICT_WRONG && (no_mapping || late);
}

/* ---- The judgement ---- */

typedef struct opinion {
    verdict worst;
    char *why;
    size_t size;
} opinion;

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static void
find(opinion *o, verdict v, const char *format, ...)
{
    if (v <= o->worst)
        return;
    o->worst = v;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(o->why, o->size, format, arguments);
    va_end(arguments);
}

static bool is_dependent(int32_t behaviour)
{
    return behaviour == NP_BEHAVIOUR_ADDRESS_DEPENDENT || behaviour == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
}

static verdict compare(int32_t said, int32_t is)
{
    if (said == is)
        return VERDICT_RIGHT;
    if (is == NP_BEHAVIOUR_ENDPOINT_DEPENDENT && is_dependent(said))
        return VERDICT_RIGHT;
    if (said == NP_BEHAVIOUR_UNKNOWN || (said == NP_BEHAVIOUR_ENDPOINT_DEPENDENT && is_dependent(is)))
        return VERDICT_UNKNOWN;
    return VERDICT_WRONG;
}

/* A server in a private network that tells of private addresses: they may be its own network's, behind another NAT. */
static bool has_private_liar(const world *w)
{
    for (unsigned i = 0; i < w->servers; i++) {
        if (w->server[i].mapped == MAPPED_PRIVATE && endpoint_is_special(&w->server[i].a))
            return true;
    }
    return false;
}

static bool has_exempt_server(const world *w)
{
    for (unsigned i = 0; i < w->servers; i++) {
        if (w->server[i].exempt)
            return true;
    }
    return false;
}

static unsigned restarts(const world *w)
{
    unsigned most = 0;
    for (unsigned i = 0; i < w->boxes; i++)
        most = w->box[i].changes > most ? w->box[i].changes : most;
    return most;
}

static bool has_nested_leftovers(const world *w)
{
    return w->boxes > 1 && has_leftovers(w);
}

/* An earlier check may have left state in one of two NATs, and the mapping then looks finer than it is. */
static bool has_nested_check(const world *w)
{
    return w->boxes > 1 && w->runs > 1 && world_remembers_refused(w);
}

/*
 * Leftovers in a Linux NAT inside of one whose mapping depends on the address do make the mapping of this port depend
 * on the destination's port: the kind cannot be told by anybody, the type is the same. They do so inside of a NAT with
 * several addresses too, and an earlier check in two NATs does so as well. Two sockets show a difference that none of
 * them has, if the NAT restarts at both.
 */
static verdict compare_mapping(const world *w, const truth *t, const np_result *res)
{
    bool some_untranslated = has_exempt_server(w) && !endpoint_is_special(&w->host.local);
    bool dependent = is_dependent(res->mapping) || res->mapping == NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
    if (some_untranslated && dependent) /* so it is, between those that are and the others */
        return t->mapping == res->mapping ? VERDICT_RIGHT : VERDICT_UNKNOWN;
    if (has_private_liar(w) && res->mapping != t->mapping)
        return VERDICT_UNKNOWN;
    if (t->mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT && dependent && (restarts(w) > 1 || has_nested_leftovers(w)))
        return VERDICT_UNKNOWN;
    bool is_finer = t->mapping == NP_BEHAVIOUR_ADDRESS_DEPENDENT &&
                    res->mapping == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    return is_finer && (has_leftovers(w) || has_nested_check(w)) ? VERDICT_UNKNOWN : compare(res->mapping, t->mapping);
}

/* With a dependent mapping often no control can pass: silence is reported as measured, and not marked proven. */
static bool is_excused(const truth *t, const np_result *res)
{
    return is_dependent(t->mapping) && t->silence_may_mislead && is_dependent(res->filtering) &&
           res->filtering > t->filtering && (res->evidence & NP_EVIDENCE_FILTERING_PROVEN) == 0;
}

static void judge_facts(opinion *o, const world *w, const truth *t, const np_result *res)
{
    int32_t filtering = w->mapping_only ? NP_BEHAVIOUR_UNKNOWN : t->filtering;
    find(o, compare_mapping(w, t, res), "mapping %s, truth %s", np_behaviour_name(res->mapping),
         np_behaviour_name(t->mapping));
    verdict v = compare(res->filtering, filtering);
    if (v == VERDICT_WRONG && is_excused(t, res))
        v = VERDICT_UNKNOWN;
    find(o, v, "filtering %s, truth %s", np_behaviour_name(res->filtering), np_behaviour_name(filtering));
}

static bool was_given(const run_record *r, const char *ip, uint16_t port)
{
    for (unsigned i = 0; i < r->externals; i++) {
        char text[ENDPOINT_TEXT];
        endpoint_ip_text(&r->external[i], text);
        if (strcmp(text, ip) == 0 && r->external[i].port == port)
            return true;
    }
    return false;
}

/* Behind Linux NATs that preserve ports the source socket's own port is the one that others can use. */
static bool preserves_port(const world *w)
{
    for (unsigned i = 0; i < w->boxes; i++) {
        if (w->box[i].changes > 0) /* old entries may now be in the way of new ones */
            return false;
        if (w->box[i].kind == BOX_NAT || (w->box[i].kind == BOX_LINUX && w->box[i].fully_random))
            return false;
    }
    return w->boxes > 0;
}

/* The one server that answered tells everybody something wrong: its word cannot be compared with any other's. */
static bool has_only_word(const world *w, const np_result *res)
{
    if (has_private_liar(w) && (res->evidence & NP_EVIDENCE_SECOND_SERVER) == 0)
        return true;
    return has_untruthful_server(w) && res->error == NP_ERR_INCONCLUSIVE && res->mapping == NP_BEHAVIOUR_UNKNOWN &&
           (res->evidence & (NP_EVIDENCE_SECOND_SERVER | NP_EVIDENCE_ALTERNATE_ALIVE)) == 0;
}

static void judge_addresses(opinion *o, const world *w, const run_record *r)
{
    const np_result *res = &r->result;
    char local[ENDPOINT_TEXT];
    endpoint_ip_text(&w->host.local, local);
    if (res->external_ip[0] != '\0' && !was_given(r, res->external_ip, res->external_port))
        find(o, has_only_word(w, res) ? VERDICT_UNKNOWN : VERDICT_WRONG, "external address %s port %u was never given",
             res->external_ip, res->external_port);
    if (res->external_ip[0] != '\0' && preserves_port(w) && res->external_port != w->host.local.port)
        find(o, VERDICT_WRONG, "external port %u is that of a collision", res->external_port);
    char second[ENDPOINT_TEXT];
    endpoint_ip_text(&w->second_local, second);
    bool is_local = strcmp(local, res->local_ip) == 0 || (second[0] != '\0' && strcmp(second, res->local_ip) == 0);
    if (res->local_ip[0] != '\0' && (!is_local || res->local_port != w->host.local.port))
        find(o, VERDICT_WRONG, "local address %s port %u, truth %s", res->local_ip, res->local_port, local);
}

static void judge_silence(opinion *o, const truth *t, const run_record *r)
{
    bool is_proven = r->result.nat_type == NP_NAT_UDP_BLOCKED; /* else the time was too short to tell */
    if (t->blocked)
        return;
    if ((t->answer_expected && is_proven) || r->usable_answer)
        find(o, VERDICT_WRONG, "no response, and yet a server %s", r->usable_answer ? "answered" : "could be reached");
    else
        find(o, VERDICT_UNKNOWN, "no response");
}

/* Whether some server sends what cannot be used. */
static bool has_bad_server(const world *w)
{
    for (unsigned i = 0; i < w->servers; i++) {
        const server_desc *s = &w->server[i];
        bool private_sight = s->sees.family != 0 || (s->exempt && endpoint_is_special(&w->host.local));
        bool bad = s->plain != PLAIN_ANSWERED || !has_good_mapped(s) || s->unpadded || s->flood > 0 || private_sight;
        if (bad && !server_is_dead(s))
            return true;
    }
    return w->intercepts;
}

/* Whether some server answers plain requests from where they were sent. */
static bool has_server_at_its_address(const world *w)
{
    for (unsigned i = 0; i < w->servers; i++) {
        if (w->server[i].plain != PLAIN_ELSEWHERE)
            return true;
    }
    return false;
}

/* Late answers to what was asked from the same port before, or from another one before a NAT forgot both. */
static bool may_be_of_no_use(const world *w, const truth *t)
{
    return has_bad_server(w) || w->runs > 1 || w->earlier_count > 0 || t->moves;
}

static void judge_error(opinion *o, const world *w, const truth *t, const run_record *r)
{
    const np_result *res = &r->result;
    switch (res->error) {
    case NP_OK:
        if (t->blocked)
            find(o, VERDICT_WRONG, "a verdict where UDP is blocked");
        if (!has_server_at_its_address(w))
            find(o, VERDICT_WRONG, "a verdict from answers that came from elsewhere");
        break;
    case NP_ERR_NO_RESPONSE:
        judge_silence(o, t, r);
        break;
    case NP_ERR_INCONCLUSIVE:
    case NP_ERR_TIMEOUT:
        find(o, VERDICT_UNKNOWN, "%s", np_error_name(res->error));
        break;
    case NP_ERR_ADDRESS_CHANGED: /* a binding that timed out is a change as well, seen from here */
        find(o, t->moves || r->externals > 1 ? VERDICT_UNKNOWN : VERDICT_WRONG, "%s",
             t->moves || r->externals > 1 ? "address-changed" : "address-changed where nothing changed");
        break;
    case NP_ERR_BAD_RESPONSE:
        find(o, may_be_of_no_use(w, t) ? VERDICT_UNKNOWN : VERDICT_WRONG, "bad-response");
        break;
    case NP_ERR_CANCELLED:
        find(o, w->host.cancel_ns != 0 ? VERDICT_UNKNOWN : VERDICT_WRONG, "cancelled");
        break;
    case NP_ERR_SYSTEM: /* the time was over before the host had room for a datagram */
        find(o, w->host.busy > 0 && r->sent_count == 0 ? VERDICT_UNKNOWN : VERDICT_WRONG, "system");
        break;
    case NP_ERR_NETWORK_UNREACHABLE:
        find(o, w->host.no_route ? VERDICT_RIGHT : VERDICT_UNKNOWN, "network-unreachable");
        break;
    default:
        find(o, VERDICT_WRONG, "error %s", np_error_name(res->error));
        break;
    }
}

static void judge_times(opinion *o, const world *w, const truth *t, const run_record *r)
{
    uint64_t took_ns = r->end_ns - r->start_ns;
    if (t->within_ns != 0 && took_ns > t->within_ns)
        find(o, VERDICT_UNKNOWN, "late: %.0f ms, %.0f ms were enough", (double)took_ns / 1e6,
             (double)t->within_ns / 1e6);
    if (w->host.freeze_ns != 0 && r->result.rtt_us * 1000 > 2 * w->link.rtt_ns + 100 * MS)
        find(o, VERDICT_UNKNOWN, "round trip %.1f ms, truth %.1f ms", (double)r->result.rtt_us / 1e3,
             (double)w->link.rtt_ns / 1e6);
}

/* Whether sends were refused. */
static bool some_server_without_route(const world *w)
{
    if (w->host.outage_ns != 0 || w->host.out_rate != 0)
        return true;
    for (unsigned i = 0; i < w->servers; i++) {
        if (w->server[i].no_route)
            return true;
    }
    return false;
}

/* The counts around the verdict. */
static void judge_sightings(opinion *o, const world *w, const truth *t, const run_record *r)
{
    char why[160];
    if (sightings_are_false(w, t->moves, r, why, sizeof why))
        find(o, has_only_word(w, &r->result) ? VERDICT_UNKNOWN : VERDICT_WRONG, "%s", why);
    bool forgets = (r->result.evidence & (NP_EVIDENCE_CLASSIC | NP_EVIDENCE_RESTARTED)) != 0;
    bool all_count = t->verdict_expected && w->listed_count == 1 && r->result.error == NP_OK && !forgets;
    if (all_count && sightings_are_short(r, why, sizeof why))
        find(o, VERDICT_WRONG, "%s", why);
}

verdict truth_judge(const world *w, const truth *t, const run_record *r, char *why, size_t size)
{
    opinion o = {.worst = VERDICT_RIGHT, .why = why, .size = size};
    const np_result *res = &r->result;
    why[0] = '\0';
    judge_error(&o, w, t, r);
    if (res->error == NP_ERR_NETWORK_UNREACHABLE && !w->host.no_route && !some_server_without_route(w))
        find(&o, VERDICT_WRONG, "network-unreachable where it was reachable");
    bool silent = t->blocked || w->host.no_route;
    if (silent && (res->mapping != NP_BEHAVIOUR_UNKNOWN || res->filtering != NP_BEHAVIOUR_UNKNOWN))
        find(&o, VERDICT_WRONG, "facts where nothing can have been heard");
    if (silent && res->error == NP_ERR_NO_RESPONSE && !t->blocked)
        find(&o, VERDICT_WRONG, "no-response where nothing could be sent");
    if (!silent)
        judge_facts(&o, w, t, res);
    judge_addresses(&o, w, r);
    judge_sightings(&o, w, t, r);
    judge_times(&o, w, t, r);
    return o.worst;
}
