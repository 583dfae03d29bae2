/* SPDX-License-Identifier: MIT */
#include "cpp_server.h"

#include <string.h>

#include "../support/stun_server.h"

stun_server *cpp_server_start(int is_silent)
{
    const stun_server_config config = {.reply = is_silent ? PLAIN_SILENT : PLAIN_ANSWERED};
    return stun_server_start(&config);
}

static endpoint beside(const stun_server *server, uint16_t port)
{
    endpoint at = stun_server_endpoint(server, AT_AP);
    at.port = port;
    return at;
}

int cpp_server_bind(const stun_server *server, uint16_t *port)
{
    endpoint at = beside(server, 0);
    int fd = loopback_bind(&at);
    *port = at.port;
    return fd;
}

void cpp_server_send(const stun_server *server, int fd, uint16_t port, const char *text)
{
    const endpoint to = beside(server, port);
    loopback_send(fd, &to, text, strlen(text));
}
