/* SPDX-License-Identifier: MIT */
/* See fault_names.h. */
#include "fault_names.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault_calls.h"
#include "fault_world.h"

enum { NOBODY = 99, FLOOD = 20000 };

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool held;
} it = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

void names_hold(void)
{
    pthread_mutex_lock(&it.mutex);
    it.held = true;
    pthread_mutex_unlock(&it.mutex);
}

void names_release(void)
{
    pthread_mutex_lock(&it.mutex);
    it.held = false;
    pthread_cond_broadcast(&it.changed);
    pthread_mutex_unlock(&it.mutex);
}

static void hang(void)
{
    pthread_mutex_lock(&it.mutex);
    fault_thread_hangs(true);
    while (it.held)
        pthread_cond_wait(&it.changed, &it.mutex);
    fault_thread_hangs(false);
    pthread_mutex_unlock(&it.mutex);
}

static char garbage[] = "\xFF\xC0..\x01%s%n-";

typedef struct entry {
    struct addrinfo info;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
} entry;

/* Puts an address before the others of a list. False when there is no memory. */
static bool put(struct addrinfo **list, const struct sockaddr *address, socklen_t size)
{
    entry *n = calloc(1, sizeof *n);
    if (n == NULL)
        return false;
    memcpy(&n->address, address, size);
    n->info.ai_family = address->sa_family;
    n->info.ai_socktype = SOCK_DGRAM;
    n->info.ai_addr = &n->address.any;
    n->info.ai_addrlen = size;
    n->info.ai_next = *list;
    n->info.ai_canonname = garbage; /* nobody asked for it */
    *list = &n->info;
    return true;
}

static bool put_server(struct addrinfo **list, bool ipv6)
{
    const struct sockaddr *address = world_server(ipv6);
    return put(list, address, ipv6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
}

/* Before those that are put after: the last comes first. */
static bool put_nobody(struct addrinfo **list, unsigned count)
{
    bool is_done = true;
    for (unsigned i = 0; i < count && is_done; i++) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7FFFFE00U + i)};
        is_done = put(list, (const struct sockaddr *)&in, sizeof in);
    }
    return is_done;
}

static bool put_odd(struct addrinfo **list)
{
    const struct sockaddr strange = {.sa_family = AF_UNIX}, none = {.sa_family = AF_UNSPEC};
    return put(list, &strange, sizeof strange) && put(list, &none, sizeof none);
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool fill(const char *name, struct addrinfo **list)
{
    bool is_done = true;
    if (begins(name, "hundred."))
        is_done = put_nobody(list, NOBODY);
    if (begins(name, "flood."))
        is_done = put_nobody(list, FLOOD);
    if (begins(name, "six.") || begins(name, "both."))
        is_done = is_done && put_server(list, true);
    if (begins(name, "four.") || begins(name, "both.") || begins(name, "hang.") || begins(name, "hundred.") ||
        begins(name, "flood.") || begins(name, "odd."))
        is_done = is_done && put_server(list, false);
    if (begins(name, "odd."))
        is_done = is_done && put_odd(list);
    return is_done;
}

/* As the system does, only those of the family asked for; what it does with others is its own affair. */
static void keep_family(struct addrinfo **list, int family)
{
    while (*list != NULL) {
        struct addrinfo *one = *list;
        const bool is_server = one->ai_family == AF_INET || one->ai_family == AF_INET6;
        if (!is_server || family == AF_UNSPEC || one->ai_family == family) {
            list = &one->ai_next;
            continue;
        }
        *list = one->ai_next;
        free(one);
    }
}

int names_look_up(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    *result = NULL;
    if (node == NULL || service != NULL)
        return EAI_NONAME;
    if (begins(node, "hang."))
        hang();
    if (!fill(node, result)) {
        names_free(*result);
        *result = NULL;
        return EAI_MEMORY;
    }
    keep_family(result, hints != NULL ? hints->ai_family : AF_UNSPEC);
    return *result != NULL ? 0 : EAI_NONAME;
}

void names_free(struct addrinfo *list)
{
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}
