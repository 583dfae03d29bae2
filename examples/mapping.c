/* SPDX-License-Identifier: MIT */
/* With a handle: the mapping only, which decides whether hole punching can work, from servers given as arguments. */
#include <stdio.h>

#include <natprobe/natprobe.h>

int main(int argc, char **argv)
{
    np_result result;
    np_probe *probe = np_probe_new();
    np_probe_set_tests(probe, NP_TESTS_MAPPING);
    np_probe_set_timeout(probe, 3000);
    for (int i = 1; i < argc; i++) {
        if (np_probe_add_server(probe, argv[i]) != NP_OK)
            fprintf(stderr, "%s is no server\n", argv[i]);
    }
    int error = np_probe_run(probe, &result);
    np_probe_free(probe);
    printf("%s: mapping %s\n", np_strerror(error), np_behaviour_name(result.mapping));
    return error == NP_OK ? 0 : 1;
}
