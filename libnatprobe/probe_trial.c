/* SPDX-License-Identifier: MIT */
/*
 * The experiment with one server that has two addresses (docs/METHOD.md): its beginning and end, the answers, and the
 * filtering phase on a socket of its own. The second phase is in probe_control.c.
 */
#include "probe_internal.h"

#include <string.h>

const npi_server *npi_trial_server(const npi_probe *p, const npi_trial *t)
{
    return &p->servers[t->server];
}

/* ---- Beginning and end ------------------------------------------------------------------------------------------ */

static void init_volley_exchange(npi_exchange *x, const char *name, int slot, const npi_addr *to, uint32_t change)
{
    npi_exchange_init(x, name, slot, to, change, NPI_COPIES_MAX);
    x->by_volley = true;
}

static void init_filtering(const npi_probe *p, npi_trial *t, const npi_server *s)
{
    const uint32_t both = NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT;
    init_volley_exchange(&t->x[NPI_F_I], "filtering I", t->slot, &s->address, 0);
    init_volley_exchange(&t->x[NPI_F_II], "filtering II", t->slot, &s->address, both);
    init_volley_exchange(&t->x[NPI_F_III], "filtering III", t->slot, &s->address, NPI_STUN_CHANGE_PORT);
    init_volley_exchange(&t->x[NPI_F_TWIN], "filtering twin", t->slot, &s->address, 0);
    t->dialect = s->dialect;
    t->volleys = 0;
    t->next_volley_ns = p->now_ns;
}

void npi_trial_begin(npi_probe *p, size_t server, bool with_filtering)
{
    size_t index = p->trial_count++;
    npi_trial *t = &p->trials[index];
    npi_server *s = &p->servers[server];
    memset(t, 0, sizeof *t);
    t->server = server;
    t->frugal = p->server_count > 1 || p->more_servers;
    s->trial = (int)index;
    p->wake_ns = p->now_ns; /* it may have been begun when those before it had had their turn */
    if (with_filtering) {
        t->slot = (int)index + 1;
        init_filtering(p, t, s);
    } else {
        t->slot = NPI_SLOT_SOURCE;
        t->settled = true;
        npi_trial_begin_mapping(p, t);
    }
}

void npi_trial_stop_filtering(npi_trial *t)
{
    for (int i = NPI_F_I; i <= NPI_F_TWIN; i++) {
        t->x[i].wanted = false;
        npi_transaction_stop(&t->x[i].t);
    }
}

void npi_trial_finish(npi_probe *p, npi_trial *t)
{
    npi_trial_stop_filtering(t);
    t->phase = NPI_PHASE_DONE;
    p->wake_ns = p->now_ns;
}

void npi_trial_settle(npi_trial *t, int32_t filtering, bool proven)
{
    t->settled = true;
    t->filtering = filtering;
    t->proven = proven;
    t->reason = NPI_REASON_NONE;
}

void npi_trial_settle_unknown(npi_probe *p, npi_trial *t, npi_reason reason)
{
    static const char *const words[] = {
        [NPI_REASON_NONE] = "",
        [NPI_REASON_NO_ALTERNATE] = "no second address",
        [NPI_REASON_REFUSED] = "refused second address",
        [NPI_REASON_IGNORED] = "CHANGE-REQUEST ignored",
        [NPI_REASON_PARTIAL] = "CHANGE-REQUEST partly honoured",
        [NPI_REASON_REJECTED] = "CHANGE-REQUEST rejected",
        [NPI_REASON_CONTROL] = "the control was silent",
        [NPI_REASON_LOSS] = "too much loss",
        [NPI_REASON_CONTRADICTION] = "contradictory answers",
        [NPI_REASON_TOUCHED] = "its second address was asked before",
        [NPI_REASON_UNFINISHED] = "not finished",
    };
    char text[NPI_ADDR_TEXT];
    npi_addr_format(&npi_trial_server(p, t)->address, text);
    npi_log_write(&p->config.log, NP_LOG_INFO, "%s cannot tell the filtering: %s", text, words[reason]);
    if (reason == NPI_REASON_CONTROL)
        p->evidence |= NP_EVIDENCE_CONTROL_SILENT;
    if (reason == NPI_REASON_CONTRADICTION)
        p->evidence |= NP_EVIDENCE_CONTRADICTION;
    t->settled = true;
    t->filtering = NP_BEHAVIOUR_UNKNOWN;
    t->proven = false;
    t->reason = reason;
}

/* ---- Loss and silence ------------------------------------------------------------------------------------------- */

static uint64_t horizon_ns(const npi_probe *p, const npi_trial *t)
{
    return npi_rtt_horizon(&npi_trial_server(p, t)->rtt);
}

/* What the requests that any server answers tell of the path. */
npi_loss npi_trial_loss(const npi_probe *p, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(p, t);
    const npi_exchange *knock = &s->x[s->dialect == NPI_STUN_RFC3489 ? NPI_CLASSIC : NPI_KNOCK];
    npi_loss loss = {0, 0};
    uint64_t age = horizon_ns(p, t);
    npi_loss_add(&loss, &t->x[NPI_F_I].t, p->now_ns, age, p->duplicated);
    npi_loss_add(&loss, &knock->t, p->now_ns, age, p->duplicated);
    npi_loss_add(&loss, &s->x[NPI_VERIFY].t, p->now_ns, age, p->duplicated);
    if (t->iii.outcome == NPI_CHANGE_HONOURED)
        npi_loss_add(&loss, &t->x[NPI_F_III].t, p->now_ns, age, p->duplicated);
    for (int i = NPI_M_BP; i <= NPI_C_III; i++) {
        if (npi_exchange_is_answered(&t->x[i]))
            npi_loss_add(&loss, &t->x[i].t, p->now_ns, age, p->duplicated);
    }
    return loss;
}

/* The test whose silence carries the proof: III while it is silent (a filter that passes II passes III too), else II. */
bool npi_trial_proof_rests_on_iii(const npi_trial *t)
{
    return t->iii.outcome != NPI_CHANGE_HONOURED;
}

uint8_t npi_trial_volley_random(const npi_trial *t, uint32_t volley)
{
    return t->x[NPI_F_I].t.id.bytes[4 + volley % 12];
}

static bool twin_counts(const npi_trial *t)
{
    uint32_t change = npi_trial_proof_rests_on_iii(t) ? t->x[NPI_F_III].change : t->x[NPI_F_II].change;
    return t->x[NPI_F_TWIN].t.started && t->x[NPI_F_TWIN].change == change;
}

uint32_t npi_trial_silent_copies(const npi_trial *t)
{
    uint32_t n = t->x[npi_trial_proof_rests_on_iii(t) ? NPI_F_III : NPI_F_II].t.sent;
    return twin_counts(t) ? n + t->x[NPI_F_TWIN].t.sent : n;
}

/* How many copies of a plain transaction may still be answered. */
static uint32_t open_copies(const npi_probe *p, const npi_trial *t, const npi_transaction *x)
{
    uint32_t aged = npi_transaction_aged(x, p->now_ns, horizon_ns(p, t));
    return x->sent - (aged > x->answers ? aged : x->answers);
}

/* Copies under way, and extra ones not sent yet, are expected to fare like those before them. */
static npi_loss expected_loss(const npi_probe *p, const npi_trial *t, uint32_t extra)
{
    npi_loss loss = npi_trial_loss(p, t);
    uint32_t open = extra + open_copies(p, t, &t->x[NPI_F_I].t);
    if (t->iii.outcome == NPI_CHANGE_HONOURED)
        open += open_copies(p, t, &t->x[NPI_F_III].t);
    uint32_t won = open * (loss.won + 1) / (loss.won + loss.lost + 1);
    loss.won += won;
    loss.lost += open - won;
    return loss;
}

/* What the mapping phase will probably add; losses are rounded up. */
static npi_loss forecast(npi_loss loss)
{
    if (loss.lost > 0)
        loss.lost += (NPI_SILENCE_FORECAST * loss.lost + loss.won) / (loss.won + 1);
    loss.won += NPI_SILENCE_FORECAST;
    return loss;
}

/*
 * A datagram comes twice now and then on some paths. A server that sends each answer several times is another thing: with
 * so many copies of one answer on the way, losses look rarer than they are. How much rarer nobody can tell: more copies have
 * to be silent then, whatever the losses seem to be.
 */
bool npi_trial_is_silence_short(const npi_probe *p, const npi_trial *t, uint32_t silent)
{
    return silent < (uint32_t)(npi_trial_server(p, t)->repeats ? NPI_SILENT_MIN_REPEATED : NPI_SILENT_MIN);
}

bool npi_trial_silence_holds(const npi_loss *loss, uint32_t silent, double limit)
{
    bool heavy = 2 * loss->lost > loss->won;
    return npi_loss_explains_silence(loss, silent) < (heavy ? limit * NPI_SILENCE_HEAVY : limit);
}

/* Would the silence be proven with so many more copies of I and of the silent test, if they fare like those before? */
static bool is_enough_with(const npi_probe *p, const npi_trial *t, uint32_t plain, uint32_t silent)
{
    npi_loss loss = expected_loss(p, t, plain);
    uint32_t copies = npi_trial_silent_copies(t) + silent;
    if (npi_trial_is_silence_short(p, t, copies))
        return false;
    if (loss.lost > 2 * loss.won + 1)
        return false; /* so much is hardly chance: a limit of rate, which hits one test and spares another */
    if (t->review)
        return npi_trial_silence_holds(&loss, copies, NPI_SILENCE_REVIEW);
    double limit = loss.lost > 0 ? NPI_SILENCE_LOSSY : NPI_SILENCE_FILTERING;
    loss = forecast(loss);
    return npi_trial_silence_holds(&loss, copies, limit);
}

/* When the last copy of II and III will be old enough to be counted as unanswered. */
static uint64_t all_silent_ns(const npi_probe *p, const npi_trial *t)
{
    uint64_t latest = 0;
    for (int i = NPI_F_I; i <= NPI_F_TWIN; i++) {
        uint64_t aged_ns = npi_transaction_all_aged_ns(&t->x[i].t, horizon_ns(p, t));
        if (t->x[i].t.started && aged_ns > latest)
            latest = aged_ns;
    }
    return latest;
}

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

/* An outcome that speaks about the server: it is no use for filtering. */
bool npi_trial_demotes(npi_change outcome)
{
    return outcome == NPI_CHANGE_IGNORED || outcome == NPI_CHANGE_PARTIAL || outcome == NPI_CHANGE_REJECTED;
}

npi_addr npi_trial_expected_source(const npi_server *s, uint32_t change)
{
    return (change & NPI_STUN_CHANGE_IP) != 0 ? s->alternate : npi_addr_with_port(&s->address, s->alternate.port);
}

/* The outcome of an answer to a CHANGE-REQUEST, PENDING while it is not known which address to expect. */
npi_change npi_trial_outcome_of(const npi_server *s, uint32_t change, const npi_addr *from, bool success)
{
    npi_addr expected = npi_trial_expected_source(s, change);
    if (success && !s->named && !npi_addr_equal(from, &s->address))
        return NPI_CHANGE_PENDING;
    return npi_classify_change(&s->address, &expected, from, success);
}

void npi_trial_note_outcome(npi_probe *p, npi_change outcome)
{
    static const uint32_t bits[] = {
        [NPI_CHANGE_PENDING] = 0,
        [NPI_CHANGE_HONOURED] = 0,
        [NPI_CHANGE_IGNORED] = NP_EVIDENCE_CHANGE_IGNORED,
        [NPI_CHANGE_PARTIAL] = NP_EVIDENCE_CHANGE_PARTIAL,
        [NPI_CHANGE_REJECTED] = NP_EVIDENCE_CHANGE_REJECTED,
        [NPI_CHANGE_SILENT] = 0,
    };
    p->evidence |= bits[outcome];
}

static void take_test_answer(npi_probe *p, npi_trial *t, npi_change_test *test, uint32_t change, const npi_addr *from,
                             bool success)
{
    const npi_server *s = npi_trial_server(p, t);
    npi_change outcome = npi_trial_outcome_of(s, change, from, success);
    if (outcome == NPI_CHANGE_PENDING) {
        test->early = true;
        test->early_from = *from;
        return;
    }
    npi_trial_note_outcome(p, outcome);
    if (test->outcome == NPI_CHANGE_SILENT) {
        t->contradicted = true; /* and other addresses have been asked since, which may have opened the way */
    } else if (test->outcome == NPI_CHANGE_PENDING) {
        test->outcome = outcome;
        if (outcome == NPI_CHANGE_HONOURED && npi_probe_has_touched(p, from, test == &t->ii))
            t->touched = true; /* a request from another socket may have opened the way: it was not unsolicited */
    } else if (npi_trial_demotes(outcome)) {
        test->outcome = outcome;
    }
    if (test->outcome == NPI_CHANGE_HONOURED)
        p->evidence |= test == &t->ii ? NP_EVIDENCE_TEST_II_ANSWERED : NP_EVIDENCE_TEST_III_ANSWERED;
}

void npi_trial_answered(npi_probe *p, npi_trial *t, int index, const npi_addr *from, bool success)
{
    if (t->phase == NPI_PHASE_DONE)
        return;
    uint32_t change = t->x[index].change;
    if (index == NPI_C_II)
        npi_trial_take_control_answer(p, t, &t->control_ii, change, from, success);
    else if (index == NPI_C_III)
        npi_trial_take_control_answer(p, t, &t->control_iii, change, from, success);
    else if (change == (NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT))
        take_test_answer(p, t, &t->ii, change, from, success);
    else if (change != 0)
        take_test_answer(p, t, &t->iii, change, from, success);
    else if (index >= NPI_M_BP && npi_addr_same_ip(from, &npi_trial_server(p, t)->alternate))
        p->evidence |= NP_EVIDENCE_ALTERNATE_ALIVE;
}

/* Answers that came before the alternate address was known. */
static void take_early_answers(npi_probe *p, npi_trial *t)
{
    npi_change_test *tests[] = {&t->ii, &t->iii};
    const int index[] = {NPI_F_II, NPI_F_III};
    for (int i = 0; i < 2; i++) {
        if (tests[i]->early && npi_trial_server(p, t)->named) {
            tests[i]->early = false;
            take_test_answer(p, t, tests[i], t->x[index[i]].change, &tests[i]->early_from, true);
        }
    }
}

static bool trial_has_touched(const npi_trial *t, const npi_addr *address, bool any_port)
{
    for (int k = NPI_M_BP; k <= NPI_M_AQ; k++) {
        const npi_exchange *x = &t->x[k];
        if (x->t.sent > 0 && npi_addr_same_ip(&x->to, address) && (any_port || x->to.port == address->port))
            return true;
    }
    return false;
}

bool npi_probe_has_touched(const npi_probe *p, const npi_addr *address, bool any_port)
{
    for (size_t i = 0; i < p->server_count; i++) {
        const npi_server *s = &p->servers[i];
        if (!s->started || !npi_addr_same_ip(&s->address, address))
            continue;
        if (any_port || npi_addr_equal(&s->address, address))
            return true;
    }
    for (size_t i = 0; i < p->trial_count; i++) {
        if (trial_has_touched(&p->trials[i], address, any_port))
            return true;
    }
    return false;
}

/* ---- Filtering phase -------------------------------------------------------------------------------------------- */

static uint64_t volley_gap_ns(const npi_probe *p, const npi_trial *t)
{
    const npi_rtt *rtt = &npi_trial_server(p, t)->rtt;
    if (rtt->samples == 0) {
        if (t->volleys < NPI_FIRST_VOLLEYS)
            return NPI_PACE_MIN_NS;
        uint32_t doublings = (t->volleys - NPI_FIRST_VOLLEYS) / 2;
        return NPI_BLIND_GAP_NS << (doublings < 2 ? doublings : 2);
    }
    uint64_t gap = rtt->smoothed_ns / 50;
    if (gap < NPI_PACE_MIN_NS)
        gap = NPI_PACE_MIN_NS;
    if (gap > NPI_PACE_MAX_NS)
        gap = NPI_PACE_MAX_NS;
    /* In a burst of losses more copies bring nothing but an end of copies: the longer it lasts, the slower they go. */
    npi_loss loss = npi_trial_loss(p, t);
    if (loss.lost > 2 * loss.won + 1)
        gap *= loss.lost > 4 * loss.won ? 4
                                        : 2; /* a server that limits its rate answers the more the less it is asked */
    uint64_t expected_ns = npi_time_add(t->heard_ns, npi_rtt_horizon(rtt));
    uint64_t quiet = t->heard_ns > 0 && p->now_ns > expected_ns ? (p->now_ns - expected_ns) / 2 : 0;
    if (quiet > NPI_QUIET_GAP_MAX_NS)
        quiet = NPI_QUIET_GAP_MAX_NS;
    return gap > quiet ? gap : quiet;
}

static void send_in_volley(npi_probe *p, npi_exchange *x)
{
    if (!x->t.started)
        x->wanted = true;
    else if (x->t.sent < x->t.limit)
        x->t.next_ns = p->now_ns;
}

/* A second transaction of the test that is waited for, where the rate has room for it and it saves time. */
static void add_twin(npi_probe *p, npi_trial *t)
{
    npi_exchange *twin = &t->x[NPI_F_TWIN];
    uint64_t rtt = npi_trial_server(p, t)->rtt.smoothed_ns;
    if (t->review || t->frugal || twin->t.started || twin->wanted || rtt == 0 || rtt > NPI_TWIN_RTT_NS)
        return;
    if (npi_rate_room(p) < NPI_MAPPING_TRANSACTIONS + 1)
        return;
    twin->change = t->x[npi_trial_proof_rests_on_iii(t) ? NPI_F_III : NPI_F_II].change;
    twin->name = npi_trial_proof_rests_on_iii(t) ? "filtering III'" : "filtering II'";
    twin->wanted = true;
}

/*
 * The first volleys have all three tests, but II, whose answer would be the whole verdict while its silence proves little,
 * is in the first and the last of them only. Where frugal, II comes once its use is known.
 */
static void send_first_volley(npi_probe *p, npi_trial *t)
{
    const npi_server *s = npi_trial_server(p, t);
    send_in_volley(p, &t->x[NPI_F_I]);
    if (t->volleys >= NPI_FIRST_VOLLEYS)
        return;                                                 /* still nothing heard */
    bool useful = !t->frugal || npi_addr_is_set(&s->alternate); /* else it may have been for nothing */
    if (useful && (t->volleys % (NPI_FIRST_VOLLEYS - 1) == 0 || !npi_trial_proof_rests_on_iii(t)))
        send_in_volley(p, &t->x[NPI_F_II]);
    if (npi_trial_proof_rests_on_iii(t))
        send_in_volley(p, &t->x[NPI_F_III]);
    if (twin_counts(t))
        send_in_volley(p, &t->x[NPI_F_TWIN]);
}

/* How many copies of I and of the silent test a volley has. */
typedef struct volley {
    uint32_t plain;
    uint32_t silent;
} volley;

/* One of every two volleys; once something was lost nobody knows which: a limit of rate must not fall into step. */
static bool is_turn_of_plain(const npi_probe *p, const npi_trial *t)
{
    uint32_t shift = npi_trial_loss(p, t).lost > 0 ? npi_trial_volley_random(t, t->volleys / 2) >> 6 : 0;
    return (t->volleys + shift) % 2 == 0;
}

/*
 * What the proof needs: of the choices below the first that would complete it, else as many copies of the silent test as
 * there may be. Every other volley has an I: only that shows what the path does to the copies of this very moment.
 */
static volley compose_volley(const npi_probe *p, const npi_trial *t)
{
    static const volley choices[] = {{0, 1}, {1, 0}, {1, 1}, {0, 2}, {1, 2}};
    uint32_t most = twin_counts(t) || t->x[NPI_F_TWIN].wanted ? 2 : 1;
    uint32_t least_plain = is_turn_of_plain(p, t) && t->x[NPI_F_I].t.sent < NPI_COPIES_MAX ? 1 : 0;
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        bool possible = choices[i].silent <= most && t->x[NPI_F_I].t.sent + choices[i].plain <= NPI_COPIES_MAX;
        if (possible && choices[i].plain >= least_plain && is_enough_with(p, t, choices[i].plain, choices[i].silent))
            return choices[i];
    }
    return (volley){least_plain, most};
}

/* After the first volleys: what is needed, and II now and then while III carries the proof. */
static void send_later_volley(npi_probe *p, npi_trial *t)
{
    bool on_iii = npi_trial_proof_rests_on_iii(t);
    volley v = compose_volley(p, t);
    if (v.plain > 0)
        send_in_volley(p, &t->x[NPI_F_I]);
    if (v.silent > 0)
        send_in_volley(p, &t->x[on_iii ? NPI_F_III : NPI_F_II]);
    if (v.silent > 1)
        send_in_volley(p, &t->x[NPI_F_TWIN]);
    if (on_iii && (t->volleys % 8 == 7 || t->x[NPI_F_II].t.sent < NPI_TEST_II_MIN))
        send_in_volley(p, &t->x[NPI_F_II]);
}

static void send_volley(npi_probe *p, npi_trial *t)
{
    bool heard = npi_trial_server(p, t)->rtt.samples > 0;
    if (heard)
        add_twin(p, t);
    if (heard && t->volleys >= NPI_FIRST_VOLLEYS)
        send_later_volley(p, t);
    else
        send_first_volley(p, t);
    t->volleys++;
    t->blind = !heard;
    t->next_volley_ns = npi_time_add(p->now_ns, volley_gap_ns(p, t));
}

static bool is_budget_spent(const npi_probe *p)
{
    size_t more = p->server_count > 2 ? p->server_count - 2 : 0;
    return p->sent >= NPI_VOLLEYS_UNTIL + NPI_VOLLEYS_UNTIL_MORE * more;
}

/* Out of copies: the tests can be repeated no more. */
static bool is_exhausted(const npi_probe *p, const npi_trial *t)
{
    if (is_budget_spent(p))
        return true;
    const npi_transaction *x = &t->x[npi_trial_proof_rests_on_iii(t) ? NPI_F_III : NPI_F_II].t;
    return x->started && x->sent >= x->limit;
}

/*
 * The rate limit may have held a volley back: the next one keeps its distance from when it really left. One that was timed
 * blindly goes as soon as the round trip is known.
 */
static void pump_volleys(npi_probe *p, npi_trial *t)
{
    if (t->blind && npi_trial_server(p, t)->rtt.samples > 0) {
        t->blind = false;
        t->next_volley_ns = npi_time_add(p->now_ns, NPI_SETTLE_NS);
    }
    uint64_t next_ns = t->next_volley_ns;
    for (int i = NPI_F_I; i <= NPI_F_TWIN; i++) {
        uint64_t apart_ns = npi_time_add(npi_transaction_last_ns(&t->x[i].t), NPI_PACE_MIN_NS);
        if (t->x[i].t.sent > 0 && apart_ns > next_ns)
            next_ns = apart_ns;
    }
    if (next_ns > p->now_ns)
        npi_wake_at(p, next_ns);
    else
        send_volley(p, t);
}

static bool has_unsent_copies(const npi_probe *p, const npi_trial *t)
{
    for (int i = NPI_F_I; i <= NPI_F_TWIN; i++) {
        if (t->x[i].wanted || npi_transaction_due(&t->x[i].t, p->now_ns))
            return true;
    }
    return false;
}

static void conclude_silence(npi_probe *p, npi_trial *t, bool proven)
{
    if (!proven) {
        npi_trial_settle_unknown(p, t, NPI_REASON_LOSS);
    } else {
        t->ii.outcome = NPI_CHANGE_SILENT;
        if (t->iii.outcome == NPI_CHANGE_PENDING)
            t->iii.outcome = NPI_CHANGE_SILENT;
    }
    if (t->review)
        npi_trial_finish(p, t);
    else
        npi_trial_begin_mapping(p, t);
}

/* Each request that turns out to be lost may make one more copy necessary. */
static void wake_at_next_loss(npi_probe *p, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(p, t);
    uint64_t age = horizon_ns(p, t);
    for (int i = 0; i < NPI_SERVER_EXCHANGES; i++)
        npi_wake_at(p, npi_transaction_next_aged_ns(&s->x[i].t, p->now_ns, age));
    for (int i = 0; i < NPI_TRIAL_EXCHANGES; i++)
        npi_wake_at(p, npi_transaction_next_aged_ns(&t->x[i].t, p->now_ns, age));
}

/* More copies, or the wait for the last of them, or the conclusion (docs/METHOD.md, "Silence"). */
static void pursue_silence(npi_probe *p, npi_trial *t)
{
    const npi_server *s = npi_trial_server(p, t);
    if (t->x[NPI_F_I].failed || t->x[NPI_F_II].failed || t->x[NPI_F_III].failed) {
        npi_trial_settle_unknown(p, t, NPI_REASON_UNFINISHED);
        npi_trial_begin_mapping(p, t);
        return;
    }
    if (has_unsent_copies(p, t))
        return;
    bool enough = s->rtt.samples > 0 && t->x[NPI_F_II].t.sent >= NPI_TEST_II_MIN && is_enough_with(p, t, 0, 0);
    if (!enough && !is_exhausted(p, t)) {
        pump_volleys(p, t);
        return;
    }
    uint64_t silent_ns = all_silent_ns(p, t);
    if (silent_ns > p->now_ns) {
        wake_at_next_loss(p, t);
        npi_wake_at(p, silent_ns);
        return;
    }
    conclude_silence(p, t, enough);
}

npi_reason npi_trial_reason_of(npi_change outcome)
{
    if (outcome == NPI_CHANGE_IGNORED)
        return NPI_REASON_IGNORED;
    return outcome == NPI_CHANGE_REJECTED ? NPI_REASON_REJECTED : NPI_REASON_PARTIAL;
}

/* The server is of no use for filtering; its mapping requests wait until a plain answer has named their addresses. */
static void give_up_filtering(npi_probe *p, npi_trial *t, npi_reason reason)
{
    const npi_server *s = npi_trial_server(p, t);
    if (!t->settled)
        npi_trial_settle_unknown(p, t, reason);
    if (s->named)
        npi_trial_begin_mapping(p, t);
    else if (npi_server_knock_is_over(p, s))
        npi_trial_finish(p, t);
    else
        npi_trial_stop_filtering(t);
}

static void advance_filtering(npi_probe *p, npi_trial *t)
{
    const npi_server *s = npi_trial_server(p, t);
    if (t->dialect != s->dialect)
        init_filtering(p, t, s);
    take_early_answers(p, t);
    if (s->named && !npi_addr_is_set(&s->alternate)) {
        bool refused = (p->evidence & NP_EVIDENCE_ALTERNATE_REFUSED) != 0;
        npi_trial_settle_unknown(p, t, refused ? NPI_REASON_REFUSED : NPI_REASON_NO_ALTERNATE);
        npi_trial_finish(p, t);
    } else if (npi_trial_demotes(t->ii.outcome) || npi_trial_demotes(t->iii.outcome)) {
        give_up_filtering(p, t, npi_trial_reason_of(npi_trial_demotes(t->ii.outcome) ? t->ii.outcome : t->iii.outcome));
    } else if (t->touched || t->contradicted) {
        npi_trial_settle_unknown(p, t, t->touched ? NPI_REASON_TOUCHED : NPI_REASON_CONTRADICTION);
        npi_trial_begin_mapping(p, t);
    } else if (t->ii.outcome == NPI_CHANGE_HONOURED) {
        npi_trial_settle(t, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT, true);
        npi_trial_begin_mapping(p, t);
    } else {
        pursue_silence(p, t);
    }
}

void npi_trial_advance(npi_probe *p, npi_trial *t)
{
    if (t->phase == NPI_PHASE_DONE)
        return;
    const npi_server *s = npi_trial_server(p, t);
    if (s->failed || (!s->heard && npi_server_is_spent(p, s))) {
        npi_trial_settle_unknown(p, t, NPI_REASON_UNFINISHED);
        npi_trial_finish(p, t);
    } else if (t->phase == NPI_PHASE_FILTERING) {
        advance_filtering(p, t);
    } else {
        npi_trial_advance_mapping(p, t);
    }
}
