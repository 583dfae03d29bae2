/* SPDX-License-Identifier: MIT */
/*
 * Compares what was seen of the source socket. Samples of different moments can be compared only if nothing has changed
 * meanwhile: a NAT may have got a new address, or have been restarted.
 */
#include "findings.h"

#include "again.h"
#include "chance.h"

#define OBSERVATIONS_MAX (NPI_SERVERS_MAX + 3 * NPI_TRIALS_MAX)

typedef struct observations {
    npi_observation seen[OBSERVATIONS_MAX];
    size_t count;
} observations;

/* ---- What may be compared --------------------------------------------------------------------------------------- */

static uint64_t apart(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns > b_ns ? a_ns - b_ns : b_ns - a_ns;
}

bool npi_is_bracketed_by(const npi_server *s, const npi_sample *sample)
{
    return s->first.last_ns <= sample->first_ns + NPI_SAME_MOMENT_NS &&
           s->latest.first_ns + NPI_SAME_MOMENT_NS >= sample->last_ns;
}

/*
 * Both were sent together and answered together, so both answers belong to the same round of copies. Copies are spread
 * over last - first; answers less than a sixteenth of that apart cannot belong to different ones. An example: copies at
 * 0, 250 and 650 ms, answers at 690 and 700 ms: 10 ms apart, and a sixteenth of 650 ms is 40 ms.
 */
static bool is_same_moment(const npi_sample *a, const npi_sample *b)
{
    return apart(a->first_ns, b->first_ns) <= NPI_SAME_MOMENT_NS &&
           apart(a->last_ns, b->last_ns) <= NPI_SAME_MOMENT_NS &&
           apart(a->heard_ns, b->heard_ns) < (a->last_ns - a->first_ns) / NPI_SAME_ROUND_SHARE;
}

bool npi_is_comparable(const npi_server *a, const npi_server *b)
{
    if (is_same_moment(&a->first, &b->first))
        return true;
    return npi_is_bracketed_by(a, &b->first) || npi_is_bracketed_by(a, &b->latest) ||
           npi_is_bracketed_by(b, &a->first) || npi_is_bracketed_by(b, &a->latest);
}

/* Something may have changed between what x saw and what A:P of s did. */
static bool is_of_another_time(const npi_server *s, const npi_exchange *x)
{
    npi_sample sample = {x->t.first_ns, x->last_copy_ns, x->t.answered_ns};
    return !npi_is_bracketed_by(s, &sample);
}

typedef bool (*sight_test)(const npi_server *s, const npi_exchange *x);

/* Whether it holds for what any of a server's other addresses saw. */
static bool holds_for_other_address(const npi_facts *f, const npi_server *s, sight_test holds)
{
    const npi_trial *t = npi_server_trial(f, s);
    for (int k = NPI_M_BP; t != NULL && k <= NPI_M_AQ; k++) {
        if (npi_exchange_has_external(&t->control.x[k]) && holds(s, &t->control.x[k]))
            return true;
    }
    return false;
}

bool npi_mapping_is_bracketed(const npi_facts *f, const npi_server *s)
{
    return !holds_for_other_address(f, s, is_of_another_time);
}

/* ---- What may have collided ------------------------------------------------------------------------------------- */

bool npi_mapping_is_spoilt(const npi_facts *f, const npi_addr *address)
{
    const npi_port_test *p = &f->optional.port;
    return p->is_early && p->test != NULL && p->test->x.t.sent > 0 && !npi_exchange_is_answered(&p->test->x) &&
           npi_addr_equal(&p->alternate, address);
}

/* Whether the source socket had had an answer from an address by a time, so that its way was open. */
static bool was_open(const npi_facts *f, const npi_addr *address, uint64_t when_ns)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        for (int k = NPI_M_BP; k <= NPI_M_AQ; k++) {
            const npi_exchange *x = &f->trials[i].control.x[k];
            if (x->t.answers > 0 && x->t.answered_ns <= when_ns && npi_addr_equal(&x->to, address))
                return true;
        }
    }
    return false;
}

/* Whether a control asked for an answer from an address before its way was known to be open, and before when_ns. */
static bool came_too_early(const npi_facts *f, const npi_trial *t, int control, const npi_addr *address,
                           uint64_t when_ns)
{
    const npi_exchange *c = &t->control.x[control];
    if (c->t.sent == 0 || c->t.first_ns >= when_ns)
        return false;
    npi_addr from = npi_server_expected_source(npi_trial_server(f, t), c->change);
    return npi_addr_equal(&from, address) && !was_open(f, address, c->t.first_ns);
}

/*
 * A control that was sent before its pinhole's request had been answered may have overtaken it: the unsolicited answer
 * reaches the NAT first, and a Linux NAT then gives that destination another external port (docs/METHOD.md, section 6).
 * It is the destination that is spoilt, in whichever trial it is asked.
 */
static bool may_collide(const npi_facts *f, const npi_addr *address, uint64_t answered_ns)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        const npi_trial *t = &f->trials[i];
        if (came_too_early(f, t, NPI_C_II, address, answered_ns) ||
            came_too_early(f, t, NPI_C_III, address, answered_ns))
            return true;
    }
    return npi_mapping_is_spoilt(f, address);
}

/* ---- Observations ----------------------------------------------------------------------------------------------- */

static void add_primary(const npi_facts *f, const npi_server *s, observations *all)
{
    if (!s->has_mapping)
        return;
    npi_observation *o = &all->seen[all->count++];
    *o = s->observed;
    o->may_collide = may_collide(f, &s->address, s->first.heard_ns);
    o->witness = (size_t)(s - f->servers);
}

/*
 * An earlier check has left state at the addresses that its II and III were answered from: A:Q and B:Q, or B:P if the
 * server changes the address alone.
 */
static bool may_be_stale_at(const npi_filtering *p, int k)
{
    bool changes_ip_alone = p->iii.outcome == NPI_CHANGE_IGNORED && p->ii.outcome != NPI_CHANGE_IGNORED;
    return (k == NPI_M_BP) == changes_ip_alone;
}

static void add_secondary(const npi_facts *f, const npi_trial *t, int k, observations *all)
{
    const npi_exchange *x = &t->control.x[k];
    bool may_be_stale = may_be_stale_at(&t->filtering, k);
    all->seen[all->count++] = (npi_observation){
        .destination = x->to,
        .external = x->external,
        .local = x->local,
        .may_collide = (may_be_stale && f->restarted) || may_collide(f, &x->to, x->t.answered_ns),
        .may_be_stale = may_be_stale,
        .witness = t->server,
    };
}

static observations collect_all(const npi_facts *f)
{
    observations all;
    all.count = 0;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        const npi_trial *t = npi_server_trial(f, s);
        add_primary(f, s, &all);
        for (int k = NPI_M_BP; t != NULL && k <= NPI_M_AQ; k++) {
            if (npi_exchange_has_external(&t->control.x[k]))
                add_secondary(f, t, k, &all);
        }
    }
    return all;
}

static bool is_comparable_with_all(const npi_facts *f, const npi_server *s, const bool *taken)
{
    for (size_t i = 0; i < f->server_count; i++) {
        if (taken[i] && !npi_is_comparable(s, &f->servers[i]))
            return false;
    }
    return true;
}

/* What s saw, and those of its other addresses that it brackets. */
static void add_comparable(const npi_facts *f, const npi_server *s, observations *all)
{
    const npi_trial *t = npi_server_trial(f, s);
    add_primary(f, s, all);
    for (int k = NPI_M_BP; t != NULL && k <= NPI_M_AQ; k++) {
        const npi_exchange *x = &t->control.x[k];
        if (npi_exchange_has_external(x) && !is_of_another_time(s, x))
            add_secondary(f, t, k, all);
    }
}

static bool is_any(const npi_server *s, const npi_exchange *x)
{
    (void)s;
    (void)x;
    return true;
}

/* One that fell silent cannot be asked again, so it must not keep others out. */
static int rank_of(const npi_facts *f, const npi_server *s)
{
    if (s->fell_silent)
        return 0;
    return holds_for_other_address(f, s, is_any) ? 2 : 1;
}

/* Servers that can be compared with each other: those first that have seen more. */
static observations collect_comparable(const npi_facts *f)
{
    observations all;
    bool taken[NPI_SERVERS_MAX] = {false};
    all.count = 0;
    for (int rank = 2; rank >= 0; rank--) {
        for (size_t i = 0; i < f->server_count; i++) {
            const npi_server *s = &f->servers[i];
            if (!s->has_mapping || rank_of(f, s) != rank || !is_comparable_with_all(f, s, taken))
                continue;
            taken[i] = true;
            add_comparable(f, s, &all);
        }
    }
    return all;
}

/* Leaves out the observations of a lone dissenter. True when there was one. */
static bool outvote(observations *all)
{
    size_t dissenter = npi_classify_dissenter(all->seen, all->count);
    if (dissenter == all->count)
        return false;
    size_t witness = all->seen[dissenter].witness;
    size_t kept = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (all->seen[i].witness != witness)
            all->seen[kept++] = all->seen[i];
    }
    all->count = kept;
    return true;
}

/* Whatever chance may have done. */
static int32_t mapping_compared(const npi_facts *f, observations *all)
{
    *all = collect_comparable(f);
    outvote(all);
    int32_t mapping = npi_classify_mapping(all->seen, all->count);
    /* "No NAT" has to survive every answer, comparable or not. */
    bool contradicted = mapping == NP_BEHAVIOUR_NONE && npi_mapping_apparent(f) != NP_BEHAVIOUR_NONE;
    return contradicted ? NP_BEHAVIOUR_UNKNOWN : mapping;
}

bool npi_mapping_is_confirmed(const npi_facts *f)
{
    observations all;
    return mapping_compared(f, &all) == npi_mapping_apparent(f);
}

int32_t npi_mapping_confirmed(const npi_facts *f)
{
    observations all;
    uint32_t misses = 0;
    int32_t mapping = mapping_compared(f, &all);
    return npi_chance_judge(f, all.seen, all.count, mapping, &misses);
}

const npi_server *npi_mapping_dissenter(const npi_facts *f)
{
    observations all = collect_all(f);
    size_t dissenter = npi_classify_dissenter(all.seen, all.count);
    return dissenter < all.count ? &f->servers[all.seen[dissenter].witness] : NULL;
}

bool npi_mapping_leaves_out(const npi_facts *f, const npi_server *s)
{
    const npi_server *dissenter = npi_mapping_dissenter(f);
    if (s == dissenter)
        return true;
    if (!s->has_mapping || !npi_classify_is_untranslated(&s->observed))
        return false;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *o = &f->servers[i];
        if (o != dissenter && o->has_mapping && !npi_classify_is_untranslated(&o->observed))
            return true;
    }
    return false;
}

int32_t npi_mapping_apparent(const npi_facts *f)
{
    observations all = collect_all(f);
    outvote(&all);
    return npi_classify_apparent(all.seen, all.count);
}

bool npi_mapping_is_mixed(const npi_facts *f)
{
    observations all = collect_comparable(f);
    outvote(&all);
    return npi_classify_is_mixed(all.seen, all.count);
}

bool npi_mapping_is_contradictory(const npi_facts *f)
{
    observations all = collect_all(f);
    bool differ = false;
    for (size_t i = 1; i < all.count; i++) {
        const npi_observation *a = &all.seen[0];
        const npi_observation *b = &all.seen[i];
        differ |= !npi_addr_same_ip(&a->external, &b->external) ||
                  npi_classify_is_untranslated(a) != npi_classify_is_untranslated(b);
    }
    /* What can be compared may agree, and what cannot may contradict it. */
    return differ &&
           (npi_mapping_confirmed(f) == NP_BEHAVIOUR_UNKNOWN || npi_mapping_apparent(f) == NP_BEHAVIOUR_UNKNOWN);
}

bool npi_mapping_is_lone_network(const npi_facts *f, const npi_server *s)
{
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *a = &f->servers[i];
        if (!s->has_mapping || !a->has_mapping || npi_addr_are_neighbours(&a->observed.external, &s->observed.external))
            continue;
        for (size_t k = 0; k < i; k++) {
            const npi_server *b = &f->servers[k];
            if (b->has_mapping && npi_addr_are_neighbours(&a->observed.external, &b->observed.external))
                return true;
        }
    }
    return false;
}

bool npi_mapping_any_observation(const npi_facts *f, npi_observation *out)
{
    observations all = collect_all(f);
    outvote(&all);
    size_t first = 0;
    while (first + 1 < all.count && npi_classify_is_untranslated(&all.seen[first]))
        first++; /* if any other is translated, there is a NAT */
    if (all.count > 0)
        *out = all.seen[first];
    return all.count > 0;
}

/* ---- Looking again ---------------------------------------------------------------------------------------------- */

static bool is_heard_once(const npi_server *s)
{
    return s->latest.first_ns <= s->first.first_ns;
}

bool npi_mapping_seems_dependent(const npi_facts *f)
{
    int32_t mapping = npi_mapping_apparent(f);
    return mapping == NP_BEHAVIOUR_ENDPOINT_DEPENDENT || mapping == NP_BEHAVIOUR_ADDRESS_DEPENDENT ||
           mapping == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
}

static bool differs(const npi_server *s, const npi_exchange *x)
{
    return !npi_addr_equal(&x->external, &s->observed.external);
}

/*
 * The mapping looks dependent, and only because one server sees something else than another. A server that reports
 * another address each time looks the same: it gives itself away when it is asked once more.
 */
static bool rests_on_single_words(const npi_facts *f)
{
    if (!npi_facts_tests_filtering(f))
        return false; /* there two answers have to be enough: nothing else would take the time */
    for (size_t i = 0; i < f->server_count; i++) {
        if (f->servers[i].has_mapping && holds_for_other_address(f, &f->servers[i], differs))
            return false;
    }
    return npi_mapping_seems_dependent(f);
}

bool npi_mapping_is_doubtful(const npi_facts *f, const npi_server *s)
{
    if (!s->has_mapping || s->fell_silent)
        return false;
    if (!npi_mapping_is_bracketed(f, s) || (is_heard_once(s) && rests_on_single_words(f)))
        return true;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *o = &f->servers[i];
        if (o != s && o->has_mapping && !o->fell_silent && !npi_is_comparable(s, o))
            return true;
    }
    return false;
}

/* When the recheck of s, if one is under way, is over; a time that has passed when none is. */
static uint64_t recheck_over_ns(const npi_server *s)
{
    const npi_exchange *x = &s->x[NPI_RECHECK];
    if (x->queued)
        return NPI_NEVER;
    if (!x->t.started || npi_exchange_is_answered(x))
        return NPI_NOW;
    return npi_exchange_over_ns(x, npi_rtt_rto(&s->rtt));
}

npi_recheck npi_mapping_recheck(const npi_facts *f)
{
    observations all;
    int32_t compared = mapping_compared(f, &all);
    bool agrees = compared == npi_mapping_apparent(f) && !rests_on_single_words(f);
    if (compared == NP_BEHAVIOUR_NONE || agrees)
        return (npi_recheck){NPI_RECHECK_NOT_NEEDED, NPI_NEVER};
    bool any = false;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (!npi_mapping_is_doubtful(f, s))
            continue;
        uint64_t over_ns = recheck_over_ns(s);
        if (over_ns > f->now_ns)
            return (npi_recheck){NPI_RECHECK_GOES_ON, over_ns};
        any = true;
    }
    bool can_ask = any && f->rechecks < NPI_RECHECKS_MAX;
    return (npi_recheck){can_ask ? NPI_RECHECK_NEEDED : NPI_RECHECK_NOT_NEEDED, NPI_NEVER};
}

/* It was asked at another IP address than s was or will be, and saw what A:P of s sees. */
static bool sees_alike(const npi_facts *f, const npi_server *s, const npi_server *o)
{
    bool is_elsewhere = !npi_addr_same_ip(&o->address, &s->address) && !npi_addr_same_ip(&o->address, &s->alternate);
    return o != s && is_elsewhere && o->has_mapping && !o->failed && !o->fell_silent && !o->is_unsteady &&
           npi_addr_equal(&o->observed.external, &s->observed.external) &&
           !npi_addr_is_other_ip(&o->observed.local, &s->observed.local) && !npi_mapping_leaves_out(f, o);
}

const npi_server *npi_mapping_other_view(const npi_facts *f, const npi_server *s)
{
    for (size_t i = 0; s->has_mapping && i < f->server_count; i++) {
        const npi_server *o = &f->servers[i];
        if (npi_again_is_left(f, o) && sees_alike(f, s, o))
            return o;
    }
    return NULL;
}

/* ---- Other sockets' mappings ------------------------------------------------------------------------------------ */

/* When the looks that were asked are over; a time that has passed when all are. */
static uint64_t looks_over_ns(const npi_facts *f)
{
    uint64_t over_ns = NPI_NOW;
    for (uint32_t i = 0; i < f->looks.asked; i++) {
        const npi_look *look = &f->looks.look[i];
        for (int k = 0; k < NPI_LOOK_EXCHANGES; k++) {
            uint64_t age_ns = npi_rtt_rto(&f->servers[look->server[k]].rtt);
            if (!npi_exchange_is_answered(&look->x[k]))
                over_ns = npi_time_max(over_ns, npi_exchange_over_ns(&look->x[k], age_ns));
        }
    }
    return over_ns;
}

/*
 * The one with another IP address than the i-th, or with the same and another port, that may be asked most often; count
 * when there is none.
 */
static size_t partner_of(const npi_facts *f, const observations *all, size_t i, bool same_ip)
{
    const npi_observation *a = &all->seen[i];
    size_t best = all->count;
    uint32_t most = 0;
    for (size_t j = 0; j < all->count; j++) {
        const npi_observation *b = &all->seen[j];
        uint32_t left = npi_facts_copies_left(f, &b->destination);
        bool fits = npi_addr_same_ip(&a->destination, &b->destination) == same_ip &&
                    !npi_addr_is_other_ip(&a->local, &b->local);
        if (!fits || (same_ip && a->destination.port == b->destination.port) || left <= most)
            continue;
        best = j;
        most = left;
    }
    return best;
}

/* Destinations that tell what is missed. */
static bool choose_destinations(const npi_facts *f, const observations *all, uint32_t misses, npi_look_advice *out)
{
    for (size_t i = 0; i < all->count; i++) {
        size_t other_ip = partner_of(f, all, i, false);
        size_t other_port = partner_of(f, all, i, true);
        bool wants_ip = (misses & NPI_MISSES_OTHER_IP) != 0;
        bool wants_port = (misses & NPI_MISSES_OTHER_PORT) != 0;
        if ((wants_ip && other_ip == all->count) || (wants_port && other_port == all->count))
            continue;
        out->seen[NPI_L_FIRST] = all->seen[i];
        out->is_wanted[NPI_L_FIRST] = true;
        out->is_wanted[NPI_L_OTHER_IP] = wants_ip;
        out->is_wanted[NPI_L_OTHER_PORT] = wants_port;
        if (wants_ip)
            out->seen[NPI_L_OTHER_IP] = all->seen[other_ip];
        if (wants_port)
            out->seen[NPI_L_OTHER_PORT] = all->seen[other_port];
        return true;
    }
    return false;
}

npi_look_advice npi_mapping_look(const npi_facts *f)
{
    npi_look_advice advice = {.state = NPI_LOOK_NOT_NEEDED, .wake_ns = NPI_NEVER};
    observations all;
    uint32_t misses = 0;
    int32_t mapping = mapping_compared(f, &all);
    (void)npi_chance_judge(f, all.seen, all.count, mapping, &misses);
    if (misses == 0)
        return advice;
    uint64_t over_ns = looks_over_ns(f);
    if (over_ns > f->now_ns) {
        advice.state = NPI_LOOK_GOES_ON;
        advice.wake_ns = over_ns;
    } else if (misses != NPI_MISSES_NO_MORE && f->looks.asked < NPI_LOOKS &&
               choose_destinations(f, &all, misses, &advice)) {
        advice.state = NPI_LOOK_NEEDED;
    }
    return advice;
}

/* ---- The way of fresh sockets ----------------------------------------------------------------------------------- */

bool npi_has_same_way(const npi_exchange *x, const npi_addr *external, const npi_addr *local)
{
    return npi_addr_same_ip(&x->external, external) && !npi_addr_is_other_ip(&x->local, local);
}

bool npi_source_has_pool(const npi_facts *f)
{
    observations all = collect_all(f);
    for (size_t i = 1; i < all.count; i++) {
        const npi_observation *a = &all.seen[0];
        const npi_observation *b = &all.seen[i];
        bool comparable = a->witness == b->witness && !npi_addr_is_other_ip(&a->local, &b->local);
        if (comparable && !npi_addr_same_ip(&a->external, &b->external) &&
            npi_addr_are_neighbours(&a->external, &b->external))
            return true;
    }
    return false;
}

const npi_exchange *npi_filtering_view(const npi_filtering *p)
{
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        if (npi_exchange_has_external(&p->x[i]))
            return &p->x[i];
    }
    return npi_exchange_has_external(&p->late) ? &p->late : NULL;
}

/* What the filtering socket of a trial looks like; NULL: not known, or it is the source itself. */
static const npi_exchange *own_view(const npi_facts *f, const npi_trial *t)
{
    bool is_over = npi_server_trial(f, npi_trial_server(f, t)) != t; /* from before a restart */
    return is_over || t->filtering.slot == NPI_SLOT_SOURCE ? NULL : npi_filtering_view(&t->filtering);
}

bool npi_trial_has_source_way(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    const npi_exchange *x = own_view(f, t);
    return x == NULL || !s->has_mapping || npi_has_same_way(x, &s->observed.external, &s->observed.local);
}

/* ---- Filtering -------------------------------------------------------------------------------------------------- */

/*
 * Whether the server has answered its filtering socket alone, and every other the source alone, with another IP: then
 * nothing shows that both went the same way.
 */
static bool is_apart_from_all(const npi_facts *f, const npi_trial *t)
{
    const npi_exchange *x = own_view(f, t);
    bool is_apart = false;
    if (x == NULL || npi_trial_server(f, t)->has_mapping)
        return false;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (!s->has_mapping || npi_mapping_leaves_out(f, s))
            continue;
        if (npi_has_same_way(x, &s->observed.external, &s->observed.local))
            return false;
        is_apart = true;
    }
    return is_apart;
}

/* Another way, or a server that does not see the NAT, says nothing of this one. */
static bool is_of_this_nat(const npi_facts *f, const npi_trial *t)
{
    if (npi_mapping_leaves_out(f, npi_trial_server(f, t)))
        return false;
    return f->path.state == NPI_PATH_POOL || (npi_trial_has_source_way(f, t) && !is_apart_from_all(f, t));
}

/* Whether an answer to some server's II or III has passed the NAT that such a filter would have stopped. */
static bool is_refuted_by(const npi_filtering *p, int32_t filtering)
{
    bool ii = p->ii.outcome == NPI_CHANGE_HONOURED && filtering != NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    bool iii = p->iii.outcome == NPI_CHANGE_HONOURED && filtering == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    return !p->pinhole_not_fresh && (ii || iii);
}

/*
 * One server's silence is the word of that server, whose own firewall may keep answers back; an answer that came from
 * another has passed the NAT.
 */
static bool is_overruled(const npi_facts *f, const npi_trial *t)
{
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_trial *o = npi_server_trial(f, &f->servers[i]);
        if (o != NULL && o != t && is_refuted_by(&o->filtering, t->finding.filtering) && is_of_this_nat(f, o))
            return true;
    }
    return false;
}

/* A verdict from silence stands when the trial is over, one from an answer at once. */
static bool has_filtering(const npi_facts *f, const npi_trial *t)
{
    if (!npi_trial_is_decided(t) || t->finding.filtering == NP_BEHAVIOUR_UNKNOWN)
        return false;
    if (!is_of_this_nat(f, t) || is_overruled(f, t))
        return false;
    return t->phase == NPI_PHASE_DONE || t->finding.filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
}

/* An answered II is more than any silence. */
static bool says_more(const npi_finding *a, const npi_finding *b)
{
    bool a_open = a->filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    bool b_open = b->filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    bool a_kind = a->filtering != NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
    bool b_kind = b->filtering != NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
    if (a_open != b_open)
        return a_open;
    return a_kind != b_kind ? a_kind : a->proven && !b->proven;
}

const npi_trial *npi_filtering_trial(const npi_facts *f)
{
    const npi_trial *best = NULL;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_trial *t = npi_server_trial(f, &f->servers[i]);
        if (t != NULL && has_filtering(f, t) && (best == NULL || says_more(&t->finding, &best->finding)))
            best = t;
    }
    return best;
}

int32_t npi_filtering_found(const npi_facts *f)
{
    const npi_trial *t = npi_filtering_trial(f);
    return t != NULL ? t->finding.filtering : NP_BEHAVIOUR_UNKNOWN;
}

bool npi_filtering_is_needed(const npi_facts *f)
{
    int32_t found = npi_filtering_found(f);
    return npi_facts_tests_filtering(f) && (found == NP_BEHAVIOUR_UNKNOWN || found == NP_BEHAVIOUR_ENDPOINT_DEPENDENT);
}

bool npi_trial_is_useful(const npi_facts *f, const npi_trial *t)
{
    if (t->phase == NPI_PHASE_DONE)
        return false;
    return !npi_filtering_is_needed(f) || !npi_trial_is_decided(t) || t->finding.filtering != NP_BEHAVIOUR_UNKNOWN;
}

/* ---- Answers to CHANGE-REQUEST ---------------------------------------------------------------------------------- */

/*
 * What left from where it should and comes from elsewhere was rewritten on the way: a router may put an address of its
 * own for that of who sends unsolicited. That the datagram passed is no proof that the one asked for would: a server
 * may say what is not true. From another address of its own it was the server that sent it, whatever it says.
 */
npi_change npi_change_shown(const npi_server *s, uint32_t change, const npi_addr *from, const npi_addr *origin,
                            bool success)
{
    npi_addr expected = npi_server_expected_source(s, change);
    if (success && s->alternate_state != NPI_ALTERNATE_KNOWN && !npi_addr_equal(from, &s->address))
        return NPI_CHANGE_PENDING;
    npi_change outcome = npi_classify_change(&s->address, &expected, from, success);
    bool is_its_own = npi_addr_same_ip(from, &s->address) || npi_addr_same_ip(from, &s->alternate);
    bool is_rewritten = outcome == NPI_CHANGE_PARTIAL && !is_its_own && npi_addr_equal(origin, &expected);
    return is_rewritten ? NPI_CHANGE_REWRITTEN : outcome;
}

uint32_t npi_change_evidence(npi_change outcome)
{
    switch (outcome) {
    case NPI_CHANGE_IGNORED:
        return NP_EVIDENCE_CHANGE_IGNORED;
    case NPI_CHANGE_PARTIAL:
        return NP_EVIDENCE_CHANGE_PARTIAL;
    case NPI_CHANGE_REWRITTEN:
        return NP_EVIDENCE_PROXIED;
    case NPI_CHANGE_REJECTED:
        return NP_EVIDENCE_CHANGE_REJECTED;
    default:
        return 0;
    }
}

bool npi_change_disqualifies_server(npi_change outcome)
{
    return npi_change_evidence(outcome) != 0;
}

npi_reason npi_change_reason(npi_change outcome)
{
    if (outcome == NPI_CHANGE_IGNORED)
        return NPI_REASON_IGNORED;
    if (outcome == NPI_CHANGE_REWRITTEN)
        return NPI_REASON_REWRITTEN;
    return outcome == NPI_CHANGE_REJECTED ? NPI_REASON_REJECTED : NPI_REASON_PARTIAL;
}
