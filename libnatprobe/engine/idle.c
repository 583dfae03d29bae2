/* SPDX-License-Identifier: MIT */
/* Sockets left idle. */
#include "idle.h"

#include <string.h>

#include "../lifetime.h"
#include "errand.h"
#include "events.h"
#include "findings.h"

#define MS_PER_S 1000

/* A mapping ages while the process stands still. */
static uint64_t true_ns(const npi_facts *f)
{
    return f->now_ns + f->standstill.total_ns;
}

/* True when that time has come; else it is woken for. */
static bool has_come(const npi_facts *f, uint64_t t_ns, uint64_t *wake_ns)
{
    if (t_ns <= true_ns(f))
        return true;
    *wake_ns = npi_time_min(*wake_ns, t_ns - f->standstill.total_ns);
    return false;
}

static const npi_server *server_of(const npi_facts *f)
{
    return &f->servers[f->optional.lifetime.server];
}

static int slot_of(const npi_facts *f, const npi_idler *s)
{
    return NPI_SLOT_IDLE + (int)(s - f->optional.lifetime.idler);
}

/* However much is lost, and wherever the time went. */
static uint64_t latest_end_ns(const npi_facts *f)
{
    uint64_t round_ns = f->config.lifetime_limit_ns + NPI_IDLE_ROUND_NS;
    return npi_time_add(f->optional.lifetime.begun_ns, NPI_LIFETIME_ROUNDS * round_ns);
}

/* ---- Requests --------------------------------------------------------------------------------------------------- */

/* The next copy waits for an answer to the last, but not for long. */
static npi_errand *spread(const npi_facts *f, npi_errand *e)
{
    const npi_rtt *rtt = &server_of(f)->rtt;
    uint64_t rto_ns = rtt->samples > 0 ? npi_rtt_rto(rtt) : 0;
    if (e != NULL) {
        e->x.max_copies = NPI_IDLE_COPIES;
        e->gap_ns = npi_time_max(NPI_IDLE_GAP_NS, npi_time_min(rto_ns, NPI_IDLE_GAP_MAX_NS));
    }
    return e;
}

/* All copies are sent, to count how many are answered. */
static npi_errand *counted(npi_errand *e)
{
    if (e != NULL)
        e->goes_on = true;
    return e;
}

static npi_errand *ask_a(npi_facts *f, int slot)
{
    return spread(
        f, npi_errand_ask(f, "I of an idle socket", f->optional.lifetime.server, slot, &server_of(f)->address, 0));
}

/* Something is to come from A:P to the mapping of a socket, which has that external port. */
static npi_errand *ask_for(npi_facts *f, int slot, uint16_t external_port)
{
    const npi_lifetime_test *t = &f->optional.lifetime;
    const npi_server *s = server_of(f);
    if (t->way == NPI_IDLE_RESPONSE_PORT)
        return spread(
            f, npi_errand_ask_to(f, "RESPONSE-PORT", t->server, NPI_SLOT_ASKER, &s->address, external_port, slot));
    return spread(f, npi_errand_ask(f, "II of an idle socket", t->server, slot, &s->alternate,
                                    NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT));
}

/* It came from A:P: a server that does not do what it was asked to answers from elsewhere, or on another socket. */
static bool has_come_in(const npi_facts *f, const npi_errand *e)
{
    return e != NULL && npi_errand_is_answered(e) && npi_addr_equal(&e->from, &server_of(f)->address);
}

/* So many have, of so many copies. */
static bool is_let_in(const npi_facts *f, const npi_errand *e)
{
    return has_come_in(f, e) && e->x.t.answers >= NPI_IDLE_CONTROLS;
}

/* Each copy has left. */
static bool was_sent(const npi_errand *e)
{
    return e != NULL && !e->x.failed && e->x.t.sent == e->x.t.limit && e->x.t.started;
}

static bool is_settled(const npi_facts *f, const npi_errand *e, uint64_t *wake_ns)
{
    return e == NULL || npi_errand_is_settled(f, e, wake_ns);
}

/* Enough copies are answered, or none will be any more. */
static bool is_counted(const npi_facts *f, const npi_errand *e, uint64_t *wake_ns)
{
    return e == NULL || e->x.t.answers >= NPI_IDLE_CONTROLS ||
           npi_time_has_come(npi_errand_over_ns(f, e), f->now_ns, wake_ns);
}

static void release(npi_errand **e)
{
    if (*e != NULL)
        npi_errand_release(*e);
    *e = NULL;
}

static void release_both(npi_lifetime_test *t)
{
    release(&t->errand[0]);
    release(&t->errand[1]);
}

/* ---- Ports that are used again ---------------------------------------------------------------------------------- */

typedef struct port_search {
    uint16_t port;
    bool found;
} port_search;

static void look_at(const npi_server *s, const npi_exchange *x, void *user)
{
    port_search *search = user;
    (void)s;
    search->found |= x->external.port == search->port;
}

/*
 * True if a socket before had this external port. It is closed, and the system gave its local port again: then the
 * mapping is that one's, which had been answered, and is of another age.
 */
static bool was_used(npi_facts *f, uint16_t port)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    port_search search = {.port = port};
    npi_facts_each(f, look_at, &search);
    for (size_t i = 0; i < t->used_ports; i++)
        search.found |= t->used_port[i] == port;
    if (t->used_ports < NPI_IDLE_PORTS)
        t->used_port[t->used_ports++] = port;
    return search.found;
}

/* ---- One socket ------------------------------------------------------------------------------------------------- */

static void end_idler(npi_idler *s)
{
    release(&s->errand);
    s->stage = NPI_IDLE_DONE;
}

/* Whose samples it adds to. */
static int sampled_kind(const npi_idler *s)
{
    return s->kind == NPI_IDLE_UNANSWERED ? NPI_IDLE_UNANSWERED : NPI_IDLE_ANSWERED;
}

static void note(npi_facts *f, npi_idler *s, npi_idle_fate fate, uint64_t least_ns, uint64_t most_ns)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    int kind = sampled_kind(s);
    end_idler(s);
    if (fate == NPI_IDLE_UNKNOWN || t->samples[kind] == NPI_IDLE_SAMPLES)
        return;
    npi_idle_sample *sample = &t->sample[kind][t->samples[kind]++];
    *sample = (npi_idle_sample){
        .fate = fate, .round = t->round, .port = s->external.port, .keeps_port = s->external.port == s->local.port};
    if (least_ns > s->idle_least_ns)
        sample->least_ms = (uint32_t)((least_ns - s->idle_least_ns) / NPI_MS);
    sample->most_ms = (uint32_t)((most_ns - s->idle_most_ns) / NPI_MS + 1);
    npi_log_write(&f->config.log, NP_LOG_INFO, "an idle mapping, %s, after %u ms: %s",
                  kind == NPI_IDLE_UNANSWERED ? "unanswered" : "answered", (unsigned)sample->most_ms,
                  fate == NPI_IDLE_ALIVE  ? "nothing has changed"
                  : fate == NPI_IDLE_SAME ? "the same port"
                                          : "gone");
}

static void give_up(npi_facts *f, npi_idler *s)
{
    note(f, s, NPI_IDLE_UNKNOWN, 0, 0);
}

/* What was asked last is answered, and the socket is idle from now on. */
static void begin_idling(npi_facts *f, npi_idler *s)
{
    uint64_t now_ns = true_ns(f);
    const npi_rtt *rtt = &server_of(f)->rtt;
    uint64_t on_its_way_ns = s->errand->x.t.sent > 1 && rtt->samples > 0 ? npi_rtt_rto(rtt) : 0;
    s->idle_least_ns = npi_time_add(now_ns, on_its_way_ns);
    s->idle_most_ns = s->asked_ns;
    s->next_ns = npi_time_add(s->idle_least_ns, s->idle_ms * NPI_MS);
    s->stage = NPI_IDLE_WAITING;
    release(&s->errand);
}

static void ask(npi_facts *f, npi_idler *s, npi_idle_stage stage, npi_errand *errand)
{
    s->asked_ns = true_ns(f);
    s->errand = errand;
    s->stage = stage;
    if (errand == NULL)
        give_up(f, s);
}

static void open_idler(npi_facts *f, npi_idler *s)
{
    const npi_lifetime_test *t = &f->optional.lifetime;
    const npi_addr *a = &server_of(f)->address;
    int slot = slot_of(f, s);
    if (s->kind != NPI_IDLE_UNANSWERED)
        ask(f, s, NPI_IDLE_OPENING, ask_a(f, slot));
    else if (t->way == NPI_IDLE_RESPONSE_PORT) /* what answers it comes to the asker, and tells the mapping */
        ask(f, s, NPI_IDLE_CONFIRMING,
            spread(f,
                   npi_errand_ask_to(f, "I, answered elsewhere", t->server, slot, a, t->asker.port, NPI_SLOT_ASKER)));
    else
        ask(f, s, NPI_IDLE_CONFIRMING, spread(f, npi_errand_indicate(f, "indication", t->server, slot, a)));
}

static void take_opening(npi_facts *f, npi_idler *s)
{
    if (!has_come_in(f, s->errand)) {
        give_up(f, s);
        return;
    }
    s->external = s->errand->x.external;
    s->local = s->errand->x.local;
    if (was_used(f, s->external.port)) {
        give_up(f, s);
        return;
    }
    s->next_ns = npi_time_add(true_ns(f), NPI_IDLE_PAUSE_NS); /* it may have been asked long before it was sent */
    s->stage = NPI_IDLE_PAUSING;
    release(&s->errand);
}

/* Indications have left, and nothing has come; or what was asked is answered, and shows the mapping. */
static bool is_confirmed(npi_facts *f, npi_idler *s)
{
    const npi_lifetime_test *t = &f->optional.lifetime;
    const npi_errand *e = s->errand;
    if (e->payload == NPI_PAYLOAD_INDICATION)
        return was_sent(e) && !npi_errand_is_answered(e);
    if (!has_come_in(f, e))
        return false;
    if (npi_addr_is_set(&s->external) && !npi_addr_same_ip(&s->external, &e->x.external))
        return false;
    if (e->x.external.port != s->external.port && was_used(f, e->x.external.port))
        return false;
    s->external = e->x.external;
    if (s->kind != NPI_IDLE_UNANSWERED)
        s->local = e->x.local;
    return t->way != NPI_IDLE_RESPONSE_PORT || npi_addr_same_ip(&s->external, &t->asker);
}

static void take_confirmation(npi_facts *f, npi_idler *s)
{
    if (is_confirmed(f, s))
        begin_idling(f, s);
    else
        give_up(f, s);
}

/* It only compares: the next datagram out has the same external port, or another. */
static void take_comparison(npi_facts *f, npi_idler *s)
{
    const npi_addr *seen = &s->errand->x.external;
    if (!has_come_in(f, s->errand) || !npi_addr_same_ip(seen, &s->external))
        give_up(f, s);
    else if (seen->port == s->external.port)
        note(f, s, NPI_IDLE_SAME, s->asked_ns, true_ns(f));
    else {
        (void)was_used(f, seen->port);
        note(f, s, NPI_IDLE_CHANGED, s->asked_ns, true_ns(f));
    }
}

/* When the last copy has got wherever it goes, at the latest. */
static uint64_t heard_by_now_ns(const npi_facts *f, const npi_errand *e)
{
    const npi_rtt *rtt = &server_of(f)->rtt;
    uint64_t rto_ns = rtt->samples > 0 ? npi_rtt_rto(rtt) : NPI_NEVER;
    uint64_t by_ns = npi_time_add(npi_transaction_last_ns(&e->x.t) + f->standstill.total_ns, rto_ns);
    return npi_time_min(by_ns, true_ns(f));
}

/* Nothing has come in: is the mapping gone, or would nothing have come anyway? A fresh socket shows that. */
static void take_asking(npi_facts *f, npi_idler *s)
{
    if (s->kind == NPI_IDLE_COMPARING) {
        take_comparison(f, s);
        return;
    }
    if (npi_errand_is_answered(s->errand)) {
        bool is_shown = npi_addr_is_set(&s->external) || !was_used(f, s->errand->x.external.port);
        note(f, s, has_come_in(f, s->errand) && is_shown ? NPI_IDLE_ALIVE : NPI_IDLE_UNKNOWN, s->asked_ns, true_ns(f));
        return;
    }
    if (!was_sent(s->errand)) {
        give_up(f, s);
        return;
    }
    s->silent_ns = heard_by_now_ns(f, s->errand);
    s->next_ns = npi_time_add(true_ns(f), NPI_IDLE_CLOSE_NS);
    s->stage = NPI_IDLE_CLOSING;
    release(&s->errand);
}

static void take_reopening(npi_facts *f, npi_idler *s)
{
    if (!has_come_in(f, s->errand)) {
        give_up(f, s);
        return;
    }
    npi_addr external = s->errand->x.external;
    (void)was_used(f, external.port);
    release(&s->errand);
    ask(f, s, NPI_IDLE_CONTROL, counted(ask_for(f, slot_of(f, s), external.port)));
}

/* By RESPONSE-PORT the server answers to the IP address of the asker, which has to be that of the idle mapping. */
static void take_control(npi_facts *f, npi_idler *s)
{
    bool is_telling = is_let_in(f, s->errand);
    if (f->optional.lifetime.way == NPI_IDLE_RESPONSE_PORT)
        is_telling = is_telling && npi_addr_same_ip(&s->errand->x.external, &s->external);
    note(f, s, is_telling ? NPI_IDLE_GONE : NPI_IDLE_UNKNOWN, s->silent_ns, s->silent_ns);
}

/* What the socket waits for is there; otherwise it is woken for. */
static bool is_idler_due(const npi_facts *f, const npi_idler *s, uint64_t *wake_ns)
{
    switch (s->stage) {
    case NPI_IDLE_DONE:
        return false;
    case NPI_IDLE_PAUSING:
    case NPI_IDLE_WAITING:
    case NPI_IDLE_CLOSING:
        return has_come(f, s->next_ns, wake_ns);
    case NPI_IDLE_CONTROL:
        return is_counted(f, s->errand, wake_ns);
    default:
        return is_settled(f, s->errand, wake_ns);
    }
}

static void end_waiting(npi_facts *f, npi_idler *s)
{
    int slot = slot_of(f, s);
    ask(f, s, NPI_IDLE_ASKING, s->kind == NPI_IDLE_COMPARING ? ask_a(f, slot) : ask_for(f, slot, s->external.port));
}

/* False while it waits for something. */
static bool step_idler(npi_facts *f, npi_idler *s, uint64_t *wake_ns)
{
    if (!is_idler_due(f, s, wake_ns))
        return false;
    switch (s->stage) {
    case NPI_IDLE_OPENING:
        take_opening(f, s);
        break;
    case NPI_IDLE_PAUSING:
        ask(f, s, NPI_IDLE_CONFIRMING, ask_a(f, slot_of(f, s)));
        break;
    case NPI_IDLE_CONFIRMING:
        take_confirmation(f, s);
        break;
    case NPI_IDLE_WAITING:
        end_waiting(f, s);
        break;
    case NPI_IDLE_ASKING:
        take_asking(f, s);
        break;
    case NPI_IDLE_CLOSING:
        ask(f, s, NPI_IDLE_REOPENING, ask_a(f, slot_of(f, s)));
        break;
    case NPI_IDLE_REOPENING:
        take_reopening(f, s);
        break;
    default:
        take_control(f, s);
        break;
    }
    return true;
}

/* ---- A round ---------------------------------------------------------------------------------------------------- */

static size_t plan(const npi_lifetime_test *t, const npi_facts *f, int kind, uint32_t tries[NPI_LIFETIME_TRIES])
{
    if (kind == NPI_IDLE_UNANSWERED && t->way == NPI_IDLE_NO_WAY)
        return 0; /* what is asked of them would be answered */
    uint32_t limit_ms = (uint32_t)(f->config.lifetime_limit_ns / NPI_MS);
    if (t->round == 0)
        return npi_lifetime_first_round(limit_ms, tries);
    return npi_lifetime_next_round(t->sample[kind], t->samples[kind], limit_ms, tries);
}

static size_t add_idlers(npi_lifetime_test *t, size_t from, npi_idle_kind kind, const uint32_t *tries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        t->idler[from + i] = (npi_idler){.kind = kind, .idle_ms = tries[i]};
    return from + count;
}

/* How many sockets there are to be left idle. */
static size_t make_round(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    uint32_t tries[2][NPI_LIFETIME_TRIES];
    size_t count[2] = {plan(t, f, NPI_IDLE_ANSWERED, tries[0]), plan(t, f, NPI_IDLE_UNANSWERED, tries[1])};
    bool has_way = t->way != NPI_IDLE_NO_WAY;
    size_t made = add_idlers(t, 0, has_way ? NPI_IDLE_ANSWERED : NPI_IDLE_COMPARING, tries[0], count[0]);
    made = add_idlers(t, made, NPI_IDLE_UNANSWERED, tries[1], count[1]);
    for (size_t i = 0; has_way && t->round == 0 && count[0] > 0 && i < NPI_IDLE_COMPARED; i++)
        made = add_idlers(t, made, NPI_IDLE_COMPARING, &tries[0][count[0] - 1], 1);
    uint64_t longest_ms = 0;
    for (size_t i = 0; i < made; i++)
        longest_ms = npi_time_max(longest_ms, t->idler[i].idle_ms);
    uint64_t rounds = t->round == 0 ? NPI_LIFETIME_ROUNDS : 1;
    t->end_ns = npi_time_add(true_ns(f), rounds * (longest_ms * NPI_MS + NPI_IDLE_ROUND_NS));
    return made;
}

static void begin_round(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    memset(t->idler, 0, sizeof t->idler);
    size_t made = t->round < NPI_LIFETIME_ROUNDS ? make_round(f) : 0;
    t->phase = made > 0 ? NPI_IDLE_ROUND : NPI_IDLE_OVER;
    t->round++;
    for (size_t i = 0; i < made; i++)
        open_idler(f, &t->idler[i]);
}

/* Some socket of that kind has been idle for less, or is being asked. */
static bool is_shorter_open(const npi_lifetime_test *t, int kind)
{
    for (size_t i = 0; i < NPI_IDLERS; i++) {
        const npi_idler *s = &t->idler[i];
        if (sampled_kind(s) == kind && s->stage != NPI_IDLE_DONE && s->stage != NPI_IDLE_WAITING)
            return true;
    }
    return false;
}

/* Where it is known how long mappings live, longer idle times are not waited for, and ports are compared at once. */
static void cut_short(npi_facts *f, int kind)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    if (!npi_lifetime_is_bounded(t->sample[kind], t->samples[kind]) || is_shorter_open(t, kind))
        return;
    uint32_t max_ms = npi_lifetime_conclude(t->sample[kind], t->samples[kind]).max_ms;
    for (size_t i = 0; i < NPI_IDLERS; i++) {
        npi_idler *s = &t->idler[i];
        if (s->stage != NPI_IDLE_WAITING || sampled_kind(s) != kind || s->idle_ms <= max_ms)
            continue;
        if (s->kind == NPI_IDLE_COMPARING && t->way != NPI_IDLE_NO_WAY)
            s->next_ns = npi_time_min(s->next_ns, npi_time_add(s->idle_least_ns, max_ms * NPI_MS));
        else
            end_idler(s);
    }
}

/* True when it is over. */
static bool step_round(npi_facts *f, uint64_t *wake_ns)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    bool is_over = true;
    cut_short(f, NPI_IDLE_ANSWERED);
    cut_short(f, NPI_IDLE_UNANSWERED);
    for (size_t i = 0; i < NPI_IDLERS; i++) {
        npi_idler *s = &t->idler[i];
        while (step_idler(f, s, wake_ns))
            continue;
        is_over = is_over && s->stage == NPI_IDLE_DONE;
    }
    return is_over;
}

/* ---- The way in ------------------------------------------------------------------------------------------------- */

/* One that honours CHANGE-REQUEST, as far as that is known, else any that has seen the source socket. */
static bool choose_server(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    const npi_trial *trial = npi_filtering_trial(f);
    bool found = false;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        bool is_better = trial != NULL ? trial->server == i : s->alternate_state == NPI_ALTERNATE_KNOWN;
        if (!s->has_mapping || s->failed || (found && !is_better))
            continue;
        t->server = i;
        found = true;
        if (is_better)
            break;
    }
    return found;
}

/* Where everything is let in, and nothing translated, nothing grows old. */
static bool has_nothing_to_keep(const npi_facts *f)
{
    return npi_mapping_confirmed(f) == NP_BEHAVIOUR_NONE && npi_filtering_found(f) == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
}

static void begin(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    t->begun_ns = t->told_ns = true_ns(f);
    t->end_ns = latest_end_ns(f);
    if (!choose_server(f) || has_nothing_to_keep(f)) {
        t->phase = NPI_IDLE_OVER;
        return;
    }
    t->errand[0] = ask_a(f, NPI_SLOT_ASKER);
    t->errand[1] = ask_a(f, NPI_SLOT_IDLE);
    t->phase = NPI_IDLE_OPEN;
}

static void pause_between(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    t->phase = NPI_IDLE_BETWEEN;
    t->next_ns = npi_time_add(true_ns(f), NPI_IDLE_CLOSE_NS);
}

/* Where ports are kept and nothing can come in, no idle time would tell anything. */
static void settle_way(npi_facts *f, npi_idle_way way)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    release_both(t);
    t->way = way;
    if (way == NPI_IDLE_NO_WAY && t->keeps_ports)
        t->phase = NPI_IDLE_OVER;
    else
        pause_between(f);
}

/*
 * An answer that B:Q is asked for comes to the mapping to A:P only if all destinations see the same one. And it shows
 * that this has not been made again only if the filter refuses what was not asked for.
 */
static bool may_change(const npi_facts *f)
{
    int32_t mapping = npi_mapping_confirmed(f);
    int32_t filtering = npi_filtering_found(f);
    return server_of(f)->alternate_state == NPI_ALTERNATE_KNOWN &&
           (mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT || mapping == NP_BEHAVIOUR_NONE) &&
           (filtering == NP_BEHAVIOUR_ADDRESS_DEPENDENT || filtering == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT);
}

/* A stranger's socket asks for the same, and must not get it: a filter may be one of the whole host. */
static void try_change(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    release_both(t);
    if (!may_change(f)) {
        settle_way(f, NPI_IDLE_NO_WAY);
        return;
    }
    t->way = NPI_IDLE_CHANGE;
    t->errand[0] = ask_for(f, NPI_SLOT_IDLE + 1, 0);
    if (t->errand[0] != NULL)
        t->errand[0]->x.max_copies = NPI_IDLE_STRANGER_COPIES;
    t->phase = NPI_IDLE_TRY_STRANGER;
}

static bool is_port_kept(const npi_errand *e)
{
    return e->x.external.port == e->x.local.port;
}

static void take_open(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    if (!has_come_in(f, t->errand[0]) || !has_come_in(f, t->errand[1])) {
        settle_way(f, NPI_IDLE_NO_WAY);
        return;
    }
    t->keeps_ports = is_port_kept(t->errand[0]) && is_port_kept(t->errand[1]);
    t->asker = t->errand[0]->x.external;
    t->opened = t->errand[1]->x.external;
    (void)was_used(f, t->asker.port);
    (void)was_used(f, t->opened.port);
    release_both(t);
    t->way = NPI_IDLE_RESPONSE_PORT;
    t->errand[0] = counted(ask_for(f, NPI_SLOT_IDLE, t->opened.port));
    t->phase = NPI_IDLE_TRY_PORT;
}

static void take_try(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    if (t->phase == NPI_IDLE_TRY_PORT && is_let_in(f, t->errand[0]) && npi_addr_same_ip(&t->asker, &t->opened)) {
        settle_way(f, NPI_IDLE_RESPONSE_PORT);
    } else if (t->phase == NPI_IDLE_TRY_PORT) {
        try_change(f);
    } else if (t->phase == NPI_IDLE_TRY_STRANGER && was_sent(t->errand[0]) && !npi_errand_is_answered(t->errand[0])) {
        release(&t->errand[0]);
        t->errand[0] = ask_a(f, NPI_SLOT_IDLE + 2);
        t->phase = NPI_IDLE_OPEN_AGAIN;
    } else if (t->phase == NPI_IDLE_OPEN_AGAIN && has_come_in(f, t->errand[0])) {
        release(&t->errand[0]);
        t->errand[0] = counted(ask_for(f, NPI_SLOT_IDLE + 2, 0));
        t->phase = NPI_IDLE_TRY_CHANGE;
    } else {
        bool is_right = t->phase == NPI_IDLE_TRY_CHANGE && is_let_in(f, t->errand[0]);
        settle_way(f, is_right ? NPI_IDLE_CHANGE : NPI_IDLE_NO_WAY);
    }
}

/* Without an answer now, none of the others would tell anything. */
static void take_greeting(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    bool is_heard = has_come_in(f, t->errand[0]);
    if (is_heard)
        t->asker = t->errand[0]->x.external;
    release(&t->errand[0]);
    if (is_heard)
        begin_round(f);
    else
        t->phase = NPI_IDLE_OVER;
}

/* ---- The test --------------------------------------------------------------------------------------------------- */

/* What the present phase waits for is there; otherwise it is woken for. */
static bool is_phase_due(const npi_facts *f, uint64_t *wake_ns)
{
    const npi_lifetime_test *t = &f->optional.lifetime;
    switch (t->phase) {
    case NPI_IDLE_NOT_BEGUN:
        return true;
    case NPI_IDLE_OPEN:
        return is_settled(f, t->errand[0], wake_ns) && is_settled(f, t->errand[1], wake_ns);
    case NPI_IDLE_OPEN_AGAIN:
    case NPI_IDLE_GREET:
        return is_settled(f, t->errand[0], wake_ns);
    case NPI_IDLE_TRY_PORT:
    case NPI_IDLE_TRY_STRANGER:
    case NPI_IDLE_TRY_CHANGE:
        return is_counted(f, t->errand[0], wake_ns);
    case NPI_IDLE_BETWEEN:
        return has_come(f, t->next_ns, wake_ns);
    default:
        return false;
    }
}

static void greet(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    t->errand[0] = ask_a(f, NPI_SLOT_ASKER);
    t->phase = NPI_IDLE_GREET;
}

/* False while it waits for something. */
static bool step_phase(npi_facts *f, uint64_t *wake_ns)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    bool is_due = t->phase == NPI_IDLE_ROUND ? step_round(f, wake_ns) : is_phase_due(f, wake_ns);
    if (!is_due)
        return false;
    switch (t->phase) {
    case NPI_IDLE_NOT_BEGUN:
        begin(f);
        break;
    case NPI_IDLE_OPEN:
        take_open(f);
        break;
    case NPI_IDLE_ROUND:
        pause_between(f);
        break;
    case NPI_IDLE_BETWEEN:
        greet(f);
        break;
    case NPI_IDLE_GREET:
        take_greeting(f);
        break;
    default:
        take_try(f);
        break;
    }
    return true;
}

/* What is known by now is what is known. */
static void end(npi_lifetime_test *t)
{
    release_both(t);
    for (size_t i = 0; i < NPI_IDLERS; i++)
        end_idler(&t->idler[i]);
    t->phase = NPI_IDLE_OVER;
}

/* Now and then somebody who waits is told that it goes on. */
static void tell(npi_facts *f, uint64_t *wake_ns)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    if (f->config.observer.sink == NULL || t->phase == NPI_IDLE_OVER)
        return;
    if (!has_come(f, npi_time_add(t->told_ns, NPI_IDLE_TELL_NS), wake_ns))
        return;
    uint64_t now_ns = true_ns(f);
    uint64_t done_s = (now_ns - t->begun_ns) / (MS_PER_S * NPI_MS);
    uint64_t total_s = (t->end_ns - t->begun_ns) / (MS_PER_S * NPI_MS) + 1;
    t->told_ns = now_ns;
    npi_event_progress(f, NP_TESTS_LIFETIME, (uint32_t)done_s, (uint32_t)npi_time_max(total_s, done_s));
    (void)has_come(f, npi_time_add(t->told_ns, NPI_IDLE_TELL_NS), wake_ns);
}

bool npi_idle_step(npi_facts *f, uint64_t *wake_ns)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    while (step_phase(f, wake_ns))
        continue;
    if (t->phase != NPI_IDLE_OVER && has_come(f, latest_end_ns(f), wake_ns))
        end(t);
    tell(f, wake_ns);
    return t->phase == NPI_IDLE_OVER;
}

bool npi_idle_needs_slot(const npi_facts *f, int slot)
{
    const npi_lifetime_test *t = &f->optional.lifetime;
    if (t->phase == NPI_IDLE_NOT_BEGUN || t->phase == NPI_IDLE_OVER || slot < NPI_SLOT_IDLE)
        return false;
    if (slot == NPI_SLOT_ASKER)
        return true;
    if (t->phase != NPI_IDLE_ROUND)
        return t->phase < NPI_IDLE_BETWEEN;
    const npi_idler *s = &t->idler[slot - NPI_SLOT_IDLE];
    return s->stage != NPI_IDLE_DONE && s->stage != NPI_IDLE_CLOSING;
}

static uint32_t whole_seconds_up(uint32_t ms)
{
    return ms / MS_PER_S + (ms % MS_PER_S != 0);
}

void npi_idle_write(const npi_facts *f, np_result *out)
{
    const npi_lifetime_test *t = &f->optional.lifetime;
    npi_lifetime answered = npi_lifetime_conclude(t->sample[NPI_IDLE_ANSWERED], t->samples[NPI_IDLE_ANSWERED]);
    npi_lifetime unanswered = npi_lifetime_conclude(t->sample[NPI_IDLE_UNANSWERED], t->samples[NPI_IDLE_UNANSWERED]);
    out->lifetime_min_s = answered.min_ms / MS_PER_S;
    out->lifetime_max_s = whole_seconds_up(answered.max_ms);
    out->unanswered_min_s = unanswered.min_ms / MS_PER_S;
    out->unanswered_max_s = whole_seconds_up(unanswered.max_ms);
    out->lifetime_recreated = answered.recreated;
}
