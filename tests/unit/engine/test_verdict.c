/* SPDX-License-Identifier: MIT */
/* verdict: every way in which an experiment ends, the moment of each, and what it waits for instead. */
#include "engine/verdict.h"

#include "build.h"

#define RTT_MS 20 /* a copy of 24 ms counts as lost */

/* ---- Scenes ----------------------------------------------------------------------------------------------------- */

/* What has been seen of the source socket. */
typedef enum sight {
    NOTHING,
    ONCE,            /* from one server: not enough for a mapping */
    EQUAL,           /* from two, at one moment: endpoint-independent */
    UNEQUAL,         /* from two, at one moment: endpoint-dependent */
    LOCAL,           /* from one, as it is: no NAT */
    APART,           /* from two, unequal, but at different moments: nothing is confirmed */
    EQUAL_AND_APART, /* from four: two equal at one moment, and two later, which see two others */
    OUTVOTED,        /* from three: two equal at one moment, and a third later, which is unequal */
} sight;

typedef struct scene {
    sight seen;
    int32_t filtering; /* found, with a trial that is over; unknown: none is */
    unsigned silent;   /* servers asked and silent */
    unsigned failed;   /* servers that failed */
    bool unsent;       /* nothing has left this host; else one datagram, at T0 */
    bool answer;       /* some request was answered */
    bool unusable;
    bool unsteady; /* a server that alone saw changes was left out */
    bool more;     /* servers are to come */
    bool is_mapping_only;
    int32_t send_error;
    uint32_t evidence;
    uint32_t rechecks;
    unsigned deadline_ms; /* 0: none */
    uint64_t now_ns;
} scene;

/* External ports: the local one, and another. */
#define KEPT 40000
#define APART_PORT 2

static void add_sight(build *b, uint16_t port, unsigned at_ms)
{
    npi_addr external = port == 0 ? build_local() : build_external(port);
    npi_server *s = build_answering_server(b, RTT_MS);
    s->alternate_state = NPI_ALTERNATE_NONE;
    build_sees(s, &external, AT(at_ms), AT(at_ms + RTT_MS));
}

static void add_sights(build *b, sight seen)
{
    if (seen == LOCAL)
        add_sight(b, 0, 0);
    else if (seen != NOTHING)
        add_sight(b, KEPT, 0);
    if (seen == EQUAL || seen == EQUAL_AND_APART || seen == OUTVOTED)
        add_sight(b, KEPT, 0);
    if (seen == UNEQUAL)
        add_sight(b, APART_PORT, 0);
    if (seen == APART || seen == EQUAL_AND_APART || seen == OUTVOTED)
        add_sight(b, APART_PORT, 50);
    if (seen == EQUAL_AND_APART)
        add_sight(b, 3, 50);
}

static void set(build *b, const scene *s)
{
    build_init(b);
    add_sights(b, s->seen);
    for (unsigned i = 0; i < s->silent; i++)
        build_asked_server(b);
    for (unsigned i = 0; i < s->failed; i++)
        build_asked_server(b)->failed = true;
    if (s->filtering != NP_BEHAVIOUR_UNKNOWN)
        build_decided(build_trial(b, &b->servers[0]), s->filtering, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    b->f.config.tests = s->is_mapping_only ? NP_TESTS_MAPPING : NP_TESTS_DEFAULT;
    b->f.config.deadline_ns = s->deadline_ms > 0 ? AT(s->deadline_ms) : NPI_NEVER;
    b->f.traffic.sent = s->unsent ? 0 : 1;
    b->f.traffic.first_sent_ns = s->unsent ? NPI_NEVER : T0;
    b->f.traffic.send_error = s->send_error;
    b->f.traffic.send_os_error = s->send_error != NP_OK ? 101 : 0;
    b->f.any_answer |= s->answer;
    b->f.any_unusable = s->unusable;
    b->f.left_out_unsteady = s->unsteady;
    b->f.more_servers = s->more;
    b->f.evidence = s->evidence;
    b->f.rechecks = s->rechecks;
    b->f.now_ns = s->now_ns > 0 ? s->now_ns : AT(200);
}

/* ---- How it ends ------------------------------------------------------------------------------------------------ */

#define OPEN NP_BEHAVIOUR_ENDPOINT_INDEPENDENT
#define SOME_KIND NP_BEHAVIOUR_ENDPOINT_DEPENDENT
#define BY_PORT NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT
#define NO_ROUTE NP_ERR_NETWORK_UNREACHABLE

/* exhausted: nothing more is to be expected of any server. Then what is known has to do. */
#define NOT_EXHAUSTED false
#define EXHAUSTED true
#define OVER(says, error, exhausted, ...)                                                                              \
    {                                                                                                                  \
        says, {__VA_ARGS__}, exhausted, NPI_VERDICT_OVER, error, NPI_NEVER                                             \
    }
#define GO_ON(says, wake_ns, exhausted, ...)                                                                           \
    {                                                                                                                  \
        says, {__VA_ARGS__}, exhausted, NPI_VERDICT_GO_ON, NP_OK, wake_ns                                              \
    }
#define RECONFIRM(says, exhausted, ...)                                                                                \
    {                                                                                                                  \
        says, {__VA_ARGS__}, exhausted, NPI_VERDICT_RECONFIRM, NP_OK, AT(200)                                          \
    }

static const struct {
    const char *says;
    scene scene;
    bool exhausted;
    npi_verdict_next next;
    int32_t error;
    uint64_t wake_ns; /* unless it is over */
} endings[] = {
    /* Complete. */
    OVER("Mapping and filtering are known: it is over, whatever else may come.", NP_OK, NOT_EXHAUSTED, .seen = EQUAL,
         .filtering = OPEN),
    OVER("The filtering that silence proved is as good.", NP_OK, NOT_EXHAUSTED, .seen = EQUAL, .filtering = BY_PORT),
    OVER("No NAT: one server's word is enough.", NP_OK, NOT_EXHAUSTED, .seen = LOCAL, .filtering = OPEN),
    OVER("Where the mapping alone is asked for, it is enough.", NP_OK, NOT_EXHAUSTED, .seen = UNEQUAL,
         .is_mapping_only = true),
    RECONFIRM("Else two that differ are asked again: either may say something else each time.", NOT_EXHAUSTED,
              .seen = UNEQUAL, .filtering = OPEN),
    GO_ON("Without the filtering it goes on.", NPI_NEVER, NOT_EXHAUSTED, .seen = EQUAL),
    GO_ON("Of the filtering the kind is missing: it goes on.", NPI_NEVER, NOT_EXHAUSTED, .seen = EQUAL,
          .filtering = SOME_KIND),
    GO_ON("Without a second view of the mapping it goes on.", NPI_NEVER, NOT_EXHAUSTED, .seen = ONCE,
          .filtering = OPEN),

    /* Exhausted: what is known has to do. */
    OVER("No filtering can be had: a cone.", NP_OK, EXHAUSTED, .seen = EQUAL),
    OVER("No kind of filtering can be had: a cone as well.", NP_OK, EXHAUSTED, .seen = EQUAL, .filtering = SOME_KIND),
    OVER("One view of the source socket makes no mapping.", NP_ERR_INCONCLUSIVE, EXHAUSTED, .seen = ONCE),
    OVER("One view is something, even if others were of no use.", NP_ERR_INCONCLUSIVE, EXHAUSTED, .seen = ONCE,
         .unusable = true),
    OVER("One view and a filtering make no type either.", NP_ERR_INCONCLUSIVE, EXHAUSTED, .seen = ONCE,
         .filtering = OPEN),
    OVER("No name was resolved to any server.", NP_ERR_RESOLVE, EXHAUSTED, .unsent = true),
    OVER("All servers were refused by the system: its error is the reason.", NO_ROUTE, EXHAUSTED, .failed = 2,
         .unsent = true, .send_error = NO_ROUTE),
    OVER("The system refused some datagrams, but a server was asked: it is the silence that counts.",
         NP_ERR_NO_RESPONSE, EXHAUSTED, .failed = 1, .silent = 1, .send_error = NO_ROUTE),
    OVER("The system refused, yet something was answered: sending is possible.", NP_ERR_INCONCLUSIVE, EXHAUSTED,
         .failed = 1, .answer = true, .send_error = NO_ROUTE),
    OVER("The servers failed, though the system refused nothing.", NP_ERR_NO_RESPONSE, EXHAUSTED, .failed = 2),
    OVER("A plain request was answered before a restart.", NP_ERR_INCONCLUSIVE, EXHAUSTED, .silent = 1, .answer = true,
         .unusable = true, .evidence = NP_EVIDENCE_ANSWERED),
    OVER("Only a CHANGE-REQUEST was answered.", NP_ERR_INCONCLUSIVE, EXHAUSTED, .silent = 1, .answer = true),
    OVER("All answers were of no use.", NP_ERR_BAD_RESPONSE, EXHAUSTED, .failed = 1, .answer = true, .unusable = true),
    OVER("Something came that was no answer.", NP_ERR_BAD_RESPONSE, EXHAUSTED, .failed = 1, .unusable = true),

    /* Silence everywhere: three seconds after the first datagram. */
    GO_ON("Just before three seconds of silence it waits for them.", AT(3000), NOT_EXHAUSTED, .silent = 1,
          .now_ns = AT(3000) - 1),
    OVER("Three seconds of silence: blocked.", NP_ERR_NO_RESPONSE, NOT_EXHAUSTED, .silent = 1, .now_ns = AT(3000)),
    OVER("Three seconds without an answer, but with something else.", NP_ERR_BAD_RESPONSE, NOT_EXHAUSTED, .silent = 1,
         .unusable = true, .now_ns = AT(3000)),
    GO_ON("Nothing has left this host: silence means nothing.", NPI_NEVER, NOT_EXHAUSTED, .silent = 1, .unsent = true,
          .now_ns = AT(9000)),
    GO_ON("Something was answered: no silence.", NPI_NEVER, NOT_EXHAUSTED, .silent = 1, .answer = true,
          .now_ns = AT(9000)),
    GO_ON("Two silent servers, and more to come: they may be down, so it waits for the others.", AT(9999),
          NOT_EXHAUSTED, .silent = 2, .more = true, .deadline_ms = 9999, .now_ns = AT(3000)),
    OVER("Three silent servers are enough, even if more are to come.", NP_ERR_NO_RESPONSE, NOT_EXHAUSTED, .silent = 3,
         .more = true, .deadline_ms = 9999, .now_ns = AT(3000)),
    OVER("Two silent servers, and the deadline is over too.", NP_ERR_NO_RESPONSE, NOT_EXHAUSTED, .silent = 2,
         .more = true, .deadline_ms = 4000, .now_ns = AT(4000)),

    /* The deadline. */
    GO_ON("Just before the deadline it goes on; the driver wakes for the deadline.", NPI_NEVER, NOT_EXHAUSTED,
          .seen = EQUAL, .deadline_ms = 200, .now_ns = AT(200) - 1),
    OVER("At the deadline the type that is known is the verdict.", NP_OK, NOT_EXHAUSTED, .seen = EQUAL,
         .deadline_ms = 200),
    OVER("At the deadline there is no type.", NP_ERR_TIMEOUT, NOT_EXHAUSTED, .seen = ONCE, .deadline_ms = 200),
    OVER("Just before the deadline it is the lack of servers that ends it.", NP_ERR_INCONCLUSIVE, EXHAUSTED,
         .seen = ONCE, .deadline_ms = 200, .now_ns = AT(200) - 1),
    OVER("The deadline comes before three seconds of silence: nobody answered all the same.", NP_ERR_NO_RESPONSE,
         NOT_EXHAUSTED, .silent = 1, .deadline_ms = 200),
    OVER("The same where more servers are to come.", NP_ERR_NO_RESPONSE, NOT_EXHAUSTED, .silent = 1, .more = true,
         .deadline_ms = 200),
    OVER("The same at the very end of both.", NP_ERR_NO_RESPONSE, NOT_EXHAUSTED, .silent = 1, .deadline_ms = 3000,
         .now_ns = AT(3000)),
    OVER("Until the deadline something was answered, which is no silence.", NP_ERR_TIMEOUT, NOT_EXHAUSTED, .silent = 1,
         .answer = true, .deadline_ms = 200),
    OVER("Nor is it where what came was of no use.", NP_ERR_TIMEOUT, NOT_EXHAUSTED, .silent = 1, .unusable = true,
         .deadline_ms = 200),
    OVER("No name was resolved until the deadline: nobody was asked.", NP_ERR_TIMEOUT, NOT_EXHAUSTED, .unsent = true,
         .more = true, .deadline_ms = 200),
    OVER("At the deadline a mapping that later views deny is no verdict.", NP_ERR_TIMEOUT, NOT_EXHAUSTED,
         .seen = EQUAL_AND_APART, .deadline_ms = 200),
    OVER("One server saw the address change, and no other has seen it.", NP_ERR_ADDRESS_CHANGED, EXHAUSTED, .failed = 1,
         .answer = true, .unsteady = true),
    OVER("One server saw the address change, and another has seen it once.", NP_ERR_INCONCLUSIVE, EXHAUSTED,
         .seen = ONCE, .unsteady = true),
    OVER("A lone dissenter denies nothing.", NP_OK, NOT_EXHAUSTED, .seen = OUTVOTED, .deadline_ms = 200),
    OVER("The system has refused all until the deadline.", NO_ROUTE, NOT_EXHAUSTED, .silent = 1, .unsent = true,
         .send_error = NO_ROUTE, .deadline_ms = 200),
    OVER("The system has refused some until the deadline: the others were not answered.", NP_ERR_NO_RESPONSE,
         NOT_EXHAUSTED, .silent = 1, .send_error = NO_ROUTE, .deadline_ms = 200),
    OVER("Nothing has left, but nothing was refused either.", NP_ERR_TIMEOUT, NOT_EXHAUSTED, .silent = 1,
         .unsent = true, .deadline_ms = 200),

    /* Views that cannot be compared. */
    RECONFIRM("What was seen at different moments is asked again before it becomes a verdict.", NOT_EXHAUSTED,
              .seen = APART, .filtering = OPEN),
    RECONFIRM("The same when no more is to be expected of any server.", EXHAUSTED, .seen = APART),
    RECONFIRM("The same where two agree and others do not.", NOT_EXHAUSTED, .seen = EQUAL_AND_APART, .filtering = OPEN),
    GO_ON("While more is missing nothing is asked again.", NPI_NEVER, NOT_EXHAUSTED, .seen = APART),
    RECONFIRM("After two rounds a third is worth it.", EXHAUSTED, .seen = APART, .rechecks = 2),
    OVER("After three rounds what is confirmed has to do: nothing is.", NP_ERR_INCONCLUSIVE, EXHAUSTED, .seen = APART,
         .rechecks = 3),
    OVER("After three rounds what is confirmed has to do: two agree.", NP_OK, NOT_EXHAUSTED, .seen = EQUAL_AND_APART,
         .filtering = OPEN, .rechecks = 3),
    {"After three rounds nothing is confirmed, but another server may come.",
     {.seen = APART, .filtering = OPEN, .rechecks = 3},
     false,
     NPI_VERDICT_GO_ON,
     NP_OK,
     NPI_NEVER},
};

static void each_ending_has_its_reason_and_its_moment(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(endings); i++) {
        static build b;
        set(&b, &endings[i].scene);
        npi_verdict v = npi_verdict_decide(&b.f, endings[i].exhausted);
        EXPECT_EQUAL(endings[i].says, v.next, endings[i].next);
        EXPECT_EQUAL(endings[i].says, v.error, endings[i].error);
        EXPECT_EQUAL(endings[i].says, v.os_error, endings[i].error == NO_ROUTE ? 101 : 0);
        if (v.next != NPI_VERDICT_OVER)
            EXPECT_TIME(endings[i].says, v.wake_ns, endings[i].wake_ns);
    }
}

static void the_silence_is_counted_from_the_first_datagram_and_with_the_time_given(void **state)
{
    (void)state;
    static build b;
    set(&b, &(scene){.silent = 1});
    b.f.traffic.first_sent_ns = AT(150);
    b.f.config.response_timeout_ns = 500 * NPI_MS;
    EXPECT_TIME("150 and 500", npi_verdict_decide(&b.f, false).wake_ns, AT(650));
}

static void a_recheck_under_way_is_waited_for_until_it_counts_as_lost(void **state)
{
    (void)state;
    static build b;
    set(&b, &(scene){.seen = APART, .filtering = OPEN, .rechecks = 1});
    npi_exchange *again = &b.servers[0].x[NPI_RECHECK];
    again->max_copies = 1;
    build_send(again, AT(190));
    npi_verdict v = npi_verdict_decide(&b.f, false);
    EXPECT_EQUAL("Its answer may confirm the mapping.", v.next, NPI_VERDICT_GO_ON);
    EXPECT_TIME("A round trip and 4 ms after its last copy it is lost.", v.wake_ns, AT(190 + RTT_MS + 4));
    b.f.config.deadline_ns = AT(200);
    EXPECT_EQUAL("The deadline does not wait for it.", npi_verdict_decide(&b.f, false).error, NP_ERR_TIMEOUT);
}

/* ---- When the mapping is settled -------------------------------------------------------------------------------- */

typedef enum answered { UNASKED, OPEN_YET, LOST, SAME, OTHER, OTHERS } answered; /* OTHERS: another than OTHER */

/* The mapping phase of one server, all whose requests left at T0 and count as lost at 24 ms; now it is 22 ms. */
static const struct {
    const char *says;
    npi_mapping_stage stage;
    answered bp, bq, aq;
    uint64_t complete_ns;
} settled[] = {
    {"Nothing has been heard but A:P: no answer can be told from none.", NPI_MAPPING_ALL, OPEN_YET, OPEN_YET, OPEN_YET,
     AT(24)},
    {"B:P and A:Q agree with A:P: B:Q cannot differ.", NPI_MAPPING_ALL, SAME, OPEN_YET, SAME, NPI_NOW},
    {"B:P agrees, A:Q is open: it may yet differ.", NPI_MAPPING_ALL, SAME, SAME, OPEN_YET, AT(24)},
    {"A:Q and B:Q agree, B:P is open: it may yet differ.", NPI_MAPPING_ALL, OPEN_YET, SAME, SAME, AT(24)},
    {"Where only the least is asked, B:P's agreement is enough.", NPI_MAPPING_MINIMAL, SAME, UNASKED, OPEN_YET,
     NPI_NOW},
    {"Where only the least is asked, B:P is needed.", NPI_MAPPING_MINIMAL, OPEN_YET, SAME, UNASKED, AT(24)},
    {"B:P differs and A:Q does not: by address, whatever B:Q says.", NPI_MAPPING_ALL, OTHER, OPEN_YET, SAME, NPI_NOW},
    {"B:P and A:Q differ from A:P and each other: by address and port.", NPI_MAPPING_ALL, OTHER, OPEN_YET, OTHERS,
     NPI_NOW},
    {"B:P differs: the kind depends on the others.", NPI_MAPPING_ALL, OTHER, OPEN_YET, OPEN_YET, AT(24)},
    {"B:P differs, and a minimal set will be completed.", NPI_MAPPING_MINIMAL, OTHER, OPEN_YET, UNASKED, NPI_NEVER},
    {"All but B:P are lost: its difference is all that is known.", NPI_MAPPING_ALL, OTHER, LOST, LOST, NPI_NOW},
    {"All are lost: no mapping is known.", NPI_MAPPING_ALL, LOST, LOST, LOST, NPI_NEVER},
    {"A deferred trial asks nobody: nothing is waited for.", NPI_MAPPING_DEFERRED, UNASKED, UNASKED, UNASKED,
     NPI_NEVER},
};

static void answer_as(build *b, npi_trial *t, int index, answered how)
{
    static const uint16_t ports[] = {[SAME] = KEPT, [OTHER] = 2, [OTHERS] = 3};
    if (how == UNASKED)
        return;
    npi_exchange *x = build_ask(b, t, index);
    x->max_copies = 1;
    build_send(x, how == LOST ? AT(-4) : T0);
    if (how < SAME)
        return;
    build_answer(x, AT(RTT_MS));
    x->external = build_external(ports[how]);
    x->last_copy_ns = T0;
}

static void the_mapping_is_settled_when_no_answer_can_change_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(settled); i++) {
        static build b;
        npi_addr external = build_external(KEPT);
        build_init(&b);
        npi_server *s = build_answering_server(&b, RTT_MS);
        build_sees(s, &external, T0, AT(RTT_MS));
        npi_trial *t = build_trial(&b, s);
        build_decided(t, OPEN, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
        t->control.stage = settled[i].stage;
        answer_as(&b, t, NPI_M_BP, settled[i].bp);
        answer_as(&b, t, NPI_M_BQ, settled[i].bq);
        answer_as(&b, t, NPI_M_AQ, settled[i].aq);
        build_now(&b, AT(22));
        EXPECT_TIME(settled[i].says, npi_verdict_complete_ns(&b.f), settled[i].complete_ns);
        t->phase = NPI_PHASE_DONE;
        if (settled[i].bp == OPEN_YET && settled[i].aq == OPEN_YET)
            EXPECT_TIME("A trial that is over waits for nothing.", npi_verdict_complete_ns(&b.f), NPI_NEVER);
        build_decided(t, SOME_KIND, true, NPI_REASON_NONE, NPI_PHASE_DONE);
        EXPECT_TIME("While the filtering is missing nothing is complete.", npi_verdict_complete_ns(&b.f), NPI_NEVER);
    }
}

static void the_last_answer_is_waited_for_to_the_moment_when_it_counts_as_lost(void **state)
{
    (void)state;
    static build b;
    npi_addr external = build_external(KEPT);
    build_init(&b);
    npi_server *s = build_answering_server(&b, RTT_MS);
    build_sees(s, &external, T0, AT(RTT_MS));
    npi_trial *t = build_trial(&b, s);
    build_decided(t, OPEN, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
    t->control.stage = NPI_MAPPING_ALL;
    answer_as(&b, t, NPI_M_BP, OTHER);
    answer_as(&b, t, NPI_M_AQ, OPEN_YET);
    build_now(&b, AT(24) - 1);
    npi_verdict v = npi_verdict_decide(&b.f, false);
    EXPECT_EQUAL("A:Q may yet tell the kind.", v.next, NPI_VERDICT_GO_ON);
    EXPECT_TIME("Until it counts as lost.", v.wake_ns, AT(24));
    build_now(&b, AT(24));
    EXPECT_TIME("Then the mapping is as well known as it can be.", npi_verdict_complete_ns(&b.f), NPI_NOW);
    EXPECT_EQUAL("And that is the verdict.", npi_verdict_decide(&b.f, false).error, NP_OK);
    t->control.x[NPI_M_BP].last_copy_ns = AT(5); /* A:P has not been seen behind it, and will be asked */
    s->x[NPI_RECHECK].queued = true;
    build_now(&b, AT(24) - 1);
    v = npi_verdict_decide(&b.f, true);
    EXPECT_EQUAL("Even with all exhausted A:P's view is waited for.", v.next, NPI_VERDICT_GO_ON);
    EXPECT_TIME("But A:Q's end may come before.", v.wake_ns, AT(24));
}

static void without_a_nat_no_answer_is_waited_for(void **state)
{
    (void)state;
    static build b;
    npi_addr local = build_local();
    build_init(&b);
    npi_server *s = build_answering_server(&b, RTT_MS);
    build_sees(s, &local, T0, AT(RTT_MS));
    npi_trial *t = build_trial(&b, s);
    build_decided(t, OPEN, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
    t->control.stage = NPI_MAPPING_ALL;
    answer_as(&b, t, NPI_M_BP, OPEN_YET);
    build_now(&b, AT(22));
    EXPECT_TIME("A:P sees the local address", npi_verdict_complete_ns(&b.f), NPI_NOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_ending_has_its_reason_and_its_moment),
        cmocka_unit_test(the_silence_is_counted_from_the_first_datagram_and_with_the_time_given),
        cmocka_unit_test(a_recheck_under_way_is_waited_for_until_it_counts_as_lost),
        cmocka_unit_test(the_mapping_is_settled_when_no_answer_can_change_it),
        cmocka_unit_test(the_last_answer_is_waited_for_to_the_moment_when_it_counts_as_lost),
        cmocka_unit_test(without_a_nat_no_answer_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
