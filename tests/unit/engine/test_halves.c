/* SPDX-License-Identifier: MIT */
/* halves: whether a silence is proven in the first half of its copies and in the second. */
#include "engine/halves.h"

#include "engine/silence.h"

#include "build.h"

#define RTT 20
#define LATE 5000 /* ms: every copy is old by then */

/* One copy at most of each kind in each round; rounds leave 30 ms apart. */
#define ROUNDS 16
#define GAP 30

/*
 * What leaves in each round. i: an I that is answered, -: one that is lost. II and the second transaction of II beside
 * them: s: a copy of the first, d: one of each.
 */
typedef struct history {
    const char *plain;
    const char *silent;
} history;

static void replay(npi_trial *t, const history *h)
{
    npi_filtering *p = &t->filtering;
    p->x[NPI_F_SECOND].change = p->x[NPI_F_II].change;
    for (unsigned i = 0; h->plain[i] != '\0'; i++) {
        if (h->plain[i] != ' ')
            build_send(&p->x[NPI_F_I], AT(GAP * i));
        if (h->silent[i] != ' ')
            build_send(&p->x[NPI_F_II], AT(GAP * i));
        if (h->silent[i] == 'd')
            build_send(&p->x[NPI_F_SECOND], AT(GAP * i));
    }
    npi_rtt usual = {0};
    build_rtt(&usual, RTT);
    for (unsigned i = 0; h->plain[i] != '\0'; i++) {
        if (h->plain[i] == 'i')
            npi_transaction_answered(&p->x[NPI_F_I].t, AT(GAP * i + RTT), &usual, false);
    }
}

static npi_trial *trial_of(build *b, const history *h)
{
    build_init(b);
    npi_trial *t = build_trial(b, build_answering_server(b, RTT));
    t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
    replay(t, h);
    build_now(b, AT(LATE));
    return t;
}

static void loss_has_to_explain_neither_half(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        history of;
        bool repeats;
        bool holds;
    } rows[] = {
        {"Losses spread over the whole time.", {"ii-ii-ii-ii-ii-i", "ssssssssssssssss"}, false, true},
        {"A burst takes all of the second half.", {"iiiiiiiiii------", "    ssssssssssss"}, false, false},
        {"It takes all of the first half.", {"------iiiiiiiiii", "ssssssssssss    "}, false, false},
        {"One answer of four is not enough for six copies.", {"iiiiii  i---    ", "ssssss  ssssss  "}, false, false},
        {"Three of four are.", {"iiiiii  iii-    ", "ssssss  ssssss  "}, false, true},
        {"Nothing plain left with the second half.", {"ii-ii-ii        ", "   sss    s s s "}, false, false},
        {"Without losses nothing more is asked.", {"iiiii           ", "   sss    s s s "}, false, true},
        {"Copies of both transactions count: three are too few.",
         {"i-i i i i iii ii", "      s s s s s "},
         false,
         false},
        {"Twice as many are not.", {"i-i i i i iii ii", "      d d d d d "}, false, true},
        {"The second transaction moves the middle.", {"iiiii-iiiii-----", "      ddddss s s"}, false, false},
        {"Three of four are not if the server repeats its answers.",
         {"iiiiii  iii-    ", "ssssss  ssssss  "},
         true,
         false},
        {"Eight copies and one loss are enough there.", {"ii-iiiiiiiiiiiii", "ssssssssssssssss"}, true, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = trial_of(&b, &rows[i].of);
        b.servers[0].repeats = rows[i].repeats;
        EXPECT_EQUAL(rows[i].sentence, npi_halves_hold(&b.f, t), rows[i].holds);
    }
}

/* Each answer comes several times: as many as copies left, though nothing came to two of four moments. */
static void a_server_that_repeats_does_not_hide_lost_moments(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        bool repeats;
        const char *moments;   /* in which I was answered, or not */
        unsigned deviation_ms; /* of the round trip */
        unsigned pause_ms;     /* after which they come once more; 0: they do not */
        bool holds;
    } rows[] = {
        {"Nothing came to two of five moments.", true, "i-i-i", 0, 0, false},
        {"Nothing came to one: its answer may be late.", true, "ii-ii", 0, 0, true},
        {"Other servers hide nothing.", false, "i-i-i", 0, 0, true},
        {"Without jitter, answers after a pause are those to another moment.", true, "i-i-i", 0, 60, true},
        {"Jitter draws the answers to one moment out.", true, "i-i-i", 30, 60, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        npi_server *server = build_answering_server(&b, RTT);
        npi_trial *t = build_trial(&b, server);
        npi_filtering *p = &t->filtering;
        t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
        server->repeats = rows[i].repeats;
        server->rtt.deviation_ns = rows[i].deviation_ms * NPI_MS;
        for (unsigned m = 0; m < 5; m++) { /* the first two left before the server was asked anew */
            npi_exchange *plain = m < 2 ? &p->late : &p->x[NPI_F_I];
            if (m == 0)
                *plain = p->x[NPI_F_I];
            for (unsigned copy = 0; copy < 8; copy++) {
                build_send(plain, AT(200 * m + copy));
                build_send(&p->x[NPI_F_II], AT(200 * m + copy));
            }
            unsigned answers = rows[i].moments[m] != 'i' ? 0 : rows[i].pause_ms > 0 ? 16 : 8;
            for (unsigned n = 0; n < answers; n++) {
                unsigned at_ms = 200 * m + RTT + n % 8 + n / 8 * rows[i].pause_ms;
                npi_transaction_answered(&plain->t, AT(at_ms), &server->rtt, server->repeats);
            }
        }
        build_now(&b, AT(LATE));
        EXPECT_EQUAL(rows[i].sentence, npi_halves_hold(&b.f, t), rows[i].holds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_has_to_explain_neither_half),
        cmocka_unit_test(a_server_that_repeats_does_not_hide_lost_moments),
    };
    return cmocka_run_group_tests_name("halves", tests, NULL, NULL);
}
