/* SPDX-License-Identifier: MIT */
/* The shortest useful program: one call, with the built-in public servers. */
#include <stdio.h>

#include <natprobe/natprobe.h>

int main(void)
{
    np_result result;
    int error = np_check_nat(NULL, 0, &result);
    if (error != NP_OK) {
        fprintf(stderr, "%s: %s\n", np_strerror(error), result.detail);
        return 1;
    }
    printf("%s, seen as %s port %u\n", np_nat_type_description(result.nat_type), result.external_ip,
           result.external_port);
    return 0;
}
