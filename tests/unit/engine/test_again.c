/* SPDX-License-Identifier: MIT */
/* again: when a copy of an answered request stands for a new transaction, and which answer is its own. */
#include "engine/again.h"

#include "build.h"

#define RTT 40
#define COPY_MS 200 /* the copy leaves then */

/* A server whose request at AT(0) was answered. */
static npi_server *answered(build *b)
{
    build_init(b);
    npi_server *s = build_answering_server(b, RTT);
    npi_addr external = build_external(1);
    build_sees(s, &external, AT(0), AT(RTT));
    build_observe(&s->x[NPI_PRIMARY], &external, AT(0), AT(RTT));
    build_server(b);
    return s;
}

/* Its copy is under way. */
static npi_server *copied(build *b)
{
    npi_server *s = answered(b);
    npi_exchange *again = &s->x[NPI_RECHECK];
    npi_exchange_ask(again, "I again", &s->address, 0, NPI_ALTERNATE_COPIES);
    build_send(again, AT(COPY_MS));
    again->t.id = s->x[NPI_PRIMARY].t.id;
    s->was_copied = true;
    return s;
}

static void a_copy_stands_for_a_new_transaction_while_nothing_is_ambiguous(void **state)
{
    (void)state;
    static build b;
    enum { NOTHING, UNSEEN, COPIED, PATH, REPEATS, LATE, WOKE, UNTIMED, LOST, EXTRA, CLOSE };
    static const struct {
        const char *says;
        int change;
        bool may;
    } rows[] = {
        {"The only copy was answered once.", NOTHING, true},
        {"A:P has not shown the source socket.", UNSEEN, false},
        {"There was a copy before: an answer to that one may come.", COPIED, false},
        {"The path duplicates datagrams.", PATH, false},
        {"The server sends its answers several times.", REPEATS, false},
        {"It has answered late.", LATE, false},
        {"The path was silent at first.", WOKE, false},
        {"No round trip is known.", UNTIMED, false},
        {"A copy has no answer, which may come late.", LOST, false},
        {"There are more answers than copies.", EXTRA, false},
        {"Two answers came together.", CLOSE, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_server *s = answered(&b);
        npi_transaction *t = &s->x[NPI_PRIMARY].t;
        s->has_mapping = rows[i].change != UNSEEN;
        s->was_copied = rows[i].change == COPIED;
        b.f.duplicated = rows[i].change == PATH;
        s->repeats = rows[i].change == REPEATS;
        s->late_answers = rows[i].change == LATE;
        s->woke_ns = rows[i].change == WOKE ? AT(1) : 0;
        s->rtt.samples = rows[i].change == UNTIMED ? 0 : 1;
        if (rows[i].change == LOST)
            build_send(&s->x[NPI_PRIMARY], AT(100));
        t->extra_answers = rows[i].change == EXTRA;
        t->likely_duplicates = rows[i].change == CLOSE;
        EXPECT_EQUAL(rows[i].says, npi_again_may_copy(&b.f, s), rows[i].may);
    }
    npi_server *s = answered(&b);
    build_send(&s->x[NPI_PRIMARY], AT(100));
    build_answer(&s->x[NPI_PRIMARY], AT(100 + RTT));
    EXPECT("Both copies were answered.", npi_again_may_copy(&b.f, s));
    EXPECT_TIME("The next one keeps its distance from the last.", npi_again_copy_ns(s), AT(110));
    b.f.server_count = 1;
    EXPECT("With one server the rate has room.", !npi_again_may_copy(&b.f, s));
    b.f.server_count = 2;
    s->dialect = NPI_STUN_RFC3489;
    EXPECT("It was the old form that should have been answered, and was not.", !npi_again_may_copy(&b.f, s));
}

static void an_answer_is_the_copys_if_it_can_have_come_so_soon(void **state)
{
    (void)state;
    static build b;
    static const struct {
        const char *says;
        unsigned after_ms;
        bool is_its_own;
    } rows[] = {
        {"A round trip after the copy it is its answer.", RTT, true},
        {"A little sooner as well.", 35, true},
        {"So soon it is another one to an earlier copy.", 34, false},
        {"It has been on its way while the copy left.", 0, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_server *s = copied(&b);
        npi_exchange *again = &s->x[NPI_RECHECK];
        build_now(&b, AT(COPY_MS + rows[i].after_ms));
        EXPECT("The copy is one.", npi_again_is_copy(s, again));
        npi_exchange *owner = npi_again_take(&b.f, s, &s->x[NPI_PRIMARY]);
        EXPECT_EQUAL(rows[i].says, owner == again, rows[i].is_its_own);
        EXPECT_EQUAL("Without an answer of its own it waits for a new transaction.", again->queued,
                     !rows[i].is_its_own);
        EXPECT("And is no copy any more.", rows[i].is_its_own || !npi_again_is_copy(s, again));
    }
    npi_server *s = copied(&b);
    build_answer(&s->x[NPI_RECHECK], AT(COPY_MS + RTT));
    build_now(&b, AT(COPY_MS + RTT));
    EXPECT("A second answer is the copy's too.", npi_again_take(&b.f, s, &s->x[NPI_PRIMARY]) == &s->x[NPI_RECHECK]);
    EXPECT("Another request's answer stays its own.",
           npi_again_take(&b.f, s, &s->x[NPI_RFC3489]) == &s->x[NPI_RFC3489]);
    s = answered(&b);
    build_now(&b, AT(COPY_MS));
    EXPECT("Without a copy there is no question.", npi_again_take(&b.f, s, &s->x[NPI_PRIMARY]) == &s->x[NPI_PRIMARY]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_stands_for_a_new_transaction_while_nothing_is_ambiguous),
        cmocka_unit_test(an_answer_is_the_copys_if_it_can_have_come_so_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
