/* SPDX-License-Identifier: MIT */
/*
 * With a handle: the mapping only, which decides whether hole punching can work. The servers are given as arguments;
 * without any they are the built-in public ones.
 */
#include <stdio.h>

#include <natprobe/natprobe.h>

static int fail(const char *what, int error)
{
    fprintf(stderr, "%s: %s\n", what, np_strerror(error));
    return 1;
}

/* A server that is none ends the program: without it others would be asked than those that were meant. */
static int check(np_probe *probe, char **servers)
{
    np_result result;
    int error = np_probe_set_tests(probe, NP_TESTS_MAPPING);
    if (error != NP_OK)
        return fail("tests", error);
    for (; *servers != NULL; servers++) {
        error = np_probe_add_server(probe, *servers);
        if (error != NP_OK)
            return fail(*servers, error);
    }
    error = np_probe_run(probe, &result);
    if (error != NP_OK)
        return fail(result.detail, error);
    printf("mapping %s\n", np_behaviour_name(result.mapping));
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    np_probe *probe = np_probe_new();
    int status = probe != NULL ? check(probe, argv + 1) : fail("probe", NP_ERR_NO_MEMORY);
    np_probe_free(probe);
    return status;
}
