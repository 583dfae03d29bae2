/* SPDX-License-Identifier: MIT */
#include <natprobe/natprobe.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    printf("libnatprobe %s\n", np_version());
    return strcmp(np_version(), NP_VERSION) == 0 ? 0 : 1;
}
