/* SPDX-License-Identifier: MIT */
/* Counts losses, and weighs a silence against them. */
#include "silence.h"

#include "dense.h"
#include "plain.h"

/* Rates of loss that are looked at: 1/20, 2/20, ... The maximum between them is flat. */
#define RATE_STEPS 20

/* ---- Losses ----------------------------------------------------------------------------------------------------- */

/* How many copies were answered at most. A duplicate may have taken the place of an answer that came later. */
static uint32_t count_answered(const npi_transaction *t, const npi_echo *echo)
{
    uint32_t all = npi_transaction_all_answers(t);
    uint32_t apart = echo->duplicated ? all - t->likely_duplicates : all;
    uint32_t share = (uint32_t)(((uint64_t)all * echo->copies + echo->answers - 1) / echo->answers);
    uint32_t most = share < apart ? share : apart;
    return t->answers < most ? t->answers : most;
}

void npi_loss_add(npi_loss *loss, const npi_transaction *t, uint64_t now_ns, uint64_t age_ns, const npi_echo *echo)
{
    if (!t->started)
        return;
    uint32_t aged = npi_transaction_aged(t, now_ns, age_ns);
    uint32_t answered = count_answered(t, echo);
    loss->answered += answered;
    loss->lost += aged > answered ? aged - answered : 0;
}

void npi_loss_expect(npi_loss *loss, uint32_t open)
{
    uint32_t answered = open * (loss->answered + 1) / (loss->answered + loss->lost + 1);
    loss->answered += answered;
    loss->lost += open - answered;
}

static double power(double base, uint32_t exponent)
{
    double result = 1.0;
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) != 0)
            result *= base;
        base *= base;
    }
    return result;
}

/* The probability that at most so many are lost as were, when each is with probability p. */
static double so_few_are_lost(const npi_loss *loss, double p)
{
    uint32_t all = loss->answered + loss->lost;
    double term = power(1.0 - p, all);
    double sum = term;
    for (uint32_t k = 0; k < loss->lost; k++) {
        term *= p / (1.0 - p) * (all - k) / (k + 1);
        sum += term;
    }
    return sum;
}

double npi_loss_p_all_lost(const npi_loss *loss, uint32_t n)
{
    if (n == 0 || loss->answered == 0)
        return 1.0;
    double worst = 0.0;
    for (int step = 1; step < RATE_STEPS; step++) {
        double p = (double)step / RATE_STEPS;
        double chance = power(p, n) * so_few_are_lost(loss, p);
        worst = chance > worst ? chance : worst;
    }
    return worst;
}

bool npi_loss_is_extreme(const npi_loss *loss)
{
    return loss->lost > 2 * loss->answered + 1;
}

bool npi_loss_is_burst(const npi_loss *loss)
{
    return 2 * loss->lost >= loss->answered;
}

bool npi_silence_holds(const npi_loss *loss, uint32_t silent, double limit)
{
    bool heavy = 2 * loss->lost > loss->answered;
    return npi_loss_p_all_lost(loss, silent) < (heavy ? limit * NPI_SILENCE_HEAVY : limit);
}

/*
 * How many answers a server that repeats them sends to each copy: half an answer more than came where more came than
 * was sent. It is not known how many got lost, and the more a copy may have brought, the fewer copies were answered.
 */
static npi_echo measure_echo(const npi_plain_list *list, bool duplicated)
{
    npi_echo echo = {duplicated, 0, 0};
    for (size_t i = 0; i < list->count; i++) {
        const npi_transaction *t = list->t[i];
        if (npi_transaction_all_answers(t) <= t->sent)
            continue;
        echo.copies += t->sent;
        echo.answers += npi_transaction_all_answers(t);
    }
    if (echo.copies == 0)
        return (npi_echo){duplicated, 2, 5};
    echo.answers += (echo.copies + 1) / 2;
    return echo;
}

npi_loss npi_silence_path_loss(const npi_facts *f, const npi_trial *t)
{
    npi_plain_list list = npi_plain_requests(f, t);
    npi_loss loss = {0, 0};
    npi_echo echo = {f->duplicated, 1, 1};
    if (npi_trial_server(f, t)->hides_losses)
        echo = measure_echo(&list, f->duplicated);
    bool is_earlier = !npi_silence_rests_on_iii(&t->filtering); /* than II */
    for (size_t i = 0; i < list.count; i++) {
        npi_loss_add(&loss, list.t[i], f->now_ns, npi_trial_rto(f, t), &echo);
        npi_surplus surplus = npi_dense_surplus(t, list.t[i], count_answered(list.t[i], &echo), is_earlier);
        loss.answered -= npi_least(loss.answered, surplus.answered);
        loss.lost -= npi_least(loss.lost, surplus.lost);
    }
    return loss;
}

/* ---- The test that carries the proof ---------------------------------------------------------------------------- */

bool npi_silence_rests_on_iii(const npi_filtering *p)
{
    return p->iii.outcome != NPI_CHANGE_HONOURED;
}

const npi_exchange *npi_silence_proof(const npi_filtering *p)
{
    return &p->x[npi_silence_rests_on_iii(p) ? NPI_F_III : NPI_F_II];
}

bool npi_silence_has_second(const npi_filtering *p)
{
    const npi_exchange *second = &p->x[NPI_F_SECOND];
    return second->t.started && second->change == npi_silence_proof(p)->change;
}

uint32_t npi_silence_copies(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    uint64_t from_ns = npi_trial_server(f, t)->woke_ns;
    const npi_transaction *proof = &npi_silence_proof(p)->t;
    uint32_t copies = npi_transaction_sent_since(proof, from_ns);
    copies -= npi_least(copies, npi_dense_silent_surplus(t, proof));
    return npi_silence_has_second(p) ? copies + npi_transaction_sent_since(&p->x[NPI_F_SECOND].t, from_ns) : copies;
}

/* ---- Is it enough? ---------------------------------------------------------------------------------------------- */

/* How many copies of a plain transaction may still be answered, and then say more than the others. */
static uint32_t open_copies(const npi_facts *f, const npi_trial *t, const npi_transaction *x)
{
    uint32_t aged = npi_transaction_aged(x, f->now_ns, npi_trial_rto(f, t));
    uint32_t open = x->sent - (aged > x->answers ? aged : x->answers);
    bool is_earlier = !npi_silence_rests_on_iii(&t->filtering);
    uint32_t all = npi_dense_surplus(t, x, x->answers + open, is_earlier).answered;
    uint32_t now = npi_dense_surplus(t, x, x->answers, is_earlier).answered;
    return open - npi_least(open, all - now);
}

/* Copies under way, and extra ones not sent yet, are expected to fare like those before them. */
static npi_loss expected_loss(const npi_facts *f, const npi_trial *t, uint32_t extra)
{
    npi_loss loss = npi_silence_path_loss(f, t);
    uint32_t open = extra + open_copies(f, t, &t->filtering.x[NPI_F_I].t);
    if (t->filtering.iii.outcome == NPI_CHANGE_HONOURED)
        open += open_copies(f, t, &t->filtering.x[NPI_F_III].t);
    npi_loss_expect(&loss, open);
    return loss;
}

/* What the mapping phase will probably add; losses are rounded up. */
static npi_loss forecast(npi_loss loss)
{
    if (loss.lost > 0)
        loss.lost += (NPI_SILENCE_FORECAST * loss.lost + loss.answered) / (loss.answered + 1);
    loss.answered += NPI_SILENCE_FORECAST;
    return loss;
}

npi_burst npi_silence_first_burst(const npi_facts *f, const npi_trial *t)
{
    const npi_rtt *rtt = &npi_trial_server(f, t)->rtt;
    uint64_t steady_ns = npi_time_max(NPI_RATION_STEADY_NS, rtt->smoothed_ns / NPI_RATION_STEADY_SHARE);
    bool is_steady = rtt->deviation_ns < steady_ns && !f->duplicated;
    uint32_t least = is_steady ? NPI_RATION_PAIR : NPI_RATION_ANSWERS;
    return (npi_burst){npi_silence_path_loss(f, t).lost > 0 ? NPI_RATION_BURST : least, least, 0, 0};
}

/*
 * A path may duplicate a datagram now and then. A server that sends each answer several times is another thing: losses
 * then look rarer than they are, nobody can tell by how much, and so more copies have to be silent.
 */
bool npi_silence_is_short(const npi_server *s, uint32_t copies)
{
    return copies < (uint32_t)(s->repeats ? NPI_SILENT_MIN_REPEATED : NPI_SILENT_MIN);
}

bool npi_silence_is_enough_with(const npi_facts *f, const npi_trial *t, uint32_t plain, uint32_t silent)
{
    npi_loss loss = expected_loss(f, t, plain);
    uint32_t copies = npi_silence_copies(f, t) + silent;
    if (npi_silence_is_short(npi_trial_server(f, t), copies) || npi_loss_is_extreme(&loss))
        return false;
    if (t->filtering.extended) /* the mapping phase is over: nothing is left to forecast */
        return npi_silence_holds(&loss, copies, NPI_SILENCE_EXTENDED);
    double limit = loss.lost > 0 ? NPI_SILENCE_LOSSY : NPI_SILENCE_FILTERING;
    loss = forecast(loss);
    return npi_silence_holds(&loss, copies, limit);
}

/* The most answers that a server could give which answers one copy in NPI_RATION_NS. */
static uint32_t most_rationed(const npi_transaction *x, uint32_t from, uint32_t to)
{
    uint32_t most = 1;
    uint32_t last = from;
    for (uint32_t i = from; i < to; i++) {
        if ((uint64_t)(x->sent_us[i] - x->sent_us[last]) * 1000 < NPI_RATION_TOGETHER_NS)
            continue;
        most++;
        last = i;
    }
    return most;
}

/* So few that none of them is a duplicate, or so many that one of them may be. */
static bool is_more_than_rationed(const npi_facts *f, const npi_transaction *x, const npi_burst *b, uint32_t old)
{
    const npi_echo apart = {true, 1, 1};
    const npi_echo all = {f->duplicated, 1, 1};
    uint32_t rationed = b->answers + most_rationed(x, b->sent, old);
    return count_answered(x, &apart) >= rationed + b->least - 1 ||
           count_answered(x, &all) >= rationed + NPI_RATION_ANSWERS - 1;
}

npi_ration npi_silence_ration(const npi_facts *f, const npi_trial *t, const npi_transaction *x, const npi_burst *b,
                              uint64_t age_ns)
{
    uint32_t old = npi_transaction_aged(x, f->now_ns, npi_rtt_floor(&npi_trial_server(f, t)->rtt));
    if (old <= b->sent + b->size && is_more_than_rationed(f, x, b, old))
        return NPI_RATION_EXCLUDED;
    bool has_more = x->sent < b->sent + b->size || x->sent + NPI_RATION_BURST <= NPI_RATION_COPIES;
    bool is_over = !has_more && npi_transaction_all_aged_ns(x, age_ns) <= f->now_ns;
    return is_over ? NPI_RATION_LIKELY : NPI_RATION_OPEN;
}

uint64_t npi_silence_burst_ns(const npi_transaction *x, const npi_burst *b, uint64_t age_ns)
{
    uint64_t pace_ns = npi_time_add(npi_transaction_last_ns(x), NPI_PACE_MIN_NS);
    if (x->sent < b->sent + b->size)
        return pace_ns;
    uint64_t pause_ns = b->sent > 0 ? NPI_RATION_PAUSE_NS : 0; /* a limit of rate has room again */
    uint64_t paused_ns = npi_time_add(npi_transaction_last_ns(x), pause_ns);
    return npi_time_max(npi_time_max(pace_ns, paused_ns), npi_transaction_all_aged_ns(x, age_ns));
}

npi_burst npi_silence_burst(const npi_facts *f, const npi_transaction *x, const npi_burst *b)
{
    if (x->sent < b->sent + b->size)
        return *b;
    if (x->answers == 0) /* as before */
        return (npi_burst){b->size, b->least, x->sent, 0};
    npi_echo echo = {f->duplicated, 1, 1};
    return (npi_burst){NPI_RATION_BURST, NPI_RATION_ANSWERS, x->sent, count_answered(x, &echo)};
}

bool npi_silence_is_doubtful(const npi_facts *f, const npi_trial *t)
{
    if (t->filtering.ii.outcome != NPI_CHANGE_SILENT || t->finding.filtering == NP_BEHAVIOUR_UNKNOWN)
        return false;
    npi_loss loss = npi_silence_path_loss(f, t);
    uint32_t copies = npi_silence_copies(f, t);
    bool hidden = loss.lost > 0 && npi_silence_is_short(npi_trial_server(f, t), copies);
    return hidden || !npi_silence_holds(&loss, copies, NPI_SILENCE_DOUBTFUL);
}

uint64_t npi_silence_ready_ns(const npi_facts *f, const npi_trial *t)
{
    uint64_t latest = NPI_NOW;
    bool is_far = !npi_silence_rests_on_iii(&t->filtering); /* II is answered from B */
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        const npi_exchange *x = &t->filtering.x[i];
        bool is_ii = (x->change & NPI_STUN_CHANGE_IP) != 0;
        uint64_t age_ns = is_far && is_ii ? npi_trial_far_rto(f, t) : npi_trial_rto(f, t);
        if (x->t.started)
            latest = npi_time_max(latest, npi_transaction_all_aged_ns(&x->t, age_ns));
    }
    return latest;
}

static uint64_t next_aged_among(const npi_exchange *x, int count, uint64_t now_ns, uint64_t age_ns)
{
    uint64_t next = NPI_NEVER;
    for (int i = 0; i < count; i++)
        next = npi_time_min(next, npi_transaction_next_aged_ns(&x[i].t, now_ns, age_ns));
    return next;
}

uint64_t npi_silence_next_loss_ns(const npi_facts *f, const npi_trial *t)
{
    uint64_t age = npi_trial_rto(f, t);
    uint64_t next = next_aged_among(npi_trial_server(f, t)->x, NPI_SERVER_EXCHANGES, f->now_ns, age);
    next = npi_time_min(next, next_aged_among(t->filtering.x, NPI_FILTERING_EXCHANGES, f->now_ns, age));
    next = npi_time_min(next, next_aged_among(&t->filtering.late, 1, f->now_ns, age));
    return npi_time_min(next, next_aged_among(t->control.x, NPI_CONTROL_EXCHANGES, f->now_ns, age));
}
