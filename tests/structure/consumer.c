/* SPDX-License-Identifier: MIT */
/* A program of somebody else's, built against an installed copy: the calls that need no network but loopback. */
#include <natprobe/natprobe.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    np_result result;
    memset(&result, 0xA5, sizeof result);
    if (np_check_nat("not an address", 0, &result) != NP_ERR_ARGUMENT || result.error != NP_ERR_ARGUMENT)
        return 1;
    if (strcmp(np_version(), NP_VERSION) != 0 || np_result_size() != sizeof result)
        return 2;
    np_probe *probe = np_probe_new();
    if (probe == NULL || np_probe_add_server(probe, "127.0.0.1:3478") != NP_OK || np_probe_start(probe) != NP_OK)
        return 3;
    np_probe_cancel(probe);
    if (np_probe_process(probe, &result) != NP_ERR_CANCELLED)
        return 4;
    np_probe_free(probe);
    printf("libnatprobe %s\n", np_version());
    return 0;
}
