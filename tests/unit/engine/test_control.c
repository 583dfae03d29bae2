/* SPDX-License-Identifier: MIT */
/* control: which mapping requests are asked and when, when a control may leave, how it stands, and what that shows. */
#include "engine/control.h"
#include "engine/rate.h"
#include "engine/silence.h"

#include "build.h"

/* An answer without RESPONSE-ORIGIN. */
static const npi_addr untold;

#define RTT_MS 20
#define RTO_MS 24 /* an unanswered copy of that age counts as lost */
#define NOW_MS 1000
#define CONTROL_GAP_MS 2

#define OPEN NP_BEHAVIOUR_ENDPOINT_INDEPENDENT
#define BY_ADDRESS NP_BEHAVIOUR_ADDRESS_DEPENDENT
#define BY_PORT NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT
#define SOME_KIND NP_BEHAVIOUR_ENDPOINT_DEPENDENT
#define UNKNOWN NP_BEHAVIOUR_UNKNOWN

/* ---- The outcome table ------------------------------------------------------------------------------------------ */

#define W NPI_VERDICT_WAIT
#define P NPI_VERDICT_PROVEN
#define M NPI_VERDICT_UNPROVEN /* as measured */
#define A NPI_VERDICT_II_ALONE
#define U NPI_VERDICT_SERVER_UNFIT
#define F NPI_VERDICT_CONTROL_FAILED
#define R NPI_VERDICT_RATIONED

static void the_table_of_outcomes_by_controls(void **state)
{
    (void)state;
    static const char *const says[] = {
        [NPI_CONTROL_WAITING] = "The control that decides may still be answered.",
        [NPI_CONTROL_PASSED] = "The control that decides was answered: the silence was the NAT's doing.",
        [NPI_CONTROL_NOT_APPLICABLE] = "The control that decides cannot pass: as measured.",
        [NPI_CONTROL_SILENT] = "The control that decides was silent as well.",
        [NPI_CONTROL_RATIONED] = "The control that decides was answered too rarely.",
        [NPI_CONTROL_DISQUALIFIED] = "The control that decides shows that the server is unfit.",
    };
    static const npi_control_verdict by_ii[] = {
        [NPI_CONTROL_WAITING] = W, [NPI_CONTROL_PASSED] = P,   [NPI_CONTROL_NOT_APPLICABLE] = M,
        [NPI_CONTROL_SILENT] = F,  [NPI_CONTROL_RATIONED] = R, [NPI_CONTROL_DISQUALIFIED] = U,
    };
    /* Rows: III's control; columns: II's, which has a say only where III's is silent. */
    static const npi_control_verdict by_both[6][6] = {
        [NPI_CONTROL_WAITING] = {W, W, W, W, W, W},
        [NPI_CONTROL_PASSED] = {P, P, P, P, P, P},
        [NPI_CONTROL_NOT_APPLICABLE] = {M, M, M, M, M, M},
        [NPI_CONTROL_RATIONED] = {R, R, R, R, R, R},
        [NPI_CONTROL_DISQUALIFIED] = {U, U, U, U, U, U},
        [NPI_CONTROL_SILENT] =
            {
                [NPI_CONTROL_WAITING] = W,
                [NPI_CONTROL_PASSED] = A,
                [NPI_CONTROL_NOT_APPLICABLE] = F,
                [NPI_CONTROL_SILENT] = F,
                [NPI_CONTROL_RATIONED] = R,
                [NPI_CONTROL_DISQUALIFIED] = U,
            },
    };
    for (int i = 0; i < 6; i++) {
        EXPECT_EQUAL(says[i], npi_control_judge_answered_iii((npi_control_state)i), by_ii[i]);
        for (int k = 0; k < 6; k++)
            EXPECT_EQUAL(says[i], npi_control_judge_both_silent((npi_control_state)i, (npi_control_state)k),
                         by_both[i][k]);
    }
}

#undef W
#undef P
#undef M
#undef A
#undef U
#undef F
#undef R

/* ---- Scenes ----------------------------------------------------------------------------------------------------- */

/* What has become of a mapping request. */
typedef enum fate {
    UNASKED,
    QUEUED,  /* it waits for the rate */
    FAILED,  /* it cannot be sent */
    FLYING,  /* one copy, the last, left 10 ms ago: over in 14 ms */
    LOST,    /* one copy, the last, left 100 ms ago */
    SAME,    /* answered, and seen as from A:P */
    ANOTHER, /* answered, and seen as another */
} fate;

static npi_exchange *make(build *b, npi_trial *t, int index, fate what)
{
    npi_exchange *x = &t->control.x[index];
    if (what == UNASKED)
        return x;
    build_ask(b, t, index);
    x->queued = what != FAILED;
    x->failed = what == FAILED;
    if (what <= FAILED)
        return x;
    x->max_copies = what < SAME ? 1 : 4;
    build_send(x, what == FLYING ? AT(NOW_MS - 10) : AT(NOW_MS - 100));
    if (what < SAME)
        return x;
    build_answer(x, AT(NOW_MS - 100 + RTT_MS));
    x->external = build_external(what == SAME ? 1 : 2);
    x->last_copy_ns = x->t.first_ns;
    return x;
}

/* A control's copies, all old enough to count as lost: the first 70 ms ago. */
static void send_control(build *b, npi_trial *t, int index, unsigned copies)
{
    npi_exchange *x = build_ask(b, t, index);
    x->max_copies = NPI_CONTROL_COPIES;
    build_send_copies(x, copies, AT(NOW_MS - 70), CONTROL_GAP_MS);
    x->queued = copies == 0;
}

/* A trial in phase 2: II and III were silent, or II alone. So many plain requests were answered, and none was lost. */
static npi_trial *silent_trial(build *b, bool iii_answered, unsigned plain)
{
    npi_addr external = build_external(1);
    build_init(b);
    npi_server *s = build_answering_server(b, RTT_MS);
    build_sees(s, &external, AT(0), AT(RTT_MS));
    npi_trial *t = build_trial(b, s);
    build_silent(t);
    if (iii_answered)
        t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
    build_send_copies(&t->filtering.x[NPI_F_I], plain, AT(0), 10);
    build_answer_copies(&t->filtering.x[NPI_F_I], plain, RTT_MS);
    build_now(b, AT(NOW_MS));
    return t;
}

/* ---- How a control stands, and what is decided ------------------------------------------------------------------ */

typedef struct control_scene {
    bool iii_answered;
    bool save;      /* other servers may need transactions: a control's silence is believed sooner */
    unsigned known; /* plain requests answered on this path, the mapping requests among them */
    fate bp, bq, aq;
    npi_change iii, ii; /* what the controls have shown */
    unsigned iii_copies, ii_copies;
    unsigned test_ii_copies; /* sent in phase 1 */
} control_scene;

enum { ASKS_NOTHING, ASKS_II, ASKS_III };

#define UNDECIDED(says, asks, wake_ns, ...)                                                                            \
    {                                                                                                                  \
        says, {__VA_ARGS__}, asks, wake_ns, NPI_UNDECIDED, UNKNOWN, false, 0                                           \
    }
#define DECIDED(says, filtering, proven, ...)                                                                          \
    {                                                                                                                  \
        says, {__VA_ARGS__}, ASKS_NOTHING, NPI_NEVER, NPI_DECIDED, filtering, proven, NPI_REASON_NONE                  \
    }
#define UNFIT(says, reason, ...)                                                                                       \
    {                                                                                                                  \
        says, {__VA_ARGS__}, ASKS_NOTHING, NPI_NEVER, NPI_DECIDED, UNKNOWN, false, reason                              \
    }
/* With 8 answered and none lost, 9 silent copies are at worst 8^8 9^9 / 17^17 = 7.9e-6 < 1e-5; 8 are 2^-16 = 1.5e-5. */
#define ALL_SAME .known = 8, .bp = SAME, .bq = SAME, .aq = SAME

static const struct {
    const char *says;
    control_scene scene;
    int asks;
    uint64_t wake_ns; /* while it is undecided */
    int state;
    int32_t filtering;
    bool proven;
    npi_reason reason;
} controls[] = {
    /* When it may leave. */
    UNDECIDED("III's control is asked when A:Q has answered: its way is open.", ASKS_III, AT(NOW_MS), ALL_SAME),
    UNDECIDED("II's control is asked when B:Q has answered and III needs none.", ASKS_II, AT(NOW_MS), ALL_SAME,
              .iii_answered = true),
    UNDECIDED("III's control waits for A:Q, whose request is under way; without an answer, until that is lost.",
              ASKS_NOTHING, AT(NOW_MS + 14), .known = 8, .bp = SAME, .bq = SAME, .aq = FLYING),
    UNDECIDED("II's control waits for B:Q.", ASKS_NOTHING, AT(NOW_MS + 14), .known = 8, .bp = SAME, .bq = FLYING,
              .aq = SAME, .iii_answered = true),
    UNDECIDED("A:Q may be deaf to plain requests, and speak all the same: its way is open.", ASKS_III, AT(NOW_MS),
              .known = 8, .bp = SAME, .bq = SAME, .aq = LOST),

    /* Answered. */
    DECIDED("III's control passed: port and address are filtered.", BY_PORT, true, ALL_SAME,
            .iii = NPI_CHANGE_HONOURED),
    DECIDED("II's control passed where III needs none: the address is filtered.", BY_ADDRESS, true, ALL_SAME,
            .iii_answered = true, .ii = NPI_CHANGE_HONOURED),
    UNFIT("III's control came from where it was sent.", NPI_REASON_IGNORED, ALL_SAME, .iii = NPI_CHANGE_IGNORED),
    UNFIT("III's control came from elsewhere.", NPI_REASON_PARTIAL, ALL_SAME, .iii = NPI_CHANGE_PARTIAL),
    UNFIT("II's control was rejected.", NPI_REASON_REJECTED, ALL_SAME, .iii_answered = true, .ii = NPI_CHANGE_REJECTED),

    /* Not applicable. */
    DECIDED("B:P and A:Q see other addresses: III's control would go to another mapping.", BY_PORT, false, .known = 8,
            .bp = ANOTHER, .bq = ANOTHER, .aq = ANOTHER),
    DECIDED("B:P and B:Q see other addresses: II's control would go to another mapping.", BY_ADDRESS, false, .known = 8,
            .bp = ANOTHER, .bq = ANOTHER, .aq = SAME, .iii_answered = true),
    UNDECIDED("B:P sees another address and A:Q the same: III's control goes through.", ASKS_III, AT(NOW_MS),
              .known = 8, .bp = ANOTHER, .bq = ANOTHER, .aq = SAME),
    UNDECIDED("A:Q sees another address and B:P does not: that is chance, not the NAT's way.", ASKS_III, AT(NOW_MS),
              .known = 8, .bp = SAME, .bq = ANOTHER, .aq = ANOTHER),
    UNDECIDED("So the control's silence counts.", ASKS_II, AT(NOW_MS), .known = 8, .bp = SAME, .bq = SAME,
              .aq = ANOTHER, .iii_copies = 12),
    UNDECIDED("B:P is open, but A:Q sees the same address: the control's silence counts.", ASKS_II, AT(NOW_MS),
              .known = 8, .bp = FLYING, .bq = SAME, .aq = SAME, .iii_copies = 12),
    UNDECIDED("A:Q sees another address and B:P is open: its answer tells whether III's control can pass.",
              ASKS_NOTHING, AT(NOW_MS + 14), .known = 8, .bp = FLYING, .aq = ANOTHER, .iii_copies = 12),
    UNDECIDED("The same while B:P's request waits for the rate.", ASKS_NOTHING, NPI_NEVER, .known = 8, .bp = QUEUED,
              .bq = SAME, .aq = ANOTHER, .iii_copies = 12),
    UNDECIDED("A:Q sees another address and B:P cannot be asked: the control's silence counts.", ASKS_II, AT(NOW_MS),
              .known = 8, .bp = FAILED, .bq = SAME, .aq = ANOTHER, .iii_copies = 12),
    UNDECIDED("A:Q sees another address and B:P will tell no more: the control's silence counts.", ASKS_II, AT(NOW_MS),
              .known = 8, .bp = LOST, .bq = SAME, .aq = ANOTHER, .iii_copies = 12),

    /* Silent. */
    UNDECIDED("Eight silent copies of II's control among eight answered requests may be loss.", ASKS_NOTHING, NPI_NEVER,
              ALL_SAME, .iii_answered = true, .ii_copies = 8),
    UNFIT("Nine are not.", NPI_REASON_CONTROL, ALL_SAME, .iii_answered = true, .ii_copies = 9),
    UNDECIDED("While other servers may help, four among five answered may be loss.", ASKS_NOTHING, NPI_NEVER,
              .save = true, .known = 5, .bp = SAME, .bq = SAME, .aq = SAME, .iii_answered = true, .ii_copies = 4),
    UNFIT("Five are enough to turn to the others.", NPI_REASON_CONTROL, .save = true, .known = 5, .bp = SAME,
          .bq = SAME, .aq = SAME, .iii_answered = true, .ii_copies = 5),
    UNDECIDED("Eleven copies are not the last.", ASKS_NOTHING, NPI_NEVER, .known = 3, .bp = SAME, .bq = SAME,
              .aq = SAME, .iii_answered = true, .ii_copies = 11),
    UNFIT("Twelve are: more will not come.", NPI_REASON_CONTROL, .known = 3, .bp = SAME, .bq = SAME, .aq = SAME,
          .iii_answered = true, .ii_copies = 12),
    UNFIT("The way of II's control cannot be opened.", NPI_REASON_CONTROL, .known = 8, .bp = SAME, .bq = FAILED,
          .aq = SAME, .iii_answered = true),

    /* III's control is silent: II's is asked. */
    UNDECIDED("III's control may be lost: II's is not asked yet.", ASKS_NOTHING, NPI_NEVER, ALL_SAME, .iii_copies = 8),
    UNDECIDED("III's control is silent: II's may pass all the same.", ASKS_II, AT(NOW_MS), ALL_SAME, .iii_copies = 9),
    UNDECIDED("III's way cannot be opened: II's control may pass.", ASKS_II, AT(NOW_MS), .known = 8, .bp = SAME,
              .bq = SAME, .aq = FAILED),
    UNFIT("Both controls are silent.", NPI_REASON_CONTROL, ALL_SAME, .iii_copies = 9, .ii_copies = 9),
    UNFIT("III's control is silent, and II's cannot pass.", NPI_REASON_CONTROL, .known = 8, .bp = ANOTHER,
          .bq = ANOTHER, .aq = SAME, .iii_copies = 9),
    UNFIT("III's control is silent, and II's shows an unfit server.", NPI_REASON_REJECTED, ALL_SAME, .iii_copies = 9,
          .ii = NPI_CHANGE_REJECTED),
    /* 8 known and 12 silent: 8^8 12^12 / 20^20 = 1.4e-6 < 1.5e-6; 11 silent: 2.6e-6. */
    DECIDED("III's control is silent, II's passes, and of II copies enough were silent: filtered, somehow.", SOME_KIND,
            true, ALL_SAME, .iii_copies = 9, .ii = NPI_CHANGE_HONOURED, .test_ii_copies = 12),
    UNFIT("The same, but of II too few copies were sent for a proof.", NPI_REASON_LOSS, ALL_SAME, .iii_copies = 9,
          .ii = NPI_CHANGE_HONOURED, .test_ii_copies = 11),
    UNFIT("However few are lost, six copies of II are too few.", NPI_REASON_LOSS, .known = 40, .bp = SAME, .bq = SAME,
          .aq = SAME, .iii_copies = 9, .ii = NPI_CHANGE_HONOURED, .test_ii_copies = 6),
    DECIDED("Seven are enough.", SOME_KIND, true, .known = 40, .bp = SAME, .bq = SAME, .aq = SAME, .iii_copies = 9,
            .ii = NPI_CHANGE_HONOURED, .test_ii_copies = 7),
};

#define TOLD (1u << 30) /* by others, before: it stays */

static npi_trial *set(build *b, const control_scene *s)
{
    unsigned answered = (s->bp >= SAME ? 1u : 0u) + (s->bq >= SAME ? 1u : 0u) + (s->aq >= SAME ? 1u : 0u);
    npi_trial *t = silent_trial(b, s->iii_answered, s->known - answered);
    t->save_transactions = s->save;
    t->control.stage = NPI_MAPPING_ALL;
    t->control.iii = s->iii;
    t->control.ii = s->ii;
    make(b, t, NPI_M_BP, s->bp);
    make(b, t, NPI_M_BQ, s->bq);
    make(b, t, NPI_M_AQ, s->aq);
    if (s->iii_copies > 0)
        send_control(b, t, NPI_C_III, s->iii_copies);
    if (s->ii_copies > 0)
        send_control(b, t, NPI_C_II, s->ii_copies);
    build_send_copies(&t->filtering.x[NPI_F_II], s->test_ii_copies, AT(0), 10);
    b->f.evidence = TOLD;
    return t;
}

static void each_state_of_a_control_decides_or_waits(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(controls); i++) {
        static build b;
        const char *says = controls[i].says;
        npi_trial *t = set(&b, &controls[i].scene);
        npi_control_step step = npi_control_advance(&b.f, t, false);
        EXPECT_EQUAL(says, t->finding.state, controls[i].state);
        EXPECT_EQUAL(says, t->finding.filtering, controls[i].filtering);
        EXPECT_EQUAL(says, t->finding.proven, controls[i].proven);
        EXPECT_EQUAL(says, t->finding.reason, controls[i].reason);
        EXPECT_EQUAL(says, t->control.x[NPI_C_II].queued, controls[i].asks == ASKS_II);
        EXPECT_EQUAL(says, t->control.x[NPI_C_III].queued, controls[i].asks == ASKS_III);
        if (controls[i].state == NPI_UNDECIDED) {
            EXPECT_EQUAL(says, step.next, NPI_CONTROL_WAIT);
            EXPECT_TIME(says, step.wake_ns, controls[i].wake_ns);
        }
        bool passed = controls[i].scene.iii == NPI_CHANGE_HONOURED || controls[i].scene.ii == NPI_CHANGE_HONOURED;
        uint32_t told = TOLD | (passed ? NP_EVIDENCE_CONTROL_ANSWERED : 0u);
        told |= controls[i].reason == NPI_REASON_CONTROL ? NP_EVIDENCE_CONTROL_SILENT : 0u;
        EXPECT_EQUAL(says, b.f.evidence, told);
    }
}

/* A server may answer only one CHANGE-REQUEST of a client in a while. */
static void one_answer_to_a_control_is_enough_only_soon_after_the_tests(void **state)
{
    static const struct {
        const char *says;
        unsigned after_ms; /* the first II and III */
        unsigned copies;   /* of the control, all answered */
        bool is_decided;
    } rows[] = {
        {"97 ms after them, and 2 ms of jitter: it is the second answer within 100 ms.", 97, 1, true},
        {"98 ms: it may be the next that the server gives.", 98, 1, false},
        {"Two answers to copies that left together are enough.", 98, 2, true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = set(&b, &(control_scene){ALL_SAME, .iii = NPI_CHANGE_HONOURED});
        npi_exchange *x = build_ask(&b, t, NPI_C_III);
        const uint64_t sent_ns = AT(NOW_MS - 40);
        x->queued = false;
        t->control.burst[NPI_C_III - NPI_C_II] = npi_silence_first_burst(&b.f, t);
        build_send_copies(x, rows[i].copies, sent_ns, 10);
        build_answer_copies(x, rows[i].copies, RTT_MS);
        build_send(&t->filtering.x[NPI_F_II], sent_ns - rows[i].after_ms * NPI_MS);
        build_send(&t->filtering.x[NPI_F_III], sent_ns - rows[i].after_ms * NPI_MS);
        npi_control_advance(&b.f, t, false);
        EXPECT_EQUAL(rows[i].says, npi_trial_is_decided(t), rows[i].is_decided);
    }
}

static void more_copies_of_a_control_leave_once_its_server_must_have_answered(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = set(&b, &(control_scene){ALL_SAME, .iii = NPI_CHANGE_HONOURED});
    npi_exchange *x = build_ask(&b, t, NPI_C_III);
    x->queued = false;
    t->control.burst[NPI_C_III - NPI_C_II] = npi_silence_first_burst(&b.f, t);
    build_send_copies(x, 2, AT(NOW_MS - 50), 10);
    build_answer_copies(x, 1, RTT_MS);
    build_rtt(&t->alternate_rtt, 1000);
    npi_control_advance(&b.f, t, false);
    EXPECT("One of two was answered: that may be a ration.", !npi_trial_is_decided(t));
    EXPECT("A has had its time for the other, however far B is.", npi_transaction_due(&x->t, b.f.now_ns));
}

/* No further burst may leave: once the last copies are old enough the server rations its answers, for all it shows. */
static void a_ration_is_judged_as_soon_as_its_last_copies_have_aged(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = set(&b, &(control_scene){ALL_SAME, .iii = NPI_CHANGE_HONOURED});
    npi_exchange *x = build_ask(&b, t, NPI_C_III);
    x->queued = false;
    x->max_copies = NPI_RATION_COPIES;
    build_send_copies(x, NPI_RATION_COPIES - NPI_RATION_BURST + 1, AT(NOW_MS - 210), 10); /* the last 10 ms ago */
    build_answer_copies(x, 1, RTT_MS);
    t->control.burst[NPI_C_III - NPI_C_II] = (npi_burst){NPI_RATION_BURST, NPI_RATION_ANSWERS,
                                                         x->t.sent - NPI_RATION_BURST, 1};
    npi_control_step step = npi_control_advance(&b.f, t, false);
    EXPECT("They are not yet.", !npi_trial_is_decided(t));
    EXPECT_TIME("It looks again when they are.", step.wake_ns, AT(NOW_MS - 10) + npi_trial_rto(&b.f, t));
    build_now(&b, step.wake_ns);
    npi_control_advance(&b.f, t, false);
    EXPECT_EQUAL("Then it is told.", t->finding.reason, NPI_REASON_RATIONED);
}

static void a_control_goes_to_a_p_and_asks_for_the_other_address(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = set(&b, &(control_scene){ALL_SAME, .iii_copies = 9});
    npi_control_advance(&b.f, t, false);
    const npi_exchange *ii = &t->control.x[NPI_C_II];
    EXPECT_EQUAL("II asks for B:Q.", ii->change, NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT);
    EXPECT("II goes to A:P.", npi_addr_equal(&ii->to, &b.servers[0].address));
    EXPECT_EQUAL("II leaves from the source socket.", ii->slot, NPI_SLOT_SOURCE);
    EXPECT_EQUAL("II has no more copies than a control has.", ii->max_copies, NPI_CONTROL_COPIES);
    t = set(&b, &(control_scene){ALL_SAME});
    npi_control_advance(&b.f, t, false);
    EXPECT_EQUAL("III asks for A:Q.", t->control.x[NPI_C_III].change, NPI_STUN_CHANGE_PORT);
}

static void a_control_that_leaves_at_once_waits_only_for_its_pinholes_copies(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = set(&b, &(control_scene){.known = 8, .bp = SAME, .bq = SAME, .aq = FLYING});
    t->control.at_once = true;
    npi_control_advance(&b.f, t, false);
    EXPECT("The pinhole's request has left.", t->control.x[NPI_C_III].queued);
    t = set(&b, &(control_scene){.known = 8, .bp = SAME, .bq = SAME});
    t->control.at_once = true;
    build_ask(&b, t, NPI_M_AQ); /* queued: the rate has no room */
    npi_control_step step = npi_control_advance(&b.f, t, false);
    EXPECT("The pinhole's request has not left.", !t->control.x[NPI_C_III].queued);
    EXPECT_TIME("Its leaving brings the engine back.", step.wake_ns, NPI_NEVER);
}

/* Copies of a control that left before its pinhole was known to be open may have found it closed. */
static void copies_before_a_pinhole_asked_twice_do_not_count(void **state)
{
    (void)state;
    static build b;
    for (unsigned late = 0; late < 2; late++) {
        npi_trial *t = set(&b, &(control_scene){.known = 6, .bp = SAME, .aq = SAME, .iii_answered = true});
        npi_exchange *pinhole = make(&b, t, NPI_M_BQ, SAME);
        build_send(pinhole, AT(NOW_MS - 90));
        build_answer(pinhole, AT(NOW_MS - 60)); /* both answered, so 8 known and none lost */
        send_control(&b, t, NPI_C_II, 11);
        pinhole->t.answered_ns = t->control.x[NPI_C_II].t.first_ns + CONTROL_GAP_MS * NPI_MS + (late ? 2 : 1) * NPI_MS;
        npi_control_advance(&b.f, t, false);
        EXPECT_EQUAL("Two of eleven left before the answer: nine count. At the third one's time: eight.",
                     t->finding.reason, late ? NPI_REASON_NONE : NPI_REASON_CONTROL);
    }
    npi_trial *t = set(&b, &(control_scene){ALL_SAME, .iii_answered = true, .ii_copies = 9});
    t->control.x[NPI_M_BQ].t.answered_ns = AT(NOW_MS - 60);
    npi_control_advance(&b.f, t, false);
    EXPECT_EQUAL("After a pinhole asked once, all count: the control waited for it.", t->finding.reason,
                 NPI_REASON_CONTROL);
}

static void a_silence_is_weighed_again_when_the_next_copy_counts_as_lost(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = set(&b, &(control_scene){ALL_SAME, .iii_answered = true, .ii_copies = 8});
    build_send(&t->control.x[NPI_C_II], AT(NOW_MS - 5));
    npi_control_step step = npi_control_advance(&b.f, t, false);
    EXPECT_TIME("The ninth copy left 5 ms ago.", step.wake_ns, AT(NOW_MS - 5 + RTO_MS));
    build_now(&b, step.wake_ns - 1);
    npi_control_advance(&b.f, t, false);
    EXPECT("A moment earlier nothing is decided.", !npi_trial_is_decided(t));
    build_now(&b, step.wake_ns);
    npi_control_advance(&b.f, t, false);
    EXPECT_EQUAL("Then it is.", t->finding.reason, NPI_REASON_CONTROL);
    t = set(&b, &(control_scene){ALL_SAME, .iii_answered = true, .ii_copies = 8});
    build_send(&t->control.x[NPI_C_II], AT(NOW_MS - 25));
    build_rtt(&t->alternate_rtt, 2 * RTT_MS);
    step = npi_control_advance(&b.f, t, false);
    EXPECT_TIME("The slower of the server's two addresses tells how long.", step.wake_ns, AT(NOW_MS - 25 + 44));
}

static void each_wait_ends_at_its_moment(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = set(
        &b, &(control_scene){.known = 3, .bp = SAME, .bq = SAME, .aq = SAME, .iii_answered = true, .ii_copies = 11});
    build_send(&t->control.x[NPI_C_II], AT(NOW_MS - RTO_MS)); /* the last of twelve */
    build_now(&b, AT(NOW_MS) - 1);
    EXPECT_TIME("The last copy is not lost yet.", npi_control_advance(&b.f, t, false).wake_ns, AT(NOW_MS));
    build_now(&b, AT(NOW_MS));
    npi_control_advance(&b.f, t, false);
    EXPECT_EQUAL("Now it is.", t->finding.reason, NPI_REASON_CONTROL);

    t = set(&b, &(control_scene){.known = 8, .bp = SAME, .bq = SAME, .aq = FLYING});
    build_now(&b, AT(NOW_MS + 14) - 1);
    npi_control_advance(&b.f, t, false);
    EXPECT("A:Q may yet answer.", !t->control.x[NPI_C_III].queued);
    build_now(&b, AT(NOW_MS + 14));
    npi_control_advance(&b.f, t, false);
    EXPECT("It is deaf, but its way is open.", t->control.x[NPI_C_III].queued);
}

static void a_minimal_set_waits_for_a_pinhole_that_is_yet_to_be_asked(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = set(&b, &(control_scene){.known = 8, .bp = SAME, .iii_copies = 12});
    t->control.stage = NPI_MAPPING_MINIMAL;
    for (int i = 0; i < NPI_RATE_TRANSACTIONS; i++)
        npi_rate_use(&b.f.rate, AT(NOW_MS - 10));
    npi_control_advance(&b.f, t, false);
    EXPECT("A:Q has not been asked: III's control proves nothing yet.", !npi_trial_is_decided(t));
    EXPECT("Nor is it the time for II's.", !t->control.x[NPI_C_II].queued);
    t = set(&b, &(control_scene){.known = 8, .bp = SAME, .iii_answered = true, .ii_copies = 12});
    t->control.stage = NPI_MAPPING_MINIMAL;
    for (int i = 0; i < NPI_RATE_TRANSACTIONS; i++)
        npi_rate_use(&b.f.rate, AT(NOW_MS - 10));
    npi_control_advance(&b.f, t, false);
    EXPECT("The same for II and B:Q.", !npi_trial_is_decided(t));
}

/* ---- Answers to a control --------------------------------------------------------------------------------------- */

static void the_first_answer_that_says_something_counts(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = set(&b, &(control_scene){ALL_SAME, .iii_copies = 2, .ii_copies = 2});
    npi_addr aq = build_a(0, BUILD_Q);
    npi_addr ap = build_a(0, BUILD_P);
    npi_addr bq = build_b(0, BUILD_Q);
    t->control.iii = NPI_CHANGE_SILENT;
    npi_control_take_answer(&b.f, t, NPI_C_III, &aq, &untold, true);
    EXPECT_EQUAL("An answer ends a silence.", t->control.iii, NPI_CHANGE_HONOURED);
    EXPECT_EQUAL("II has not been answered.", t->control.ii, NPI_CHANGE_PENDING);
    npi_control_take_answer(&b.f, t, NPI_C_III, &ap, &untold, true);
    EXPECT_EQUAL("A later one changes nothing.", t->control.iii, NPI_CHANGE_HONOURED);
    EXPECT_EQUAL("It is told all the same.", b.f.evidence, TOLD | NP_EVIDENCE_CHANGE_IGNORED);
    npi_control_take_answer(&b.f, t, NPI_C_II, &aq, &untold, true);
    EXPECT_EQUAL("For II A:Q is not the address asked for.", t->control.ii, NPI_CHANGE_PARTIAL);
    t->control.ii = NPI_CHANGE_PENDING;
    npi_control_take_answer(&b.f, t, NPI_C_II, &bq, &untold, true);
    EXPECT_EQUAL("B:Q is.", t->control.ii, NPI_CHANGE_HONOURED);
    t->control.ii = NPI_CHANGE_PENDING;
    npi_control_take_answer(&b.f, t, NPI_C_II, &bq, &untold, false);
    EXPECT_EQUAL("An error is a rejection.", t->control.ii, NPI_CHANGE_REJECTED);
}

/* ---- The mapping requests --------------------------------------------------------------------------------------- */

enum { BP = 1, BQ = 2, AQ = 4, AGAIN = 8 };

static const struct {
    const char *says;
    bool save;
    bool decided;      /* by an answer to II: no control is needed */
    bool iii_answered; /* the control will be II's */
    unsigned room;     /* transactions that may start */
    unsigned asked;
} asks[] = {
    {"With one server all are asked.", false, false, false, 10, BP | BQ | AQ | AGAIN},
    {"With one server all are asked even if they have to wait for the rate.", false, false, false, 0,
     BP | BQ | AQ | AGAIN},
    {"Where transactions are saved, but there is room for all, all are asked.", true, false, false, 5,
     BP | BQ | AQ | AGAIN},
    {"With less room only the control's pinhole is asked beside B:P; III's is A:Q.", true, false, false, 4, BP | AQ},
    {"II's pinhole is B:Q.", true, false, true, 4, BP | BQ},
    {"However little room, the control needs its pinhole.", true, false, false, 0, BP | AQ},
    {"When no control is needed, A:Q goes along where there is room for A:P again as well.", true, true, false, 3,
     BP | AQ | AGAIN},
    {"And else B:P alone, with A:P again.", true, true, false, 2, BP | AGAIN},
};

static unsigned queued(const build *b, const npi_trial *t)
{
    return (t->control.x[NPI_M_BP].queued ? BP : 0u) | (t->control.x[NPI_M_BQ].queued ? BQ : 0u) |
           (t->control.x[NPI_M_AQ].queued ? AQ : 0u) | (b->servers[0].x[NPI_RECHECK].queued ? AGAIN : 0u);
}

static void the_mapping_requests_are_those_that_the_verdict_needs(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(asks); i++) {
        static build b;
        npi_trial *t = silent_trial(&b, asks[i].iii_answered, 10);
        t->save_transactions = asks[i].save;
        if (asks[i].decided)
            build_decided(t, OPEN, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
        for (unsigned k = asks[i].room; k < NPI_RATE_TRANSACTIONS; k++)
            npi_rate_use(&b.f.rate, AT(NOW_MS - 10));
        EXPECT("Nothing has been asked before.", !npi_control_has_asked(t));
        npi_control_begin(&b.f, t);
        EXPECT_EQUAL(asks[i].says, queued(&b, t), asks[i].asked);
        bool all = (asks[i].asked & (BP | BQ | AQ)) == (BP | BQ | AQ);
        EXPECT_EQUAL(asks[i].says, t->control.stage, all ? NPI_MAPPING_ALL : NPI_MAPPING_MINIMAL);
        EXPECT("Something has been asked.", npi_control_has_asked(t));
    }
}

enum { OTHER = 16 };

/* Where ports may be drawn, the filtering socket asks B:P; where the rate has no room for it, in another's place. */
static const struct {
    const char *says;
    uint16_t filtering_port; /* the source socket has 7; 40000 is the local one */
    uint16_t source_port;
    bool iii_answered;
    unsigned rtt_ms, room;
    unsigned asked;
} asks_other[] = {
    {"In place of B:Q.", 9, 7, false, 10, 5, BP | AQ | AGAIN | OTHER},
    {"III was answered: in place of A:Q.", 9, 7, true, 10, 5, BP | BQ | AGAIN | OTHER},
    {"Beside both where there is room.", 9, 7, false, 10, 6, BP | BQ | AQ | AGAIN | OTHER},
    {"Not in place of one if the control leaves at once.", 9, 7, false, 40, 5, BP | BQ | AQ | AGAIN},
    {"With room, along with it.", 9, 7, false, 40, 6, BP | BQ | AQ | AGAIN | OTHER},
    {"Not where ports are far apart.", 3000, 7, false, 10, 6, BP | BQ | AQ | AGAIN},
    {"Not where they are kept.", 9, 40000, false, 10, 6, BP | BQ | AQ | AGAIN},
    {"Not before the filtering socket was seen.", 0, 7, false, 10, 6, BP | BQ | AQ | AGAIN},
};

static void the_filtering_socket_asks_b_p_where_ports_may_be_drawn(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(asks_other); i++) {
        static build b;
        npi_trial *t = silent_trial(&b, asks_other[i].iii_answered, 10);
        build_rtt(&b.servers[0].rtt, asks_other[i].rtt_ms);
        const npi_addr filtering = build_external(asks_other[i].filtering_port);
        npi_exchange *first = &t->filtering.x[NPI_F_I];
        b.servers[0].observed.external = build_external(asks_other[i].source_port);
        first->external = asks_other[i].filtering_port != 0 ? filtering : untold;
        first->local = build_local();
        for (unsigned k = asks_other[i].room; k < NPI_RATE_TRANSACTIONS; k++)
            npi_rate_use(&b.f.rate, AT(NOW_MS - 10));
        npi_control_begin(&b.f, t);
        const npi_exchange *other = &t->control.x[NPI_M_OTHER];
        EXPECT_EQUAL(asks_other[i].says, queued(&b, t) | (other->queued ? OTHER : 0u), asks_other[i].asked);
        if (!other->queued)
            continue;
        EXPECT_EQUAL("From the filtering socket.", other->slot, t->filtering.slot);
        EXPECT_EQUAL("Both together send eight copies.", other->max_copies + t->control.x[NPI_M_BP].max_copies,
                     NPI_ALTERNATE_COPIES);
        EXPECT_EQUAL("It opens the way for II: later than its last answers.", other->not_before_ns > b.f.now_ns,
                     asks_other[i].iii_answered);
    }
}

static void where_the_rate_is_spent_b_q_stands_for_b_p(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        bool iii_answered, save;
        unsigned room, asked;
    } rows[] = {
        {"B:Q, and the control that it opens the way for.", true, true, 2, BQ},
        {"There is room for B:P as well.", true, true, 3, BP | BQ},
        {"III's control needs A:Q, which does not tell what B:P does.", false, true, 2, BP | AQ},
        {"No other server needs any.", true, false, 2, BP | BQ | AQ | AGAIN},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = silent_trial(&b, rows[i].iii_answered, 10);
        t->save_transactions = rows[i].save;
        for (unsigned k = rows[i].room; k < NPI_RATE_TRANSACTIONS; k++)
            npi_rate_use(&b.f.rate, AT(NOW_MS - 10));
        npi_control_begin(&b.f, t);
        EXPECT_EQUAL(rows[i].says, queued(&b, t), rows[i].asked);
    }
    static build b;
    npi_trial *t = silent_trial(&b, true, 10);
    t->save_transactions = true;
    t->control.stage = NPI_MAPPING_MINIMAL;
    make(&b, t, NPI_M_BQ, ANOTHER);
    npi_control_advance(&b.f, t, false);
    EXPECT_EQUAL("B:Q sees another port: the address or the port may do it.", queued(&b, t) & BP, BP);
}

static void where_the_mapping_seems_to_depend_a_q_takes_the_place_of_a_p_again(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        bool save, decided, iii_answered;
        uint16_t port; /* of the source socket, as another server sees it; A:P sees 1 */
        unsigned room, asked;
    } rows[] = {
        {"A:Q tells of the mapping as well.", true, true, false, 2, 2, BP | AQ},
        {"It does so in the place of B:Q, whose control could not pass.", true, false, true, 2, 2, BP | AQ},
        {"Nothing shows that the mapping depends on the destination.", true, true, false, 1, 2, BP | AGAIN},
        {"No other server has been heard.", true, true, false, 0, 2, BP | AGAIN},
        {"The control may pass.", true, false, true, 1, 2, BQ},
        {"With room for three A:P is asked again.", true, true, false, 2, 3, BP | AQ | AGAIN},
        {"With room for one there is none for A:Q.", true, true, false, 2, 1, BP | AGAIN},
        {"No other server needs any.", false, true, false, 2, 2, BP | BQ | AQ | AGAIN},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = silent_trial(&b, rows[i].iii_answered, 10);
        t->save_transactions = rows[i].save;
        if (rows[i].decided)
            build_decided(t, OPEN, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
        if (rows[i].port != 0) {
            npi_addr external = build_external(rows[i].port);
            build_sees(build_answering_server(&b, RTT_MS), &external, AT(0), AT(RTT_MS));
        }
        for (unsigned k = rows[i].room; k < NPI_RATE_TRANSACTIONS; k++)
            npi_rate_use(&b.f.rate, AT(NOW_MS - 10));
        npi_control_begin(&b.f, t);
        EXPECT_EQUAL(rows[i].says, queued(&b, t), rows[i].asked);
        EXPECT_EQUAL(rows[i].says, t->control.aq_is_again, rows[i].asked == (BP | AQ));
    }
}

/* A:P has answered its first request, so that it may be asked again by a copy, for which the rate needs no room. */
static npi_trial *trial_with_copy(build *b, bool iii_answered, bool decided, unsigned room)
{
    npi_trial *t = silent_trial(b, iii_answered, 10);
    npi_addr external = build_external(1);
    build_observe(&b->servers[0].x[NPI_PRIMARY], &external, AT(0), AT(RTT_MS));
    build_server(b);
    t->save_transactions = true;
    if (decided)
        build_decided(t, OPEN, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
    for (unsigned k = room; k < NPI_RATE_TRANSACTIONS; k++)
        npi_rate_use(&b->f.rate, AT(NOW_MS - 10));
    return t;
}

/* One more server that sees the source socket, at this port; A:P sees 1. */
static npi_server *other_server(build *b, uint16_t port)
{
    npi_addr external = build_external(port);
    npi_server *other = build_answering_server(b, RTT_MS);
    build_sees(other, &external, AT(0), AT(RTT_MS));
    build_observe(&other->x[NPI_PRIMARY], &external, AT(0), AT(RTT_MS));
    return other;
}

static void a_copy_leaves_its_room_to_others(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        bool decided, iii_answered;
        uint16_t port; /* as another server sees it; 0: none does */
        unsigned room, asked;
    } rows[] = {
        {"Room for four is room for all.", false, false, 0, 4, BP | BQ | AQ | AGAIN},
        {"With three the control tells what A:P sees.", false, false, 0, 3, BP | AQ},
        {"Room for two is enough for A:Q where no control is needed.", true, false, 0, 2, BP | AQ | AGAIN},
        {"Room for one is not.", true, false, 0, 1, BP | AGAIN},
        {"Where A:Q stands for A:P again, that goes along.", false, true, 2, 2, BP | AQ | AGAIN},
        {"With room to spare it is a new transaction.", true, false, 0, 5, BP | BQ | AQ | AGAIN},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = trial_with_copy(&b, rows[i].iii_answered, rows[i].decided, rows[i].room);
        if (rows[i].port != 0)
            other_server(&b, rows[i].port);
        npi_control_begin(&b.f, t);
        EXPECT_EQUAL(rows[i].says, queued(&b, t), rows[i].asked);
        EXPECT_EQUAL(rows[i].says, b.servers[0].x[NPI_RECHECK].as_copy,
                     (rows[i].asked & AGAIN) != 0 && rows[i].room < 5);
    }
}

static void a_p_again_waits_for_no_room_where_it_is_all_that_is_missing(void **state)
{
    (void)state;
    static build b;
    for (int may_copy = 0; may_copy < 2; may_copy++) {
        npi_trial *t = trial_with_copy(&b, false, true, 0);
        b.f.duplicated = !may_copy;
        t->control.stage = NPI_MAPPING_MINIMAL;
        make(&b, t, NPI_M_BP, ANOTHER);
        make(&b, t, NPI_M_AQ, SAME);
        npi_control_advance(&b.f, t, false);
        EXPECT_EQUAL("As a copy it is asked at once.", queued(&b, t), may_copy ? AGAIN : 0);
    }
}

static void another_server_stands_for_b_p_where_the_rate_is_spent(void **state)
{
    (void)state;
    enum { ALIKE, OTHERWISE, SAME_IP, FAILED_SINCE, SILENT_SINCE, UNSTEADY, ASKED, UNSETTLED, BY_II, SPARE };
    static const struct {
        const char *says;
        int what;
        bool stands_in;
    } rows[] = {
        {"It sees what A:P does.", ALIKE, true},
        {"It sees another port.", OTHERWISE, false},
        {"It is the same host.", SAME_IP, false},
        {"It has failed.", FAILED_SINCE, false},
        {"It has fallen silent.", SILENT_SINCE, false},
        {"It alone sees ever other addresses.", UNSTEADY, false},
        {"It was asked again before, at another moment.", ASKED, false},
        {"A copy has no answer yet: another one's may be taken for it.", UNSETTLED, false},
        {"II's control does without B:P.", BY_II, false},
        {"There is room for B:P.", SPARE, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = trial_with_copy(&b, rows[i].what == BY_II, false, rows[i].what == SPARE ? 3 : 2);
        npi_server *other = other_server(&b, rows[i].what == OTHERWISE ? 2 : 1);
        if (rows[i].what == SAME_IP)
            other->address = npi_addr_with_port(&b.servers[0].alternate, 7);
        other->failed = rows[i].what == FAILED_SINCE;
        other->fell_silent = rows[i].what == SILENT_SINCE;
        other->is_unsteady = rows[i].what == UNSTEADY;
        if (rows[i].what == ASKED)
            build_send(&other->x[NPI_RECHECK], AT(50));
        if (rows[i].what == UNSETTLED)
            build_send(&other->x[NPI_PRIMARY], AT(NOW_MS - 10));
        npi_control_begin(&b.f, t);
        const npi_exchange *again = &other->x[NPI_RECHECK];
        EXPECT_EQUAL(rows[i].says, again->queued && again->as_copy, rows[i].stands_in);
        EXPECT_EQUAL("The one or the other is asked.", (queued(&b, t) & BP) != 0,
                     !rows[i].stands_in && rows[i].what != BY_II);
        EXPECT_EQUAL("The control has its pinhole.", queued(&b, t) & (BQ | AQ), rows[i].what == BY_II ? BQ : AQ);
    }
}

static void the_control_of_a_minimal_set_leaves_at_once_where_that_delays_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        bool iii_answered;
        uint16_t port; /* as another server sees it; 0: none does */
        unsigned room, later;
        bool at_once;
        unsigned asked;
    } rows[] = {
        {"Another server sees the same port: the control will pass.", false, 1, 3, 3, true, BP | AQ},
        {"II's does as well. A:P is seen after both copies of its pinhole's request.", true, 1, 2, 2, true, BQ | AGAIN},
        {"There is no room for it.", false, 1, 1, 1, false, AQ},
        {"But there will be before the pinhole is open.", false, 1, 1, 2, true, AQ},
        {"Nobody has seen that the mapping is the same.", false, 0, 3, 4, false, BP | AQ},
        {"Another server sees another port.", false, 2, 3, 4, false, BP | AQ},
        {"The same for II.", true, 0, 3, 4, false, BP | BQ},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = trial_with_copy(&b, rows[i].iii_answered, false, 10);
        build_rtt(&b.servers[0].rtt, 100);
        if (rows[i].port != 0)
            other_server(&b, rows[i].port);
        for (unsigned k = 0; k < 10 - rows[i].room; k++)
            npi_rate_use(&b.f.rate, AT(NOW_MS - (k < rows[i].later - rows[i].room ? 950 : 10)));
        npi_control_begin(&b.f, t);
        EXPECT_EQUAL(rows[i].says, t->control.at_once, rows[i].at_once);
        EXPECT_EQUAL(rows[i].says, queued(&b, t), rows[i].asked);
    }
}

static void a_p_is_asked_again_behind_b_p(void **state)
{
    (void)state;
    enum { NEVER, ABOUT, BEFORE, BEHIND };
    static const struct {
        const char *says;
        int again;
        bool is_asked;
    } rows[] = {
        {"It has not been asked.", NEVER, true},
        {"Its answer is on its way: what comes now is told apart by its time.", ABOUT, false},
        {"It was asked earlier than B:P.", BEFORE, true},
        {"It was asked behind B:P.", BEHIND, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = trial_with_copy(&b, true, false, 5);
        npi_exchange *again = &b.servers[0].x[NPI_RECHECK];
        t->control.stage = NPI_MAPPING_MINIMAL;
        make(&b, t, NPI_M_BQ, ANOTHER);
        make(&b, t, NPI_M_BP, FLYING);
        again->max_copies = 1;
        if (rows[i].again != NEVER)
            build_send(again, AT(NOW_MS - (rows[i].again == BEHIND ? 9 : 50)));
        if (rows[i].again >= BEFORE)
            build_answer(again, AT(NOW_MS));
        npi_control_advance(&b.f, t, false);
        EXPECT_EQUAL(rows[i].says, again->queued, rows[i].is_asked);
    }
}

/* B:Q was left out, since A:Q was asked in the place of A:P again. */
static void without_b_q_the_others_tell_whether_its_control_can_pass(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        fate bp, aq;
        uint16_t aq_port;
        bool is_decided;
        unsigned asked;
    } rows[] = {
        {"B:P alone sees another port: so would B:Q.", ANOTHER, SAME, 1, true, 0},
        {"Each sees another port: so would B:Q.", ANOTHER, ANOTHER, 3, true, 0},
        {"Both see the same new port: something may have changed before. B:Q is asked.", ANOTHER, ANOTHER, 2, false,
         BQ},
        {"All see the same: B:Q opens the way for the control.", SAME, SAME, 1, false, BQ},
        {"A:Q may still be answered.", ANOTHER, FLYING, 0, false, 0},
        {"B:P may still be answered.", FLYING, SAME, 1, false, 0},
        {"B:P is lost.", LOST, SAME, 1, false, BQ},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = silent_trial(&b, true, 10);
        t->save_transactions = t->control.aq_is_again = true;
        t->control.stage = NPI_MAPPING_MINIMAL;
        for (unsigned k = 0; k < NPI_RATE_TRANSACTIONS; k++)
            npi_rate_use(&b.f.rate, AT(NOW_MS - 100));
        make(&b, t, NPI_M_BP, rows[i].bp);
        npi_exchange *aq = make(&b, t, NPI_M_AQ, rows[i].aq);
        if (rows[i].aq_port != 0)
            aq->external = build_external(rows[i].aq_port);
        npi_control_advance(&b.f, t, false);
        EXPECT_EQUAL(rows[i].says, npi_trial_is_decided(t), rows[i].is_decided);
        EXPECT("The control could not pass.", !rows[i].is_decided || !t->finding.proven);
        EXPECT_EQUAL(rows[i].says, queued(&b, t) & BQ, rows[i].asked);
    }
}

static void the_mapping_requests_go_to_the_other_addresses(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = silent_trial(&b, false, 10);
    npi_control_begin(&b.f, t);
    const npi_addr to[] = {build_b(0, BUILD_P), build_b(0, BUILD_Q), build_a(0, BUILD_Q)};
    for (int i = NPI_M_BP; i <= NPI_M_AQ; i++) {
        EXPECT("B:P, B:Q and A:Q", npi_addr_equal(&t->control.x[i].to, &to[i]));
        EXPECT_EQUAL("plain", t->control.x[i].change, 0);
        EXPECT_EQUAL("at most 8 copies to an address that only a server named", t->control.x[i].max_copies, 8);
    }
}

static void all_servers_together_send_eight_copies_to_an_address_that_they_name(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        unsigned sent, most; /* by the other trial to the same B:P */
        bool answered, failed, done;
        unsigned left;
    } rows[] = {
        {"What another may still send counts.", 2, 6, false, false, false, 2},
        {"Once it has been answered no more will be sent.", 2, 6, true, false, false, 6},
        {"Nor when it cannot be.", 2, 6, false, true, false, 6},
        {"Nor when its trial is over.", 2, 6, false, false, true, 6},
        {"Another that was not asked leaves all.", 0, 6, false, false, false, 8},
        {"One is left.", 7, 7, false, false, false, 1},
        {"None is left: it counts as a request that cannot be sent.", 8, 8, false, false, false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int index = NPI_M_BP; index <= NPI_M_AQ; index++) { /* it may be named in whatever role */
            static build b;
            silent_trial(&b, false, 10);
            npi_trial *o = &b.trials[0];
            npi_addr external = build_external(1);
            npi_server *s = build_answering_server(&b, RTT_MS);
            build_sees(s, &external, AT(0), AT(RTT_MS));
            npi_trial *t = build_trial(&b, s);
            o->phase = rows[i].done ? NPI_PHASE_DONE : NPI_PHASE_MAPPING;
            npi_exchange *x = &o->control.x[index];
            if (rows[i].sent > 0)
                build_ask(&b, o, index)->to = build_b(1, BUILD_P);
            x->max_copies = rows[i].most;
            build_send_copies(x, rows[i].sent, AT(0), 10);
            if (rows[i].answered)
                build_answer(x, AT(20));
            x->failed = rows[i].failed;
            npi_control_begin(&b.f, t);
            EXPECT_EQUAL(rows[i].says, t->control.x[NPI_M_BP].max_copies, rows[i].left);
            EXPECT_EQUAL(rows[i].says, t->control.x[NPI_M_BP].queued, rows[i].left > 0);
            EXPECT_EQUAL(rows[i].says, t->control.x[NPI_M_BP].failed, rows[i].left == 0);
            EXPECT_EQUAL("Another address is not meant.", t->control.x[NPI_M_BQ].max_copies, 8);
        }
    }
}

static const struct {
    const char *says;
    uint64_t rtt_ns;
    unsigned plain, lost; /* of so many plain requests */
    bool save;
    bool decided;
    bool at_once;
    bool twice; /* the pinhole's request */
    bool all_twice;
} timing[] = {
    {"A long way without losses: the control leaves at once, and its pinhole is asked for twice.", 20 * NPI_MS + 1, 15,
     0, false, false, true, true, false},
    {"A short way: it costs little to wait for the pinhole.", 20 * NPI_MS, 15, 0, false, false, false, false, false},
    {"Once something was lost nobody knows whether the pinhole opened.", 20 * NPI_MS + 1, 15, 1, false, false, false,
     false, false},
    {"No control is needed.", 20 * NPI_MS + 1, 15, 0, false, true, false, false, false},
    {"A minimal set saves a transaction: the control waits.", 20 * NPI_MS + 1, 15, 0, true, false, false, false, false},
    {"A long way that loses one in five: a second copy costs less than a round trip in vain.", 100 * NPI_MS + 1, 15, 3,
     false, false, false, true, true},
    {"Not so long a way.", 100 * NPI_MS, 15, 3, false, false, false, false, false},
    {"Not so many losses.", 100 * NPI_MS + 1, 12, 2, false, false, false, false, false},
    {"One of five is one in five.", 100 * NPI_MS + 1, 5, 1, false, false, false, true, true},
};

static void a_control_leaves_at_once_where_its_way_is_safe(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(timing); i++) {
        static build b;
        npi_trial *t = silent_trial(&b, false, 0);
        b.servers[0].rtt.smoothed_ns = timing[i].rtt_ns;
        build_send_copies(&t->filtering.x[NPI_F_I], timing[i].plain, AT(0), 10);
        build_answer_copies(&t->filtering.x[NPI_F_I], timing[i].plain - timing[i].lost, 20);
        if (timing[i].decided)
            build_decided(t, OPEN, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
        t->save_transactions = timing[i].save;
        for (unsigned k = 0; timing[i].save && k < 6; k++)
            npi_rate_use(&b.f.rate, AT(NOW_MS - 10));
        npi_control_begin(&b.f, t);
        EXPECT_EQUAL(timing[i].says, t->control.at_once, timing[i].at_once);
        EXPECT_EQUAL(timing[i].says, t->control.x[NPI_M_AQ].send_twice, timing[i].twice);
        EXPECT_EQUAL(timing[i].says, t->control.x[NPI_M_BP].send_twice, timing[i].all_twice);
        EXPECT_EQUAL(timing[i].says, t->control.x[NPI_M_BQ].send_twice, timing[i].all_twice);
        EXPECT_TIME("A:P is asked again no earlier than the last copies leave.",
                    b.servers[0].x[NPI_RECHECK].not_before_ns, timing[i].twice ? AT(NOW_MS + 10) : 0);
    }
}

static void a_recheck_that_has_begun_is_not_begun_again(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = silent_trial(&b, false, 10);
    build_send(&b.servers[0].x[NPI_RECHECK], AT(NOW_MS - 5));
    npi_control_begin(&b.f, t);
    EXPECT("It is under way.", !b.servers[0].x[NPI_RECHECK].queued);
}

/* ---- Asked later ------------------------------------------------------------------------------------------------ */

static void a_useless_trial_is_deferred_while_others_can_help(void **state)
{
    (void)state;
    static build b;
    static const struct {
        const char *says;
        bool save, decided;
        npi_reason reason;
        npi_mapping_stage stage;
    } rows[] = {
        {"It cannot tell the filtering, and others may.", true, true, NPI_REASON_IGNORED, NPI_MAPPING_DEFERRED},
        {"It cannot tell the filtering, but there is no other.", false, true, NPI_REASON_IGNORED, NPI_MAPPING_ALL},
        {"It has told the filtering.", true, true, NPI_REASON_NONE, NPI_MAPPING_ALL},
        {"It may tell the filtering.", true, false, NPI_REASON_NONE, NPI_MAPPING_ALL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_trial *t = silent_trial(&b, false, 10);
        t->save_transactions = rows[i].save;
        if (rows[i].decided)
            build_decided(t, UNKNOWN, false, rows[i].reason, NPI_PHASE_MAPPING);
        npi_control_begin(&b.f, t);
        EXPECT_EQUAL(rows[i].says, t->control.stage, rows[i].stage);
    }
    npi_trial *t = silent_trial(&b, false, 10);
    t->save_transactions = true;
    build_decided(t, UNKNOWN, false, NPI_REASON_IGNORED, NPI_PHASE_MAPPING);
    npi_control_begin(&b.f, t);
    npi_control_step step = npi_control_advance(&b.f, t, true);
    EXPECT("While others can help nothing is asked.", step.next == NPI_CONTROL_WAIT && queued(&b, t) == 0);
    EXPECT_TIME("No time brings it on.", step.wake_ns, NPI_NEVER);
    EXPECT_TIME("Nor is its mapping over.", npi_control_mapping_over_ns(&b.f, t), NPI_NEVER);
    step = npi_control_advance(&b.f, t, false);
    EXPECT_EQUAL("When no other can, it is asked.", queued(&b, t) & BP, BP);
    EXPECT_TIME("At once.", step.wake_ns, AT(NOW_MS));
}

static void nothing_is_asked_before_a_p_has_seen_the_source_socket(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = silent_trial(&b, false, 10);
    npi_server *s = &b.servers[0];
    s->has_mapping = false;
    s->x[NPI_PRIMARY].max_copies = 1;
    build_send(&s->x[NPI_PRIMARY], AT(NOW_MS - 10));
    npi_control_begin(&b.f, t);
    npi_control_step step = npi_control_advance(&b.f, t, false);
    EXPECT("It waits.", step.next == NPI_CONTROL_WAIT && queued(&b, t) == 0);
    EXPECT_TIME("Until two round trips after the last copy to A:P.", step.wake_ns, AT(NOW_MS - 10 + 2 * RTO_MS));
    build_now(&b, step.wake_ns - 1);
    EXPECT_EQUAL("Not sooner.", npi_control_advance(&b.f, t, false).next, NPI_CONTROL_WAIT);
    build_now(&b, step.wake_ns);
    EXPECT_EQUAL("Then there is no use.", npi_control_advance(&b.f, t, false).next, NPI_CONTROL_FINISH);
    build_now(&b, AT(NOW_MS));
    s->has_mapping = true;
    EXPECT_EQUAL("Once A:P has seen it, it goes on.", npi_control_advance(&b.f, t, false).next, NPI_CONTROL_WAIT);
    EXPECT_EQUAL("With all requests.", queued(&b, t), BP | BQ | AQ | AGAIN);
}

/* A minimal set of requests, decided by II's answer or not, and what its next step asks. */
static const struct {
    const char *says;
    bool decided;
    unsigned room;
    fate bp, bq, aq;
    bool again; /* A:P has been seen behind them */
    npi_mapping_stage stage;
    unsigned asked;
    uint64_t wake_ns;
} completion[] = {
    {"There is room for all again, and what was asked is lost: the rest is asked.", false, 5, LOST, UNASKED, LOST,
     false, NPI_MAPPING_ALL, BQ | AGAIN, AT(NOW_MS)},
    {"What is under way may make it unnecessary.", false, 5, FLYING, UNASKED, LOST, false, NPI_MAPPING_MINIMAL, 0,
     AT(NOW_MS + 14)},
    {"There is not, and the control may yet be answered: it waits for room.", false, 4, FLYING, UNASKED, FLYING, false,
     NPI_MAPPING_MINIMAL, 0, AT(NOW_MS - 100 + 1000)},
    {"Decided, and B:P sees another address: the kind needs A:Q, though B:Q only where there is room.", true, 2,
     ANOTHER, UNASKED, UNASKED, true, NPI_MAPPING_ALL, AQ | AGAIN, AT(NOW_MS)},
    {"With room for three transactions B:Q goes along.", true, 3, ANOTHER, UNASKED, UNASKED, true, NPI_MAPPING_ALL,
     AQ | BQ | AGAIN, AT(NOW_MS)},
    {"With room for none it waits for one.", true, 0, ANOTHER, UNASKED, UNASKED, true, NPI_MAPPING_MINIMAL, 0,
     AT(NOW_MS - 100 + 1000)},
    {"Decided, A:Q has answered and B:P is open: it waits until B:P is lost, not for room.", true, 2, FLYING, UNASKED,
     SAME, true, NPI_MAPPING_MINIMAL, 0, AT(NOW_MS + 14)},
    {"Decided, and all that tells the mapping was seen: no more is asked.", true, 2, ANOTHER, UNASKED, SAME, true,
     NPI_MAPPING_ALL, 0, AT(NOW_MS)},
    {"Decided, but A:P was not seen again: that alone is asked.", true, 3, ANOTHER, UNASKED, SAME, false,
     NPI_MAPPING_ALL, AGAIN, AT(NOW_MS)},
    {"Decided, and B:P agrees: nothing is missing, and the phase is over.", true, 2, SAME, UNASKED, UNASKED, true,
     NPI_MAPPING_MINIMAL, 0, AT(NOW_MS)},
    {"B:Q does as well as A:Q.", true, 2, ANOTHER, SAME, UNASKED, true, NPI_MAPPING_ALL, 0, AT(NOW_MS)},
    {"B:Q sees what A:P does: that alone tells the mapping.", true, 2, UNASKED, SAME, UNASKED, true,
     NPI_MAPPING_MINIMAL, 0, AT(NOW_MS)},
    {"B:Q was asked in vain: the rest is asked.", true, 4, UNASKED, LOST, UNASKED, true, NPI_MAPPING_ALL,
     BP | AQ | AGAIN, AT(NOW_MS)},
    {"With room for one the rest is asked.", true, 1, ANOTHER, UNASKED, UNASKED, true, NPI_MAPPING_ALL, AQ | AGAIN,
     AT(NOW_MS)},
};

static void a_minimal_set_is_completed_when_that_is_due(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(completion); i++) {
        static build b;
        const char *says = completion[i].says;
        npi_trial *t = silent_trial(&b, false, 8);
        npi_addr external = build_external(1);
        t->save_transactions = true;
        t->control.stage = NPI_MAPPING_MINIMAL;
        make(&b, t, NPI_M_BP, completion[i].bp);
        make(&b, t, NPI_M_BQ, completion[i].bq);
        make(&b, t, NPI_M_AQ, completion[i].aq);
        send_control(&b, t, NPI_C_III, 1);
        if (completion[i].again)
            build_sees(&b.servers[0], &external, AT(NOW_MS - 5), AT(NOW_MS - 1));
        if (completion[i].decided)
            build_decided(t, OPEN, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
        for (unsigned k = completion[i].room; k < NPI_RATE_TRANSACTIONS; k++)
            npi_rate_use(&b.f.rate, AT(NOW_MS - 100)); /* room again in 900 ms */
        npi_control_step step = npi_control_advance(&b.f, t, false);
        EXPECT_EQUAL(says, t->control.stage, completion[i].stage);
        EXPECT_EQUAL(says, queued(&b, t), completion[i].asked);
        if (step.next == NPI_CONTROL_WAIT)
            EXPECT_TIME(says, step.wake_ns, completion[i].wake_ns);
        if (completion[i].wake_ns != AT(NOW_MS - 100 + 1000))
            continue;
        build_now(&b, completion[i].wake_ns - 1);
        npi_control_advance(&b.f, t, false);
        EXPECT_EQUAL("A moment before it is due nothing is asked.", t->control.stage, NPI_MAPPING_MINIMAL);
        build_now(&b, completion[i].wake_ns);
        npi_control_advance(&b.f, t, false);
        EXPECT_EQUAL("Then it is.", t->control.stage, NPI_MAPPING_ALL);
    }
}

static void completing_a_set_does_not_begin_a_recheck_again(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = silent_trial(&b, false, 8);
    t->control.stage = NPI_MAPPING_MINIMAL;
    make(&b, t, NPI_M_BP, LOST);
    build_send(&b.servers[0].x[NPI_RECHECK], AT(NOW_MS - 5));
    npi_control_advance(&b.f, t, false);
    EXPECT_EQUAL("A:P is being asked already.", queued(&b, t), BQ | AQ);

    t = silent_trial(&b, false, 8);
    t->control.stage = NPI_MAPPING_MINIMAL;
    make(&b, t, NPI_M_BP, LOST);
    build_send(&b.servers[0].x[NPI_RECHECK], AT(NOW_MS - 500));
    build_answer_copies(&b.servers[0].x[NPI_RECHECK], 1, RTT_MS);
    npi_control_advance(&b.f, t, false);
    EXPECT_EQUAL("It was asked before them, which tells nothing of A now.", queued(&b, t), BQ | AQ | AGAIN);
}

/* ---- When the mapping is over, and the phase -------------------------------------------------------------------- */

static void the_mapping_is_over_when_no_request_may_still_be_answered(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        npi_mapping_stage stage;
        fate bp, bq, aq;
        uint64_t over_ns;
    } rows[] = {
        {"All have been answered.", NPI_MAPPING_ALL, SAME, SAME, SAME, NPI_NOW},
        {"The last of those under way counts.", NPI_MAPPING_ALL, LOST, SAME, FLYING, AT(NOW_MS + 14)},
        {"A lost one, alone, was over when its copy grew too old.", NPI_MAPPING_ALL, SAME, LOST, SAME,
         AT(NOW_MS - 100 + RTO_MS)},
        {"B:P counts as much as the others.", NPI_MAPPING_ALL, FLYING, SAME, SAME, AT(NOW_MS + 14)},
        {"Where all was asked, a difference is no reason to wait for more.", NPI_MAPPING_ALL, ANOTHER, SAME, FLYING,
         AT(NOW_MS + 14)},
        {"What cannot be sent is not waited for.", NPI_MAPPING_ALL, FAILED, SAME, SAME, NPI_NOW},
        {"Nothing has been asked yet.", NPI_MAPPING_NOT_ASKED, UNASKED, UNASKED, UNASKED, NPI_NEVER},
        {"It is deferred.", NPI_MAPPING_DEFERRED, UNASKED, UNASKED, UNASKED, NPI_NEVER},
        {"A minimal set agrees with A:P: the rest is not needed.", NPI_MAPPING_MINIMAL, SAME, UNASKED, FLYING,
         AT(NOW_MS + 14)},
        {"A minimal set does not agree: the rest will be asked.", NPI_MAPPING_MINIMAL, ANOTHER, UNASKED, FLYING,
         NPI_NEVER},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = set(&b, &(control_scene){.known = 8, .bp = rows[i].bp, .bq = rows[i].bq, .aq = rows[i].aq});
        t->control.stage = rows[i].stage;
        EXPECT_TIME(rows[i].says, npi_control_mapping_over_ns(&b.f, t), rows[i].over_ns);
    }
    static build b;
    npi_addr local = build_local();
    npi_trial *t = set(&b, &(control_scene){.known = 8, .aq = FLYING});
    b.servers[0].observed.external = local;
    t->control.stage = NPI_MAPPING_MINIMAL;
    EXPECT_TIME("No NAT: a minimal set does for that too.", npi_control_mapping_over_ns(&b.f, t), AT(NOW_MS + 14));
    t = set(&b, &(control_scene){.known = 8, .bp = SAME, .bq = SAME, .aq = SAME});
    npi_exchange *other = build_ask(&b, t, NPI_M_OTHER);
    t->control.stage = NPI_MAPPING_ALL;
    other->max_copies = 1;
    build_send(other, AT(NOW_MS - 10));
    EXPECT_TIME("What the filtering socket asked counts as much.", npi_control_mapping_over_ns(&b.f, t),
                AT(NOW_MS + 14));
}

static void the_phase_ends_when_mapping_and_control_are_over(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = set(&b, &(control_scene){.known = 12, .bp = SAME, .bq = SAME, .aq = FLYING});
    build_send_copies(&t->filtering.x[NPI_F_III], 12, AT(0), 10);
    t->control.iii = NPI_CHANGE_HONOURED;
    npi_control_step step = npi_control_advance(&b.f, t, false);
    EXPECT("The control has passed, A:Q is open: it waits.", step.next == NPI_CONTROL_WAIT && npi_trial_is_decided(t));
    EXPECT_TIME("Until A:Q is lost.", step.wake_ns, AT(NOW_MS + 14));
    build_now(&b, step.wake_ns - 1);
    EXPECT_EQUAL("Not sooner.", npi_control_advance(&b.f, t, false).next, NPI_CONTROL_WAIT);
    build_now(&b, AT(NOW_MS + 14));
    step = npi_control_advance(&b.f, t, false);
    EXPECT_EQUAL("Then it is over.", step.next, NPI_CONTROL_FINISH);
    EXPECT_TIME("At once.", step.wake_ns, AT(NOW_MS + 14));
}

static void more_copies_are_needed_once_when_the_silence_has_become_doubtful(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = set(&b, &(control_scene){ALL_SAME, .iii = NPI_CHANGE_HONOURED});
    build_send_copies(&t->filtering.x[NPI_F_III], 7, AT(0), 10); /* 8^8 7^7 / 15^15 = 3.1e-5: above 2e-5 */
    EXPECT_EQUAL("Seven silent copies among eight answered are doubtful.", npi_control_advance(&b.f, t, false).next,
                 NPI_CONTROL_EXTEND);
    t->filtering.extended = true;
    EXPECT_EQUAL("A second time there is no use.", npi_control_advance(&b.f, t, false).next, NPI_CONTROL_FINISH);
    t->filtering.extended = false;
    build_send(&t->filtering.x[NPI_F_III], AT(70)); /* 2^-16 = 1.5e-5 */
    EXPECT_EQUAL("Eight are not.", npi_control_advance(&b.f, t, false).next, NPI_CONTROL_FINISH);
    t = set(&b, &(control_scene){ALL_SAME, .iii_answered = true, .ii = NPI_CHANGE_HONOURED});
    build_send_copies(&t->filtering.x[NPI_F_II], 7, AT(0), 10);
    npi_exchange *other = build_ask(&b, t, NPI_M_OTHER);
    build_send(other, AT(NOW_MS - 30));
    other->failed = true;
    EXPECT_EQUAL("Where the way for II is open there can be no more.", npi_control_advance(&b.f, t, false).next,
                 NPI_CONTROL_FINISH);
    EXPECT_EQUAL("So nothing is known.", t->finding.reason, NPI_REASON_LOSS);
    t = set(&b, &(control_scene){ALL_SAME, .iii_answered = true, .ii = NPI_CHANGE_HONOURED});
    build_send_copies(&t->filtering.x[NPI_F_II], 7, AT(0), 10);
    other = build_ask(&b, t, NPI_M_OTHER);
    EXPECT_EQUAL("It is not opened while there may be more.", npi_control_advance(&b.f, t, false).next,
                 NPI_CONTROL_EXTEND);
    EXPECT("What would open it is not asked.", !other->queued);
}

static npi_trial *set_far(build *b, unsigned late_ms)
{
    npi_trial *t = set(b, &(control_scene){.known = 40,
                                           .bp = SAME,
                                           .bq = SAME,
                                           .aq = SAME,
                                           .iii_answered = true,
                                           .ii = NPI_CHANGE_HONOURED,
                                           .test_ii_copies = 20});
    build_send(&t->filtering.x[NPI_F_I], AT(1)); /* it is lost */
    t->control.x[NPI_M_BP].t.answered_ns += late_ms * NPI_MS;
    t->control.x[NPI_M_BQ].t.answered_ns += late_ms * NPI_MS;
    return t;
}

static void a_silence_from_far_may_be_a_burst(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = set_far(&b, 0);
    EXPECT_EQUAL("B is as near as A.", npi_control_advance(&b.f, t, false).next, NPI_CONTROL_FINISH);
    EXPECT_EQUAL("So the silence stands.", t->finding.filtering, BY_ADDRESS);
    t = set_far(&b, 30);
    const npi_exchange *near = &t->control.x[NPI_M_NEAR];
    for (int i = 0; i < 3; i++) {
        EXPECT_EQUAL("B may be far: this is asked.", npi_control_advance(&b.f, t, false).next, NPI_CONTROL_WAIT);
        EXPECT("At B:Q.", npi_addr_equal(&near[i].to, &t->control.x[NPI_M_BQ].to));
        EXPECT("One more copy.", near[i].queued && near[i].max_copies == 1);
        npi_control_step step = npi_control_advance(&b.f, t, false);
        EXPECT_EQUAL("It is waited for.", step.next, NPI_CONTROL_WAIT);
        build_send(&t->control.x[NPI_M_NEAR + i], b.f.now_ns);
        step = npi_control_advance(&b.f, t, false);
        EXPECT("For a time.", step.next == NPI_CONTROL_WAIT && step.wake_ns > b.f.now_ns && step.wake_ns != NPI_NEVER);
        build_now(&b, step.wake_ns);
    }
    EXPECT_EQUAL("Three are lost.", npi_control_advance(&b.f, t, false).next, NPI_CONTROL_FINISH);
    EXPECT_EQUAL("So the silence shows nothing.", t->finding.filtering, UNKNOWN);
    EXPECT_EQUAL("For loss may explain it.", t->finding.reason, NPI_REASON_LOSS);
    t = set_far(&b, 30);
    t->control.x[NPI_M_BQ].t.sent = NPI_ALTERNATE_COPIES;
    while (npi_control_advance(&b.f, t, false).next == NPI_CONTROL_WAIT)
        EXPECT("No copy is left.", !near[0].queued && !near[1].queued && !near[2].queued);
    EXPECT_EQUAL("It is not known how near B is.", t->finding.reason, NPI_REASON_LOSS);
}

static void an_answer_behind_a_silence_overrules_what_was_decided(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = set(&b, &(control_scene){ALL_SAME, .iii = NPI_CHANGE_HONOURED});
    t->filtering.contradicted = true;
    npi_control_advance(&b.f, t, false);
    EXPECT_EQUAL("II or III was answered after all.", t->finding.reason, NPI_REASON_CONTRADICTION);
    EXPECT_EQUAL("So nothing is known.", t->finding.filtering, UNKNOWN);
    EXPECT_EQUAL("And it is told.", b.f.evidence & NP_EVIDENCE_CONTRADICTION, NP_EVIDENCE_CONTRADICTION);
    t = set(&b, &(control_scene){ALL_SAME});
    build_decided(t, BY_PORT, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
    t->filtering.contradicted = true;
    npi_control_advance(&b.f, t, false);
    EXPECT_EQUAL("Even if the control had passed before.", t->finding.reason, NPI_REASON_CONTRADICTION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_outcomes_by_controls),
        cmocka_unit_test(each_state_of_a_control_decides_or_waits),
        cmocka_unit_test(one_answer_to_a_control_is_enough_only_soon_after_the_tests),
        cmocka_unit_test(more_copies_of_a_control_leave_once_its_server_must_have_answered),
        cmocka_unit_test(a_ration_is_judged_as_soon_as_its_last_copies_have_aged),
        cmocka_unit_test(a_control_goes_to_a_p_and_asks_for_the_other_address),
        cmocka_unit_test(a_control_that_leaves_at_once_waits_only_for_its_pinholes_copies),
        cmocka_unit_test(copies_before_a_pinhole_asked_twice_do_not_count),
        cmocka_unit_test(a_silence_is_weighed_again_when_the_next_copy_counts_as_lost),
        cmocka_unit_test(each_wait_ends_at_its_moment),
        cmocka_unit_test(a_minimal_set_waits_for_a_pinhole_that_is_yet_to_be_asked),
        cmocka_unit_test(the_first_answer_that_says_something_counts),
        cmocka_unit_test(the_mapping_requests_are_those_that_the_verdict_needs),
        cmocka_unit_test(the_filtering_socket_asks_b_p_where_ports_may_be_drawn),
        cmocka_unit_test(where_the_rate_is_spent_b_q_stands_for_b_p),
        cmocka_unit_test(where_the_mapping_seems_to_depend_a_q_takes_the_place_of_a_p_again),
        cmocka_unit_test(a_copy_leaves_its_room_to_others),
        cmocka_unit_test(a_p_again_waits_for_no_room_where_it_is_all_that_is_missing),
        cmocka_unit_test(another_server_stands_for_b_p_where_the_rate_is_spent),
        cmocka_unit_test(the_control_of_a_minimal_set_leaves_at_once_where_that_delays_nothing),
        cmocka_unit_test(a_p_is_asked_again_behind_b_p),
        cmocka_unit_test(without_b_q_the_others_tell_whether_its_control_can_pass),
        cmocka_unit_test(the_mapping_requests_go_to_the_other_addresses),
        cmocka_unit_test(all_servers_together_send_eight_copies_to_an_address_that_they_name),
        cmocka_unit_test(a_control_leaves_at_once_where_its_way_is_safe),
        cmocka_unit_test(a_recheck_that_has_begun_is_not_begun_again),
        cmocka_unit_test(a_useless_trial_is_deferred_while_others_can_help),
        cmocka_unit_test(nothing_is_asked_before_a_p_has_seen_the_source_socket),
        cmocka_unit_test(a_minimal_set_is_completed_when_that_is_due),
        cmocka_unit_test(completing_a_set_does_not_begin_a_recheck_again),
        cmocka_unit_test(the_mapping_is_over_when_no_request_may_still_be_answered),
        cmocka_unit_test(the_phase_ends_when_mapping_and_control_are_over),
        cmocka_unit_test(more_copies_are_needed_once_when_the_silence_has_become_doubtful),
        cmocka_unit_test(a_silence_from_far_may_be_a_burst),
        cmocka_unit_test(an_answer_behind_a_silence_overrules_what_was_decided),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
