/* SPDX-License-Identifier: MIT */
/* What test_cpp.cpp needs of the server on loopback: the headers of tests/support are not C++. */
#ifndef TESTS_CPP_SERVER_H
#define TESTS_CPP_SERVER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct stun_server stun_server;

/* A server that answers, or one that is silent. stun_server.h describes the others. */
stun_server *cpp_server_start(int is_silent);
/* Names lead to the server, those of the built-in list too; NULL: nowhere, as at first. No name is asked for. */
void cpp_server_has_names(const stun_server *server);
/* A server on the port of most built-in ones. */
stun_server *cpp_server_start_as_builtin(void);
const char *stun_server_name(const stun_server *server);
void stun_server_stop(stun_server *server);

/* A socket on the server's address, at some port, which is filled in. -1: there is none. */
int cpp_server_bind(const stun_server *server, uint16_t *port);
/* Sends a text to a port of the server's address. */
void cpp_server_send(const stun_server *server, int fd, uint16_t port, const char *text);

#ifdef __cplusplus
}
#endif

#endif
