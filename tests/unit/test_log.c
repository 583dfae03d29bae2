/* SPDX-License-Identifier: MIT */
/* log: levels, cutting, and nothing in a line that could break it. */
#include "log.h"

#include <string.h>

#include "unit.h"

typedef struct sink {
    int calls;
    int32_t level;
    char line[2 * NPI_LOG_LINE];
} sink;

static void record(int32_t level, const char *message, void *user)
{
    sink *s = user;
    s->calls++;
    s->level = level;
    assert_in_range(strlen(message), 0, NPI_LOG_LINE - 1);
    strcpy(s->line, message);
}

static void off_without_a_sink(void **state)
{
    (void)state;
    npi_log log = {.sink = NULL, .level = NP_LOG_DEBUG};
    assert_false(npi_log_wants(&log, NP_LOG_ERROR));
    npi_log_write(&log, NP_LOG_ERROR, "%s", "nobody hears");
}

static void passes_lines_up_to_its_level(void **state)
{
    (void)state;
    for (int32_t set = 0; set <= NP_LOG_DEBUG; set++) {
        for (int32_t level = NP_LOG_ERROR; level <= NP_LOG_DEBUG; level++) {
            sink s = {0};
            npi_log log = {.sink = record, .user = &s, .level = set};
            npi_log_write(&log, level, "line %d", 7);
            assert_int_equal(s.calls, level <= set ? 1 : 0);
            assert_int_equal(npi_log_wants(&log, level) != 0, level <= set);
            if (level <= set) {
                assert_int_equal(s.level, level);
                assert_string_equal(s.line, "line 7");
            }
        }
    }
}

static void cuts_long_lines(void **state)
{
    (void)state;
    char longest[NPI_LOG_LINE];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    sink s = {0};
    npi_log log = {.sink = record, .user = &s, .level = NP_LOG_INFO};
    npi_log_write(&log, NP_LOG_INFO, "%s", longest);
    assert_string_equal(s.line, longest);
    npi_log_write(&log, NP_LOG_INFO, "%syz", longest);
    assert_string_equal(s.line, longest);
    assert_int_equal(s.calls, 2);
}

/* hostile input 40: what a server wrote must not reach a terminal as commands. */
static void replaces_every_control_character(void **state)
{
    (void)state;
    sink s = {0};
    npi_log log = {.sink = record, .user = &s, .level = NP_LOG_INFO};
    for (int c = 1; c < 256; c++) {
        npi_log_write(&log, NP_LOG_INFO, "a%cb", c);
        char expected[] = {'a', (char)(c < 0x20 || c == 0x7f ? '?' : c), 'b', '\0'};
        assert_string_equal(s.line, expected);
    }
}

static void control_characters_of_the_format_itself_are_replaced(void **state)
{
    (void)state;
    sink s = {0};
    npi_log log = {.sink = record, .user = &s, .level = NP_LOG_INFO};
    npi_log_write(&log, NP_LOG_INFO, "two\nlines\033[2J");
    assert_string_equal(s.line, "two?lines?[2J");
}

static void empty_line_is_delivered(void **state)
{
    (void)state;
    sink s = {.line = "old"};
    npi_log log = {.sink = record, .user = &s, .level = NP_LOG_INFO};
    npi_log_write(&log, NP_LOG_INFO, "%s", "");
    assert_int_equal(s.calls, 1);
    assert_string_equal(s.line, "");
}

#ifndef _WIN32 /* whose printf() puts something in its place */

/* A wide character that has no bytes in the locale: there is no line then, not half of one. */
static void line_that_cannot_be_written_is_not_delivered(void **state)
{
    (void)state;
    sink s = {0};
    npi_log log = {.sink = record, .user = &s, .level = NP_LOG_INFO};
    npi_log_write(&log, NP_LOG_INFO, "before %ls", L"\xd800");
    assert_int_equal(s.calls, 0);
    npi_log_write(&log, NP_LOG_INFO, "%ls", L"plain");
    assert_int_equal(s.calls, 1);
    assert_string_equal(s.line, "plain");
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_without_a_sink),
        cmocka_unit_test(passes_lines_up_to_its_level),
        cmocka_unit_test(cuts_long_lines),
        cmocka_unit_test(replaces_every_control_character),
        cmocka_unit_test(control_characters_of_the_format_itself_are_replaced),
        cmocka_unit_test(empty_line_is_delivered),
#ifndef _WIN32
        cmocka_unit_test(line_that_cannot_be_written_is_not_delivered),
#endif
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
