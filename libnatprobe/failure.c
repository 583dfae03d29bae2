/* SPDX-License-Identifier: MIT */
/* A call of the system's that failed: which one, why, and what the user can do about it. */
#include "failure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

npi_failure npi_failure_of(const char *call)
{
    return (npi_failure){.call = call, .os_error = errno};
}

/* strerror_r() returns an int in POSIX and the text in GNU's C library, where the buffer may stay unused. */
static const char *text_of_int(int error, const char *buffer)
{
    return error == 0 ? buffer : "unknown error";
}

static const char *text_of_pointer(const char *text, const char *buffer)
{
    (void)buffer;
    return text;
}

#define TEXT_OF(error, buffer, size)                                                                                   \
    _Generic(strerror_r(error, buffer, size), int: text_of_int, char *: text_of_pointer)(                              \
        strerror_r(error, buffer, size), buffer)

typedef struct advice {
    const char *call; /* NULL: any */
    int os_error;
    const char *text;
} advice;

/* The first that fits. */
static const char *advice_for(const npi_failure *f)
{
    static const advice all[] = {
        {"bind", EACCES, " (ports below 1024 need privileges)"},
        {"bind", EINVAL, " (a link-local address needs its interface: fe80::1%eth0)"},
        {NPI_BIND_ANY, EINVAL, " (a link-local address needs its interface: fe80::1%eth0)"},
        {NPI_BIND_ANY, EADDRINUSE, " (all ports are taken)"},
        {"sendto", EACCES, " (a local firewall or route forbids it)"},
        {"sendto", EPERM, " (a local firewall or route forbids it)"},
        {"getrandom", EAGAIN, " (the system has just started)"},
        {"pthread_create", EAGAIN, " (raise the limit of processes, ulimit -u)"},
        {NULL, EACCES, " (a sandbox or a policy may forbid it)"},
        {NULL, EPERM, " (a sandbox or a policy may forbid it)"},
        {NULL, ENOSYS, " (a sandbox or a policy may forbid it)"},
        {NULL, EMFILE, " (raise the limit of open files, ulimit -n)"},
        {NULL, EADDRINUSE, " (choose another port, or 0 for any)"},
        {NULL, EADDRNOTAVAIL, " (choose an address of this host)"},
        {NULL, ENODEV, " (choose an interface of this host)"},
        {NULL, ENETUNREACH, " (is this host online?)"},
        {NULL, EHOSTUNREACH, " (is this host online?)"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].os_error == f->os_error && (all[i].call == NULL || strcmp(all[i].call, f->call) == 0))
            return all[i].text;
    }
    return "";
}

void npi_failure_describe(const npi_failure *f, char *out, size_t size)
{
    char room[80] = "";
    if (f->call == NULL)
        out[0] = '\0';
    else if (f->os_error == 0)
        (void)snprintf(out, size, "%s", f->call);
    else
        (void)snprintf(out, size, "%s: %s%s", f->call, TEXT_OF(f->os_error, room, sizeof room), advice_for(f));
}
