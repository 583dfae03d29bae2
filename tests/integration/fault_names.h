/* SPDX-License-Identifier: MIT */
/* The names of the world (fault_world.h). They are looked up in the library's threads; what is not here does not exist.
 */
#ifndef TESTS_FAULT_NAMES_H
#define TESTS_FAULT_NAMES_H

#include <netdb.h>
#include <stdbool.h>

/*
 * A name beginning with
 *     four.      leads to the world's IPv4 server
 *     six.       leads to its IPv6 server
 *     both.      leads to both
 *     hundred.   leads to the IPv4 server, and to ninety-nine addresses where nobody is
 *     flood.     leads to the IPv4 server, and to thousands of addresses where nobody is
 *     hang.      leads to the IPv4 server, and says so only after names_release()
 *     odd.       leads to addresses of families that nobody has heard of, and to the IPv4 server
 */
int names_look_up(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result);
void names_free(struct addrinfo *list);

/* From here on names hang, until they are released. */
void names_hold(void);
void names_release(void);

#endif
