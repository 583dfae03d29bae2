/* SPDX-License-Identifier: MIT */
/*
 * The test server as a program of its own, for tests in other languages. Options NAME=NUMBER are members of
 * stun_server_config. Prints its address, then "asked" at the first request, and lives until its standard input ends.
 */
#include "../support/stun_server.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say_asked(void *user)
{
    if (atomic_fetch_add((atomic_uint *)user, 1) == 0) {
        puts("asked");
        fflush(stdout);
    }
}

static int take_option(stun_server_config *config, const char *text)
{
    const char *equals = strchr(text, '=');
    const int value = equals != NULL ? atoi(equals + 1) : 0;
    if (equals == NULL)
        return 0;
    if (strncmp(text, "ip=", 3) == 0)
        config->ip = equals + 1;
    else if (strncmp(text, "port=", 5) == 0)
        config->port = (uint16_t)value;
    else if (strncmp(text, "single=", 7) == 0)
        config->single = value != 0;
    else if (strncmp(text, "change=", 7) == 0)
        config->change = (change_mode)value;
    else if (strncmp(text, "reply=", 6) == 0)
        config->reply = (plain_mode)value;
    else if (strncmp(text, "mapping=", 8) == 0)
        config->mapping = (pretended_mapping)value;
    else
        return 0;
    return 1;
}

int main(int argc, char **argv)
{
    atomic_uint requests = 0;
    stun_server_config config = {.on_request = say_asked, .user = &requests};
    for (int i = 1; i < argc; i++) {
        if (!take_option(&config, argv[i]))
            return 2;
    }
    stun_server *server = stun_server_start(&config);
    if (server == NULL)
        return 1;
    puts(stun_server_name(server));
    fflush(stdout);
    while (getchar() != EOF)
        continue;
    stun_server_stop(server);
    return 0;
}
