/* SPDX-License-Identifier: MIT */
/* See loopback.h. */
#include "loopback.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

enum { ATTEMPTS = 200 };

/* ---- One socket ------------------------------------------------------------------------------------------------- */

int loopback_bind(endpoint *at)
{
    socket_address name;
    socklen_t size = endpoint_to_socket(at, &name);
    const int fd = socket(name.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, &name.any, size) == 0 && getsockname(fd, &name.any, &size) == 0) {
        *at = endpoint_from_socket(&name.any);
        return fd;
    }
    close(fd);
    return -1;
}

void loopback_send(int fd, const endpoint *to, const void *bytes, size_t size)
{
    socket_address name;
    const socklen_t name_size = endpoint_to_socket(to, &name);
    while (sendto(fd, bytes, size, 0, &name.any, name_size) < 0 && errno == EINTR)
        continue;
}

ssize_t loopback_receive(int fd, endpoint *from, void *bytes, size_t room)
{
    socket_address name;
    socklen_t name_size = sizeof name;
    const ssize_t size = recvfrom(fd, bytes, room, MSG_DONTWAIT, &name.any, &name_size);
    if (size >= 0)
        *from = endpoint_from_socket(&name.any);
    return size;
}

/* ---- All of them ------------------------------------------------------------------------------------------------ */

/* 127.0.0.0/8 is this host's from end to end: an address at random is nobody else's. */
static endpoint random_loopback(uint16_t port)
{
    static atomic_uint serial;
    const uint32_t mixed = ((uint32_t)getpid() * 2654435761u) ^ ((atomic_fetch_add(&serial, 1) + 1) * 0x9e3779b1u);
    const uint32_t ip = 0x7F000000u | (mixed & 0x003FFFFEu) | 0x00010002u;
    return endpoint_v4(127, (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip, port);
}

/* Where one of them is to be, when those before it are open. */
static endpoint place_of(const loopback *l, unsigned i)
{
    if (i == AT_AQ)
        return endpoint_with_port(&l->at[AT_AP], 0);
    endpoint e = l->at[i == AT_STRANGER ? AT_AP : i - 2];
    e.ip[1] ^= i == AT_STRANGER ? 0x40 : 0x80;
    e.ip[3] ^= i == AT_STRANGER ? 0 : 1;
    return e;
}

/* The system may hand out a port of a service of ill repute, to which the library rightly refuses to send. */
static bool is_good_port(uint16_t port)
{
    return port >= 10000 && !endpoint_is_service_port(port);
}

static bool open_all(loopback *l, const endpoint *first)
{
    for (unsigned i = 0; i < l->count; i++) {
        l->at[i] = i == AT_AP ? *first : place_of(l, i);
        const bool is_any_port = l->at[i].port == 0;
        l->fd[i] = loopback_bind(&l->at[i]);
        if (l->fd[i] < 0 || (is_any_port && l->count > 1 && !is_good_port(l->at[i].port)))
            return false;
    }
    return true;
}

bool loopback_open(loopback *l, unsigned count, endpoint first)
{
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        const endpoint any = random_loopback(first.port);
        *l = (loopback){.count = count, .fd = {-1, -1, -1, -1, -1}};
        if (open_all(l, first.family != 0 ? &first : &any))
            return true;
        loopback_close(l);
    }
    return false;
}

void loopback_close(loopback *l)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (l->fd[i] >= 0)
            close(l->fd[i]);
        l->fd[i] = -1;
    }
}
