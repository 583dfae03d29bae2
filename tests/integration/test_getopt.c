/* SPDX-License-Identifier: MIT */
/* The program's own getopt_long(), for systems without one, against that of the C library. */
#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

/* As tests/integration/meson.build names it. */
extern char *own_optarg;
extern int own_optind;
int own_getopt_long(int argc, char *const *argv, const char *letters, const struct option *options, int *index);

enum { WORDS_MAX = 3, OTHER = 300 };
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int complaints;

/* What the program would print. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void complain(const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    assert_in_range(vsnprintf(text, sizeof text, format, args), 1, sizeof text - 1);
    va_end(args);
    complaints++;
}

static const char letters[] = "s:p:46jv";
static const struct option options[] = {
    {"server", required_argument, NULL, 's'},  {"port", required_argument, NULL, 'p'},
    {"profile", no_argument, NULL, OTHER},     {"peer", required_argument, NULL, OTHER + 1},
    {"json", no_argument, NULL, 'j'},          {"verbose", no_argument, NULL, 'v'},
    {"version", no_argument, NULL, OTHER + 2}, {NULL, 0, NULL, 0},
};

/* Each line of words is read by both. Words that are no options end the options: "+" makes GNU's do so. */
static void read_by_both(int argc, char **argv)
{
    char plain[sizeof letters + 1] = "+";
    int theirs;
    strcat(plain, letters);
    optind = 0; /* from the start */
    opterr = 0;
    own_optind = 1;
    do {
        theirs = getopt_long(argc, argv, plain, options, NULL);
        int before = complaints;
        assert_int_equal(own_getopt_long(argc, argv, letters, options, NULL), theirs);
        assert_int_equal(own_optind, optind);
        assert_int_equal(complaints - before, theirs == '?' ? 1 : 0);
        if (theirs == 's' || theirs == 'p' || theirs == OTHER + 1)
            assert_ptr_equal(own_optarg, optarg);
    } while (theirs != -1);
}

/* Every line of up to so many of these words. */
static void every_line_is_read_as_by_the_c_library(void **state)
{
    static char words[][16] = {"-j",       "-jv",       "-j4s",         "-sx",   "-s",  "-p",     "-x",     "-jxv",
                               "-:",       "-",         "--",           "x",     "",    "--json", "--j",    "--json=1",
                               "--server", "--server=", "--server=a=b", "--ser", "--p", "--pr",   "--pe=1", "--ver",
                               "--vers",   "--unknown", "--port",       "--=",   "---"};
    char name[] = "natprobe";
    char *argv[WORDS_MAX + 2] = {name};
    (void)state;
    size_t lines = 1;
    for (int count = 0; count <= WORDS_MAX; count++, lines *= COUNT(words)) {
        for (size_t line = 0; line < lines; line++) {
            size_t rest = line;
            for (int i = 1; i <= count; i++, rest /= COUNT(words))
                argv[i] = words[rest % COUNT(words)];
            argv[count + 1] = NULL;
            read_by_both(count + 1, argv);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(every_line_is_read_as_by_the_c_library)};
    return cmocka_run_group_tests_name("getopt", tests, NULL, NULL);
}
