/* SPDX-License-Identifier: MIT */
/*
 * The part of cmocka's interface that the tests use, for systems for which no package has cmocka. It prints TAP. It is
 * included as cmocka's own: after <setjmp.h>, <stdarg.h>, <stddef.h> and <stdint.h>.
 */
#ifndef TESTS_WINDOWS_CMOCKA_H
#define TESTS_WINDOWS_CMOCKA_H

#include <stddef.h>
#include <stdint.h>

typedef void (*CMUnitTestFunction)(void **state);
typedef int (*CMFixtureFunction)(void **state);

struct CMUnitTest {
    const char *name;
    CMUnitTestFunction test_func;
    CMFixtureFunction setup_func;
    CMFixtureFunction teardown_func;
    void *initial_state;
};

#define cmocka_unit_test_setup_teardown(test, setup, teardown)                                                         \
    {                                                                                                                  \
#test, test, setup, teardown, NULL                                                                             \
    }
#define cmocka_unit_test_setup(test, setup) cmocka_unit_test_setup_teardown(test, setup, NULL)
#define cmocka_unit_test(test) cmocka_unit_test_setup_teardown(test, NULL, NULL)

#define cmocka_run_group_tests(tests, setup, teardown)                                                                 \
    tests_run_group(#tests, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown)                                                      \
    tests_run_group(name, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

#define _cmocka_run_group_tests tests_run_group

#if defined(__GNUC__)
#define TESTS_PRINTF(at) __attribute__((format(gnu_printf, at, at + 1)))
#else
#define TESTS_PRINTF(at)
#endif

int tests_run_group(const char *group, const struct CMUnitTest *tests, size_t count, CMFixtureFunction setup,
                    CMFixtureFunction teardown);
TESTS_PRINTF(1) void print_message(const char *format, ...);
/* These do not return unless what they say is so. */
TESTS_PRINTF(3) void tests_fail(const char *file, int line, const char *format, ...);
void tests_skip(void);
void tests_assert_integers(intmax_t a, intmax_t b, int are_equal, const char *text, const char *file, int line);
void tests_assert_in_range(uintmax_t value, uintmax_t least, uintmax_t most, const char *text, const char *file,
                           int line);
void tests_assert_strings(const char *a, const char *b, int are_equal, const char *file, int line);
void tests_assert_memory(const void *a, const void *b, size_t size, const char *file, int line);

#define print_error print_message
#define _fail(file, line) tests_fail(file, line, "failed")
#define skip() tests_skip()
#define fail() tests_fail(__FILE__, __LINE__, "failed")
#define fail_msg(...) tests_fail(__FILE__, __LINE__, __VA_ARGS__)
#define TESTS_ASSERT(condition, text)                                                                                  \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            tests_fail(__FILE__, __LINE__, "%s", text);                                                                \
    } while (0)
#define assert_true(condition) TESTS_ASSERT(condition, #condition)
#define assert_false(condition) TESTS_ASSERT(!(condition), "not: " #condition)
#define assert_null(pointer) TESTS_ASSERT((pointer) == NULL, #pointer " is not NULL")
#define assert_non_null(pointer) TESTS_ASSERT((pointer) != NULL, #pointer " is NULL")
#define assert_ptr_equal(a, b) TESTS_ASSERT((const void *)(a) == (const void *)(b), #a " is not " #b)
#define assert_int_equal(a, b) tests_assert_integers((intmax_t)(a), (intmax_t)(b), 1, #a, __FILE__, __LINE__)
#define assert_int_not_equal(a, b) tests_assert_integers((intmax_t)(a), (intmax_t)(b), 0, #a, __FILE__, __LINE__)
#define assert_in_range(value, least, most)                                                                            \
    tests_assert_in_range((uintmax_t)(value), (uintmax_t)(least), (uintmax_t)(most), #value, __FILE__, __LINE__)
#define assert_string_equal(a, b) tests_assert_strings(a, b, 1, __FILE__, __LINE__)
#define assert_string_not_equal(a, b) tests_assert_strings(a, b, 0, __FILE__, __LINE__)
#define assert_memory_equal(a, b, size) tests_assert_memory(a, b, size, __FILE__, __LINE__)

#endif
