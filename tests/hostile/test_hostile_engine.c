/* SPDX-License-Identifier: MIT */
/*
 * All hostile inputs (catalogue.c) through the experiment itself, driven by scripted datagrams under a virtual
 * clock, and through the transport where that is what they are about. A number's inputs are in inputs.c if they are
 * bytes alone, and in engine_cases.c otherwise.
 */
#include <string.h>

#include "engine.h"

static void run_case(void **state)
{
    const listed *const *of = (const listed *const *)state;
    const hostile_case *more = find_case(engine_cases, engine_case_count, (*of)->number);
    const unsigned count = check_inputs((*of)->number);
    if (more != NULL)
        more->run();
    assert_true(count > 0 || more != NULL); /* no number is without its test */
}

/* All numbers, none twice, each with its source and with something that is tried. */
static void catalogue_is_complete(void **state)
{
    (void)state;
    assert_null(catalogue_fault(catalogue, LAST_NUMBER));
    assert_true(are_cases_listed(engine_cases, engine_case_count));
    for (unsigned number = FIRST_NUMBER; number <= LAST_NUMBER; number++)
        assert_true(count_inputs(number, ENGINE) > 0 || find_case(engine_cases, engine_case_count, number) != NULL);
    for (size_t i = 0; i < input_count; i++)
        assert_true(inputs[i].number >= FIRST_NUMBER && inputs[i].number <= LAST_NUMBER && inputs[i].variants > 0);
}

static void expect_fault(unsigned at, listed with)
{
    listed damaged[LAST_NUMBER];
    memcpy(damaged, catalogue, sizeof damaged);
    damaged[at] = with;
    assert_non_null(catalogue_fault(damaged, LAST_NUMBER));
}

static void incomplete_catalogue_is_noticed(void **state)
{
    (void)state;
    expect_fault(40, catalogue[39]); /* twice, and the other not at all */
    expect_fault(6, (listed){7, "h07_no_source", NULL});
    expect_fault(6, (listed){7, "h07_no_source__", NULL});
    expect_fault(6, (listed){7, "h08_another_number__RFC", NULL});
    expect_fault(6, (listed){7, "h07__RFC", NULL});
    expect_fault(6, (listed){7, "h07_reason_missing__RFC", ""});
    assert_non_null(catalogue_fault(catalogue, LAST_NUMBER - 1));
}

static int tear_down(void **state)
{
    (void)state;
    forget_runs();
    return 0;
}

/* An argument is a pattern of the cases to be run. */
int main(int argc, char **argv)
{
    enum { ABOUT_CATALOGUE = 2 };
    static struct CMUnitTest tests[ABOUT_CATALOGUE + LAST_NUMBER] = {cmocka_unit_test(catalogue_is_complete),
                                                                     cmocka_unit_test(incomplete_catalogue_is_noticed)};
    for (unsigned i = 0; i < LAST_NUMBER; i++)
        tests[ABOUT_CATALOGUE + i] = (struct CMUnitTest){
            .name = catalogue[i].name, .test_func = run_case, .initial_state = (void *)(uintptr_t)&catalogue[i]};
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("hostile engine", tests, NULL, tear_down);
}
