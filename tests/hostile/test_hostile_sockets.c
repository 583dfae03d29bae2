/* SPDX-License-Identifier: MIT */
/*
 * The hostile inputs (catalogue.c) that a server can send, out of real sockets on loopback and against the public
 * interface. For those that it cannot, the catalogue says why.
 */
#include <stdio.h>

#include "sockets.h"

enum { NOT_OVER_SOCKETS = 2 };

static void run_case(void **state)
{
    const listed *const *of = (const listed *const *)state;
    const hostile_case *more = find_case(socket_cases, socket_case_count, (*of)->number);
    const unsigned count = check_inputs((*of)->number);
    if (more != NULL)
        more->run();
    assert_true(count > 0 || more != NULL); /* no number is without its test */
}

/* What a server can send is sent; of the rest the catalogue says why it is not, and nothing is sent by mistake. */
static void all_are_sent_or_explained(void **state)
{
    unsigned explained = 0;
    (void)state;
    assert_null(catalogue_fault(catalogue, LAST_NUMBER));
    assert_true(are_cases_listed(socket_cases, socket_case_count));
    for (unsigned i = 0; i < LAST_NUMBER; i++) {
        const bool is_tried = count_inputs(i + 1, SOCKETS) > 0 ||
                              find_case(socket_cases, socket_case_count, i + 1) != NULL;
        assert_int_equal(is_tried, catalogue[i].not_over_sockets == NULL);
        explained += !is_tried;
    }
    assert_int_equal(explained, NOT_OVER_SOCKETS);
}

/* An argument is a pattern of the cases to be run. */
int main(int argc, char **argv)
{
    static struct CMUnitTest tests[1 + LAST_NUMBER] = {cmocka_unit_test(all_are_sent_or_explained)};
    size_t count = 1;
    for (unsigned i = 0; i < LAST_NUMBER; i++) {
        if (catalogue[i].not_over_sockets != NULL)
            printf("# not over sockets: %s: %s\n", catalogue[i].name, catalogue[i].not_over_sockets);
        else
            tests[count++] = (struct CMUnitTest){
                .name = catalogue[i].name, .test_func = run_case, .initial_state = (void *)(uintptr_t)&catalogue[i]};
    }
    fflush(stdout);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests("hostile sockets", tests, count, NULL, NULL);
}
