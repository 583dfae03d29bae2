/* SPDX-License-Identifier: MIT */
/* Fresh sockets that ask A:P of one server, one after the other, until one differs or enough agree. */
#include "path.h"

#include "findings.h"

bool npi_path_is_asking(const npi_facts *f)
{
    return f->path.state == NPI_PATH_ASKING;
}

bool npi_path_needs_slot(const npi_facts *f, int slot)
{
    int index = slot - f->path.first_slot;
    return npi_path_is_asking(f) && index >= 0 && index < (int)f->path.asked &&
           !npi_exchange_is_answered(&f->path.x[index]);
}

static void ask_one_more(npi_facts *f)
{
    npi_path *p = &f->path;
    npi_exchange *x = &p->x[p->asked];
    npi_exchange_ask(x, "path I", &f->servers[p->server].address, 0, NPI_ALTERNATE_COPIES);
    x->slot = p->first_slot + (int)p->asked++;
}

/* What the fresh sockets have shown so far; *until_ns: when those that have not answered are given up. */
static npi_path_state judge(const npi_facts *f, uint64_t *until_ns)
{
    const npi_path *p = &f->path;
    const npi_observation *source = &f->servers[p->server].observed;
    if (!npi_addr_are_neighbours(&source->external, &p->external) || npi_addr_is_other_ip(&source->local, &p->local))
        return NPI_PATH_OTHER;
    if (npi_source_has_pool(f))
        return NPI_PATH_POOL;
    uint64_t age = npi_rtt_rto(&f->servers[p->server].rtt);
    uint32_t unheard = 0;
    *until_ns = NPI_NOW;
    for (uint32_t i = 0; i < p->asked; i++) {
        const npi_exchange *x = &p->x[i];
        bool has_view = npi_addr_is_set(&x->external); /* an error, or an address that cannot be, shows nothing */
        bool is_one_nat = npi_addr_are_neighbours(&x->external, &p->external) &&
                          !npi_addr_is_other_ip(&x->local, &p->local);
        if (has_view && !npi_has_same_way(x, &p->external, &p->local))
            return is_one_nat ? NPI_PATH_POOL : NPI_PATH_OTHER;
        uint64_t over_ns = has_view ? NPI_NOW : npi_exchange_over_ns(x, age);
        unheard += !has_view && over_ns <= f->now_ns;
        *until_ns = npi_time_max(*until_ns, over_ns);
    }
    bool used_up = p->asked == NPI_PATH_SOCKETS || unheard >= NPI_PATH_UNHEARD;
    return *until_ns <= f->now_ns && used_up ? NPI_PATH_OTHER : NPI_PATH_ASKING;
}

static void begin(npi_facts *f, const npi_trial *t)
{
    npi_log_write(&f->config.log, NP_LOG_INFO, "a fresh socket has another external address than the source");
    f->path.server = t->server;
    f->path.first_slot = NPI_SLOT_PATH + (f->restarted ? NPI_PATH_SOCKETS : 0);
    const npi_exchange *x = npi_filtering_view(&t->filtering);
    f->path.external = x->external;
    f->path.local = x->local;
    uint64_t unused_ns = NPI_NEVER;
    f->path.state = f->left_out_unsteady ? NPI_PATH_OTHER : judge(f, &unused_ns); /* all fresh sockets are used up */
    if (npi_path_is_asking(f))
        ask_one_more(f);
}

/* A trial whose socket went another way has found out about another NAT. */
static void drop_others(npi_facts *f)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        npi_trial *t = &f->trials[i];
        if (!npi_trial_has_source_way(f, t) && t->finding.reason != NPI_REASON_OTHER_PATH)
            npi_decide_unknown(f, t, NPI_REASON_OTHER_PATH);
    }
}

static const npi_trial *first_apart(const npi_facts *f)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        if (!npi_trial_has_source_way(f, &f->trials[i]))
            return &f->trials[i];
    }
    return NULL;
}

/* After the first, fresh sockets wait for the mapping requests, which may show a pool by themselves. */
static bool is_time_for_more(const npi_facts *f)
{
    const npi_trial *t = npi_server_trial(f, &f->servers[f->path.server]);
    if (t == NULL || t->phase == NPI_PHASE_DONE)
        return true;
    if (t->phase == NPI_PHASE_FILTERING)
        return false;
    for (int i = 0; i < NPI_CONTROL_EXCHANGES; i++) {
        if (t->control.x[i].queued)
            return false;
    }
    return npi_trial_is_decided(t);
}

/* Returns when to look again. */
static uint64_t go_on_asking(npi_facts *f)
{
    uint64_t until_ns = NPI_NEVER;
    f->path.state = judge(f, &until_ns);
    if (!npi_path_is_asking(f))
        return f->now_ns;
    if (until_ns > f->now_ns)
        return until_ns;
    if (!is_time_for_more(f))
        return NPI_NEVER;
    ask_one_more(f);
    return f->now_ns;
}

uint64_t npi_path_step(npi_facts *f)
{
    const npi_trial *apart = f->path.state == NPI_PATH_UNKNOWN ? first_apart(f) : NULL;
    uint64_t wake_ns = NPI_NEVER;
    if (apart != NULL) {
        begin(f, apart);
        wake_ns = f->now_ns;
    } else if (npi_path_is_asking(f)) {
        wake_ns = go_on_asking(f);
    }
    if (f->path.state == NPI_PATH_OTHER) /* before anybody is told of what they found */
        drop_others(f);
    return wake_ns;
}
