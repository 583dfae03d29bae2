/* SPDX-License-Identifier: MIT */
#include "cpp_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include "../support/stun_server.h"

stun_server *cpp_server_start(int is_silent)
{
    const stun_server_config config = {.reply = is_silent ? PLAIN_SILENT : PLAIN_ANSWERED};
    return stun_server_start(&config);
}

stun_server *cpp_server_start_as_builtin(void)
{
    const stun_server_config config = {.port = 3478};
    return stun_server_start(&config);
}

static const stun_server *named;

void cpp_server_has_names(const stun_server *server)
{
    named = server;
}

/* These take the place of the C library's own. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result);
void freeaddrinfo(struct addrinfo *list);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    /* Several threads look names up. */
    static _Thread_local socket_address address;
    static _Thread_local struct addrinfo one;
    *result = NULL;
    if (node == NULL || service != NULL || named == NULL || hints->ai_family == AF_INET6)
        return EAI_NONAME;
    const endpoint at = stun_server_endpoint(named, AT_AP);
    one = (struct addrinfo){.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM, .ai_addr = &address.any};
    one.ai_addrlen = endpoint_to_socket(&at, &address);
    *result = &one;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    (void)list;
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
