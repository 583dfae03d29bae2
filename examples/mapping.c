/* SPDX-License-Identifier: MIT */
/* With a handle: the mapping only, which decides whether hole punching can work, from servers given as arguments. */
#include <stdio.h>

#include <natprobe/natprobe.h>

int main(int argc, char **argv)
{
    np_result result;
    np_probe *probe = np_probe_new();
    int error = probe != NULL ? np_probe_set_tests(probe, NP_TESTS_MAPPING) : NP_ERR_NO_MEMORY;
    for (int i = 1; i < argc && error == NP_OK; i++)
        error = np_probe_add_server(probe, argv[i]);
    if (error == NP_OK)
        error = np_probe_run(probe, &result);
    np_probe_free(probe);
    if (error == NP_OK)
        printf("mapping %s\n", np_behaviour_name(result.mapping));
    else
        fprintf(stderr, "%s\n", np_strerror(error));
    return error == NP_OK ? 0 : 1;
}
