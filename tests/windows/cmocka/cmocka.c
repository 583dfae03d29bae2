/* SPDX-License-Identifier: MIT */
/* The part of cmocka that the tests use. */
#include "cmocka.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

enum { PASSED = 0, FAILED = 1, SKIPPED = 2 };

static jmp_buf end_of_test;

/* Every line of what a test says is a comment of TAP. */
static void say(const char *format, va_list arguments)
{
    char text[2048];
    (void)vsnprintf(text, sizeof text, format, arguments);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        printf("# %s\n", line);
}

void print_message(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void tests_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    printf("# %s:%d:\n", file, line);
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    longjmp(end_of_test, FAILED);
}

void tests_skip(void)
{
    longjmp(end_of_test, SKIPPED);
}

void tests_assert_integers(intmax_t a, intmax_t b, int are_equal, const char *text, const char *file, int line)
{
    if ((a == b) != (are_equal != 0))
        tests_fail(file, line, "%s: %" PRIdMAX " and %" PRIdMAX, text, a, b);
}

void tests_assert_in_range(uintmax_t value, uintmax_t least, uintmax_t most, const char *text, const char *file,
                           int line)
{
    if (value < least || value > most)
        tests_fail(file, line, "%s: %" PRIuMAX " is not from %" PRIuMAX " to %" PRIuMAX, text, value, least, most);
}

void tests_assert_strings(const char *a, const char *b, int are_equal, const char *file, int line)
{
    if ((strcmp(a, b) == 0) != (are_equal != 0))
        tests_fail(file, line, "\"%s\" and \"%s\"", a, b);
}

void tests_assert_memory(const void *a, const void *b, size_t size, const char *file, int line)
{
    const unsigned char *x = a;
    const unsigned char *y = b;
    for (size_t i = 0; i < size; i++) {
        if (x[i] != y[i])
            tests_fail(file, line, "byte %u: 0x%02x and 0x%02x", (unsigned)i, x[i], y[i]);
    }
}

static int run_one(const struct CMUnitTest *test, void **state)
{
    if (test->setup_func != NULL && test->setup_func(state) != 0)
        return FAILED;
    int outcome = setjmp(end_of_test);
    if (outcome == PASSED)
        test->test_func(state);
    if (test->teardown_func != NULL && test->teardown_func(state) != 0 && outcome == PASSED)
        return FAILED;
    return outcome;
}

int tests_run_group(const char *group, const struct CMUnitTest *tests, size_t count, CMFixtureFunction setup,
                    CMFixtureFunction teardown)
{
    int failures = 0;
    void *shared = NULL;
#ifdef _WIN32
    (void)_setmode(_fileno(stdout), _O_BINARY); /* else lines end in two characters */
#endif
    printf("# %s\n1..%u\n", group, (unsigned)count);
    if (setup != NULL && setup(&shared) != 0)
        return 1;
    for (size_t i = 0; i < count; i++) {
        void *state = tests[i].initial_state != NULL ? tests[i].initial_state : shared;
        const int outcome = run_one(&tests[i], &state);
        printf("%s %u - %s%s\n", outcome == FAILED ? "not ok" : "ok", (unsigned)i + 1, tests[i].name,
               outcome == SKIPPED ? " # SKIP" : "");
        fflush(stdout);
        failures += outcome == FAILED;
    }
    if (teardown != NULL && teardown(&shared) != 0)
        failures++;
    return failures;
}
