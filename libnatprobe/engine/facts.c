/* SPDX-License-Identifier: MIT */
/* Records and look-ups. */
#include "facts.h"

#include <string.h>

/* Bytes of an id that are random in both dialects, and the first of them. */
#define RANDOM_BYTES 12
#define RANDOM_FROM 4

/* ---- Requests --------------------------------------------------------------------------------------------------- */

void npi_exchange_init(npi_exchange *x, const char *name, int slot, const npi_addr *to, uint32_t change,
                       uint32_t max_copies)
{
    memset(x, 0, sizeof *x);
    x->name = name;
    x->slot = slot;
    x->to = *to;
    x->change = change;
    x->max_copies = max_copies;
}

void npi_exchange_ask(npi_exchange *x, const char *name, const npi_addr *to, uint32_t change, uint32_t max_copies)
{
    npi_exchange_init(x, name, NPI_SLOT_SOURCE, to, change, max_copies);
    x->queued = true;
}

bool npi_exchange_is_answered(const npi_exchange *x)
{
    return npi_transaction_is_answered(&x->t);
}

bool npi_exchange_has_external(const npi_exchange *x)
{
    return npi_exchange_is_answered(x) && npi_addr_is_set(&x->external);
}

bool npi_exchange_is_unsent(const npi_exchange *x)
{
    return x->unsent && !npi_exchange_is_answered(x);
}

bool npi_exchange_was_asked(const npi_exchange *x)
{
    return x->queued || x->t.started || x->failed;
}

uint64_t npi_exchange_over_ns(const npi_exchange *x, uint64_t age_ns)
{
    if (x->failed)
        return NPI_NOW;
    if (!x->t.started)
        return x->queued ? NPI_NEVER : NPI_NOW;
    if (x->t.sent < x->t.limit && !x->t.stopped)
        return NPI_NEVER;
    return npi_transaction_all_aged_ns(&x->t, age_ns);
}

/* ---- All requests ----------------------------------------------------------------------------------------------- */

/* Requests of one kind that go to one server, and the trial that they are a part of. */
typedef struct group {
    const npi_exchange *x;
    int count;
    size_t server;
    bool has_trial;
} group;

enum { GROUP_SERVER, GROUP_FILTERING, GROUP_LATE, GROUP_CONTROL, GROUPS_OF_SERVER };

static group group_of_server(const npi_facts *f, size_t server, size_t kind)
{
    const npi_server *s = &f->servers[server];
    const npi_trial *t = npi_server_trial(f, s);
    if (kind == GROUP_SERVER)
        return (group){s->x, npi_server_is_started(s) ? NPI_SERVER_EXCHANGES : 0, server, false};
    if (t == NULL)
        return (group){NULL, 0, server, false};
    if (kind == GROUP_FILTERING)
        return (group){t->filtering.x, NPI_FILTERING_EXCHANGES, server, true};
    if (kind == GROUP_LATE)
        return (group){&t->filtering.late, 1, server, true};
    return (group){t->control.x, NPI_CONTROL_EXCHANGES, server, true};
}

/* Each request of the experiment is in one of these groups. False: there are not so many. */
static bool get_group(const npi_facts *f, size_t index, group *out)
{
    if (index < f->server_count * GROUPS_OF_SERVER) {
        *out = group_of_server(f, index / GROUPS_OF_SERVER, index % GROUPS_OF_SERVER);
        return true;
    }
    index -= f->server_count * GROUPS_OF_SERVER;
    if (index == 0) {
        *out = (group){f->path.x, (int)f->path.asked, f->path.server, false};
        return true;
    }
    size_t look = (index - 1) / NPI_LOOK_EXCHANGES;
    size_t k = (index - 1) % NPI_LOOK_EXCHANGES;
    if (look >= f->looks.asked)
        return false;
    *out = (group){&f->looks.look[look].x[k], 1, f->looks.look[look].server[k], true};
    return true;
}

static const npi_exchange *find_among(const group *g, int slot, const npi_stun_id *id)
{
    for (int i = 0; i < g->count; i++) {
        if (g->x[i].t.started && g->x[i].slot == slot && npi_stun_id_equal(&g->x[i].t.id, id))
            return &g->x[i];
    }
    return NULL;
}

npi_origin npi_facts_find(npi_facts *f, int slot, const npi_stun_id *id)
{
    group g;
    for (size_t i = 0; get_group(f, i, &g); i++) {
        const npi_exchange *x = find_among(&g, slot, id);
        if (x == NULL)
            continue;
        npi_server *s = &f->servers[g.server];
        npi_trial *t = g.has_trial && s->trial >= 0 ? &f->trials[s->trial] : NULL;
        return (npi_origin){s, t, (npi_exchange *)(uintptr_t)x}; /* f is not const here, nor is what it holds */
    }
    return (npi_origin){NULL, NULL, NULL};
}

const npi_errand *npi_facts_errand(const npi_facts *f, const npi_exchange *x)
{
    for (size_t i = 0; i < f->optional.errands; i++) {
        if (&f->optional.errand[i].x == x)
            return &f->optional.errand[i];
    }
    return NULL;
}

void npi_facts_each(const npi_facts *f, npi_visit_fn visit, void *user)
{
    group g;
    for (size_t i = 0; get_group(f, i, &g); i++) {
        for (int k = 0; k < g.count; k++)
            visit(&f->servers[g.server], &g.x[k], user);
    }
}

/* ---- Servers and trials ----------------------------------------------------------------------------------------- */

bool npi_server_is_started(const npi_server *s)
{
    return s->contact != NPI_NOT_ASKED;
}

bool npi_server_has_answered(const npi_server *s)
{
    return s->contact == NPI_HAS_ANSWERED;
}

size_t npi_facts_count_started(const npi_facts *f)
{
    size_t started = 0;
    for (size_t i = 0; i < f->server_count; i++)
        started += npi_server_is_started(&f->servers[i]);
    return started;
}

uint32_t npi_facts_budget(const npi_facts *f, uint32_t datagrams, uint32_t more)
{
    return f->server_count > 2 ? datagrams + more * (uint32_t)(f->server_count - 2) : datagrams;
}

static void forget_round_trips(npi_server *s)
{
    s->late_answers = 0;
    s->is_last_late = false;
    memset(&s->rtt, 0, sizeof s->rtt);
}

void npi_server_woke(npi_server *s, uint64_t rtt_ns)
{
    s->woke_ns = s->suspect_ns;
    forget_round_trips(s);
    npi_rtt_sample(&s->rtt, rtt_ns, NPI_RTT_AMBIGUOUS);
}

void npi_server_forget_path(npi_server *s)
{
    s->suspect_ns = s->suspect_took_ns = s->suspect_rtt_ns = s->woke_ns = 0;
    s->heard_ns = s->service_ns = s->clear_ns = 0;
    s->last_heard = NULL;
    forget_round_trips(s);
}

void npi_server_ask_again(npi_server *s)
{
    npi_exchange_ask(&s->x[NPI_RECHECK], "I again", &s->address, 0, NPI_ALTERNATE_COPIES);
}

bool npi_server_is_slow(const npi_server *s)
{
    return s->late_answers >= NPI_SLOW_ANSWERS;
}

bool npi_facts_tests_filtering(const npi_facts *f)
{
    return (f->config.tests & NP_TESTS_FILTERING) != 0;
}

size_t npi_facts_count_fell_silent(const npi_facts *f)
{
    size_t silent = 0;
    for (size_t i = 0; i < f->server_count; i++)
        silent += f->servers[i].fell_silent;
    return silent;
}

uint32_t npi_server_copies_before(const npi_facts *f, const npi_server *s, uint64_t when_ns)
{
    uint32_t copies = 0;
    group g;
    for (size_t i = 0; get_group(f, i, &g); i++) {
        for (int k = 0; k < g.count && &f->servers[g.server] == s; k++)
            copies += g.x[k].t.sent - npi_transaction_sent_since(&g.x[k].t, when_ns);
    }
    return copies;
}

uint32_t npi_server_copies(const npi_facts *f, const npi_server *s)
{
    return npi_server_copies_before(f, s, NPI_NEVER);
}

const npi_trial *npi_server_trial(const npi_facts *f, const npi_server *s)
{
    return s->trial >= 0 ? &f->trials[s->trial] : NULL;
}

/* In rounds each copy matters, also those of a request that has been answered before. */
static bool any_round_is_unsent(const npi_filtering *p)
{
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        if (p->x[i].unsent)
            return true;
    }
    return false;
}

static bool any_is_unsent(const npi_exchange *x, int count)
{
    for (int i = 0; i < count; i++) {
        if (npi_exchange_is_unsent(&x[i]))
            return true;
    }
    return false;
}

bool npi_trial_is_unsent(const npi_trial *t)
{
    return any_round_is_unsent(&t->filtering) || any_is_unsent(t->control.x, NPI_CONTROL_EXCHANGES);
}

bool npi_facts_is_unsent(const npi_facts *f)
{
    bool is_unsent = false;
    group g;
    for (size_t i = 0; get_group(f, i, &g); i++) {
        const npi_trial *t = npi_server_trial(f, &f->servers[g.server]);
        is_unsent |= any_is_unsent(g.x, g.count) || (g.has_trial && t != NULL && any_round_is_unsent(&t->filtering));
    }
    return is_unsent;
}

const npi_server *npi_trial_server(const npi_facts *f, const npi_trial *t)
{
    return &f->servers[t->server];
}

uint64_t npi_trial_rto(const npi_facts *f, const npi_trial *t)
{
    return npi_rtt_rto(&npi_trial_server(f, t)->rtt);
}

uint64_t npi_trial_far_rto(const npi_facts *f, const npi_trial *t)
{
    uint64_t alternate = t->alternate_rtt.samples > 0 ? npi_rtt_rto(&t->alternate_rtt) : 0;
    return npi_time_max(npi_trial_rto(f, t), alternate);
}

npi_addr npi_server_expected_source(const npi_server *s, uint32_t change)
{
    return (change & NPI_STUN_CHANGE_IP) != 0 ? s->alternate : npi_addr_with_port(&s->address, s->alternate.port);
}

uint8_t npi_filtering_random(const npi_filtering *p, uint32_t round)
{
    return p->x[NPI_F_I].t.id.bytes[RANDOM_FROM + round % RANDOM_BYTES];
}

typedef bool (*same_fn)(const npi_addr *, const npi_addr *);

static bool has_contacted(const npi_facts *f, const npi_addr *address, same_fn is_same)
{
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if ((npi_server_is_started(s) || s->started_before_restart) && is_same(&s->address, address))
            return true;
    }
    for (size_t i = 0; i < f->trial_count; i++) {
        for (int k = NPI_M_BP; k <= NPI_M_AQ; k++) {
            const npi_exchange *x = &f->trials[i].control.x[k];
            if (x->t.sent > 0 && is_same(&x->to, address))
                return true;
        }
    }
    return false;
}

bool npi_facts_has_contacted(const npi_facts *f, const npi_addr *address)
{
    return has_contacted(f, address, npi_addr_equal);
}

bool npi_facts_has_contacted_ip(const npi_facts *f, const npi_addr *address)
{
    return has_contacted(f, address, npi_addr_same_ip);
}

static uint32_t copies_used(const npi_exchange *x, bool over, const npi_addr *to)
{
    if (x->change != 0 || !npi_exchange_was_asked(x) || !npi_addr_equal(&x->to, to))
        return 0;
    return over || x->failed || npi_exchange_is_answered(x) ? x->t.sent : x->max_copies;
}

static uint32_t copies_of_looks(const npi_facts *f, bool over, const npi_addr *to)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < f->looks.asked; i++) {
        for (int k = 0; k < NPI_LOOK_EXCHANGES; k++)
            used += copies_used(&f->looks.look[i].x[k], over, to);
    }
    return used;
}

uint32_t npi_facts_most_copies_of_looks(const npi_facts *f)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < f->looks.asked; i++) {
        for (int k = 0; k < NPI_LOOK_EXCHANGES; k++) {
            uint32_t used = copies_of_looks(f, true, &f->looks.look[i].x[k].to);
            most = used > most ? used : most;
        }
    }
    return most;
}

uint32_t npi_facts_copies_left(const npi_facts *f, const npi_addr *to)
{
    uint32_t used = f->looked_before + copies_of_looks(f, false, to);
    for (size_t i = 0; i < f->trial_count; i++) {
        const npi_trial *t = &f->trials[i];
        for (int k = 0; k < NPI_CONTROL_EXCHANGES; k++)
            used += copies_used(&t->control.x[k], t->phase == NPI_PHASE_DONE, to);
    }
    return used < NPI_ALTERNATE_COPIES ? NPI_ALTERNATE_COPIES - used : 0;
}

uint64_t npi_facts_elapsed_ns(const npi_facts *f, uint64_t t_ns)
{
    return t_ns - f->start_ns + f->standstill.total_ns;
}

bool npi_facts_has_mapping(const npi_facts *f)
{
    for (size_t i = 0; i < f->server_count; i++) {
        if (f->servers[i].has_mapping)
            return true;
    }
    return false;
}

/* ---- Findings --------------------------------------------------------------------------------------------------- */

bool npi_trial_is_decided(const npi_trial *t)
{
    return t->finding.state != NPI_UNDECIDED;
}

static void decide(npi_finding *finding, int32_t filtering, bool proven, npi_reason reason)
{
    if (finding->state == NPI_UNDECIDED)
        finding->state = NPI_DECIDED;
    finding->filtering = filtering;
    finding->proven = proven;
    finding->reason = reason;
}

void npi_take_back(npi_trial *t)
{
    t->finding = (npi_finding){NPI_UNDECIDED, NP_BEHAVIOUR_UNKNOWN, false, NPI_REASON_NONE};
}

void npi_decide(npi_trial *t, int32_t filtering)
{
    decide(&t->finding, filtering, true, NPI_REASON_NONE);
}

void npi_decide_unproven(npi_trial *t, int32_t filtering)
{
    decide(&t->finding, filtering, false, NPI_REASON_NONE);
}

void npi_decide_unknown(npi_facts *f, npi_trial *t, npi_reason reason)
{
    static const char *const words[] = {
        [NPI_REASON_NONE] = "",
        [NPI_REASON_NO_ALTERNATE] = "no second address",
        [NPI_REASON_REFUSED] = "refused second address",
        [NPI_REASON_IGNORED] = "CHANGE-REQUEST ignored",
        [NPI_REASON_PARTIAL] = "CHANGE-REQUEST partly honoured",
        [NPI_REASON_REWRITTEN] = "source addresses rewritten on the path",
        [NPI_REASON_REJECTED] = "CHANGE-REQUEST rejected",
        [NPI_REASON_CONTROL] = "the control was silent",
        [NPI_REASON_RATIONED] = "it answers few CHANGE-REQUESTs",
        [NPI_REASON_LOSS] = "too much loss",
        [NPI_REASON_SLOW] = "it answers too slowly",
        [NPI_REASON_SHUT_OUT] = "it fell silent during the test",
        [NPI_REASON_CONTRADICTION] = "contradictory answers",
        [NPI_REASON_NOT_FRESH] = "its second address was asked before",
        [NPI_REASON_OTHER_PATH] = "fresh sockets take another way than the source",
        [NPI_REASON_NO_SOCKET] = "no second socket",
        [NPI_REASON_UNSENT] = "requests did not leave",
        [NPI_REASON_UNFINISHED] = "not finished",
    };
    char text[NPI_ADDR_TEXT];
    npi_addr_format(&npi_trial_server(f, t)->address, text);
    npi_log_write(&f->config.log, NP_LOG_INFO, "%s cannot tell the filtering: %s", text, words[reason]);
    if (reason == NPI_REASON_CONTROL)
        f->evidence |= NP_EVIDENCE_CONTROL_SILENT;
    if (reason == NPI_REASON_CONTRADICTION)
        f->evidence |= NP_EVIDENCE_CONTRADICTION;
    decide(&t->finding, NP_BEHAVIOUR_UNKNOWN, false, reason);
}
