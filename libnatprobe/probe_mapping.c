/* SPDX-License-Identifier: MIT */
/*
 * What all that was seen of the source socket tells of the mapping. Sights of different moments can be compared only if
 * nothing has changed meanwhile: a NAT may have got a new address, or have been restarted.
 */
#include "probe_internal.h"

#include <string.h>

#define OBSERVATIONS_MAX (NPI_PROBE_SERVERS + 3 * NPI_TRIALS_MAX)

typedef struct sights {
    npi_observation seen[OBSERVATIONS_MAX];
    size_t count;
} sights;

const npi_trial *npi_trial_of(const npi_probe *p, const npi_server *s)
{
    return s->trial >= 0 ? &p->trials[s->trial] : NULL;
}

/* ---- What may be compared --------------------------------------------------------------------------------------- */

/* Whether the source socket had had an answer from an address by a time, so that its way was open. */
static bool was_open(const npi_probe *p, const npi_addr *address, uint64_t when_ns)
{
    for (size_t i = 0; i < p->trial_count; i++) {
        for (int k = NPI_M_BP; k <= NPI_M_AQ; k++) {
            const npi_exchange *x = &p->trials[i].x[k];
            if (x->t.answers > 0 && x->t.answered_ns <= when_ns && npi_addr_equal(&x->to, address))
                return true;
        }
    }
    return false;
}

/* Whether a control asked for an answer from an address before its way was known to be open, and before when_ns. */
static bool was_spoilt(const npi_probe *p, const npi_trial *t, int control, const npi_addr *address, uint64_t when_ns)
{
    const npi_transaction *c = &t->x[control].t;
    npi_addr from = npi_trial_expected_source(npi_trial_server(p, t), t->x[control].change);
    return c->sent > 0 && c->first_ns < when_ns && npi_addr_equal(&from, address) && !was_open(p, address, c->first_ns);
}

/*
 * A control that was sent before its pinhole's request had been answered may have overtaken it: the unsolicited answer
 * reaches the NAT first, and a Linux NAT then gives that destination another external port (docs/METHOD.md, section 6).
 * It is the destination that is spoilt, in whichever trial it is asked.
 */
static bool is_tainted(const npi_probe *p, const npi_addr *address, uint64_t answered_ns)
{
    for (size_t i = 0; i < p->trial_count; i++) {
        const npi_trial *t = &p->trials[i];
        if (was_spoilt(p, t, NPI_C_II, address, answered_ns) || was_spoilt(p, t, NPI_C_III, address, answered_ns))
            return true;
    }
    return false;
}

static bool is_seen_from(const npi_exchange *x)
{
    return npi_exchange_is_answered(x) && npi_addr_is_set(&x->external);
}

/* True when s showed the same external address before and after (or at the same moment as) a sight from elsewhere. */
static bool spans(const npi_server *s, const npi_sight *sight)
{
    return s->first.last_ns <= sight->first_ns + NPI_SAME_MOMENT_NS &&
           s->again.first_ns + NPI_SAME_MOMENT_NS >= sight->last_ns;
}

static uint64_t apart(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns > b_ns ? a_ns - b_ns : b_ns - a_ns;
}

/*
 * Both were asked at the same moments and answered at about the same time: whichever of its copies the one answered, the
 * other answered the copy of the same moment.
 */
static bool is_same_moment(const npi_sight *a, const npi_sight *b)
{
    return apart(a->first_ns, b->first_ns) <= NPI_SAME_MOMENT_NS &&
           apart(a->last_ns, b->last_ns) <= NPI_SAME_MOMENT_NS &&
           apart(a->heard_ns, b->heard_ns) < (a->last_ns - a->first_ns) / 16;
}

static bool is_comparable(const npi_server *a, const npi_server *b)
{
    if (is_same_moment(&a->first, &b->first))
        return true;
    return spans(a, &b->first) || spans(a, &b->again) || spans(b, &a->first) || spans(b, &a->again);
}

static bool is_spanned(const npi_server *s, const npi_exchange *x)
{
    npi_sight sight = {x->t.first_ns, x->seen_ns, x->t.answered_ns};
    return spans(s, &sight);
}

bool npi_mapping_is_spanned(const npi_probe *p, const npi_server *s)
{
    const npi_trial *t = npi_trial_of(p, s);
    for (int k = NPI_M_BP; t != NULL && k <= NPI_M_AQ; k++) {
        if (is_seen_from(&t->x[k]) && !is_spanned(s, &t->x[k]))
            return false;
    }
    return true;
}

/* True when all that its own trial saw, and all that other servers saw, can be compared with what s saw. */
static bool is_verified(const npi_probe *p, const npi_server *s)
{
    if (!npi_mapping_is_spanned(p, s))
        return false;
    for (size_t i = 0; i < p->server_count; i++) {
        const npi_server *o = &p->servers[i];
        if (o != s && o->is_seen && !is_comparable(s, o))
            return false;
    }
    return true;
}

/* ---- Observations ----------------------------------------------------------------------------------------------- */

static void collect_from(const npi_probe *p, const npi_server *s, bool comparable_only, sights *all)
{
    if (s->is_seen) {
        all->seen[all->count] = s->seen;
        all->seen[all->count++].tainted = is_tainted(p, &s->address, s->first.heard_ns);
    }
    const npi_trial *t = npi_trial_of(p, s);
    for (int k = NPI_M_BP; t != NULL && k <= NPI_M_AQ; k++) {
        const npi_exchange *x = &t->x[k];
        bool weak = k != NPI_M_BP;
        bool tainted = (weak && p->restarted) || is_tainted(p, &x->to, x->t.answered_ns);
        npi_observation o = {x->to, x->external, x->local, tainted, weak};
        if (is_seen_from(x) && (!comparable_only || (s->is_seen && is_spanned(s, x))))
            all->seen[all->count++] = o;
    }
}

static bool is_comparable_with_all(const npi_probe *p, const npi_server *s, const bool *taken)
{
    for (size_t i = 0; i < p->server_count; i++) {
        if (taken[i] && !is_comparable(s, &p->servers[i]))
            return false;
    }
    return true;
}

static bool has_seen_more(const npi_probe *p, const npi_server *s)
{
    const npi_trial *t = npi_trial_of(p, s);
    return t != NULL &&
           (is_seen_from(&t->x[NPI_M_BP]) || is_seen_from(&t->x[NPI_M_BQ]) || is_seen_from(&t->x[NPI_M_AQ]));
}

/* Servers that can be compared with each other: those first that have seen more. */
static void collect_comparable(const npi_probe *p, sights *all)
{
    bool taken[NPI_PROBE_SERVERS] = {false};
    for (int more = 1; more >= 0; more--) {
        for (size_t i = 0; i < p->server_count; i++) {
            const npi_server *s = &p->servers[i];
            if (!s->is_seen || has_seen_more(p, s) != more || !is_comparable_with_all(p, s, taken))
                continue;
            taken[i] = true;
            collect_from(p, s, true, all);
        }
    }
}

int32_t npi_mapping_sure(const npi_probe *p)
{
    sights all;
    all.count = 0;
    collect_comparable(p, &all);
    return npi_classify_mapping(all.seen, all.count);
}

static void collect_all(const npi_probe *p, sights *all)
{
    all->count = 0;
    for (size_t i = 0; i < p->server_count; i++)
        collect_from(p, &p->servers[i], false, all);
}

int32_t npi_mapping_seen(const npi_probe *p)
{
    sights all;
    collect_all(p, &all);
    return npi_classify_appearance(all.seen, all.count);
}

bool npi_mapping_any_sight(const npi_probe *p, npi_observation *out)
{
    sights all;
    collect_all(p, &all);
    if (all.count > 0)
        *out = all.seen[0];
    return all.count > 0;
}

/* ---- Making sure ------------------------------------------------------------------------------------------------ */

#define VERIFICATIONS_MAX 3

static bool is_being_verified(npi_probe *p, const npi_server *s)
{
    const npi_exchange *x = &s->x[NPI_VERIFY];
    if (x->wanted)
        return true;
    return x->t.started && !npi_exchange_is_answered(x) && !npi_exchange_is_over(p, x, npi_rtt_horizon(&s->rtt));
}

static void verify(npi_probe *p, npi_server *s)
{
    npi_exchange *x = &s->x[NPI_VERIFY];
    npi_exchange_init(x, "I again", NPI_SLOT_SOURCE, &s->address, 0, NPI_ALTERNATE_COPIES);
    x->wanted = true;
    p->wake_ns = p->now_ns;
}

bool npi_mapping_make_sure(npi_probe *p)
{
    bool doubtful[NPI_PROBE_SERVERS] = {false};
    bool any = false;
    int32_t sure = npi_mapping_sure(p);
    if (sure == NP_BEHAVIOUR_NONE || sure == npi_mapping_seen(p))
        return true;
    for (size_t i = 0; i < p->server_count; i++) {
        npi_server *s = &p->servers[i];
        if (!s->is_seen || is_verified(p, s))
            continue;
        if (is_being_verified(p, s))
            return false;
        doubtful[i] = any = true;
    }
    if (!any || p->verifications == VERIFICATIONS_MAX)
        return true;
    p->verifications++;
    for (size_t i = 0; i < p->server_count; i++) {
        if (doubtful[i])
            verify(p, &p->servers[i]);
    }
    return false;
}

/* ---- Is there more to come? ------------------------------------------------------------------------------------- */

/* A trial that is still asking its server's addresses. */
static npi_trial *trial_in_mapping(npi_probe *p)
{
    for (size_t i = 0; i < p->trial_count; i++) {
        npi_trial *t = &p->trials[i];
        if (t->phase == NPI_PHASE_MAPPING && !t->parked && !npi_trial_mapping_is_over(p, t))
            return t;
    }
    return NULL;
}

bool npi_mapping_is_settled(npi_probe *p)
{
    const npi_trial *t = trial_in_mapping(p);
    int32_t mapping = npi_mapping_seen(p);
    if (mapping == NP_BEHAVIOUR_NONE || t == NULL)
        return mapping != NP_BEHAVIOUR_UNKNOWN;
    if (mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)
        return npi_exchange_is_answered(&t->x[NPI_M_BP]) && (t->partial || npi_exchange_is_answered(&t->x[NPI_M_AQ]));
    return mapping == NP_BEHAVIOUR_ADDRESS_DEPENDENT || mapping == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
}
