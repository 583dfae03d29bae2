/* SPDX-License-Identifier: MIT */
/* A call of the system's that failed: which one, why, and what the user can do about it. */
#include "failure.h"

#include <errno.h>
#include <stdbool.h>
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

static bool is_of(const npi_failure *f, const char *call)
{
    return strncmp(f->call, call, strlen(call)) == 0;
}

static const char *advice_for_refusal(const npi_failure *f)
{
    if (is_of(f, NPI_CHOOSE_INTERFACE))
        return " (it needs CAP_NET_RAW before Linux 5.7)";
    if (is_of(f, "sendto"))
        return " (a local firewall or route forbids it)";
    return NULL;
}

/* What the same errno means of one call and not of another; NULL: nothing else. */
static const char *advice_for_call(const npi_failure *f)
{
    if (f->os_error == EACCES && strcmp(f->call, "bind") == 0)
        return " (ports below 1024 need privileges)";
    if (f->os_error == EADDRINUSE && strcmp(f->call, NPI_BIND_ANY) == 0)
        return " (all ports are taken)";
    if (f->os_error == EINVAL && is_of(f, "bind"))
        return " (a link-local address needs its interface: fe80::1%eth0)";
    if (f->os_error == EAGAIN && is_of(f, "getrandom"))
        return " (the system has just started)";
    if (f->os_error == EAGAIN && is_of(f, "pthread"))
        return " (raise the limit of processes, ulimit -u)";
    return f->os_error == EPERM || f->os_error == EACCES ? advice_for_refusal(f) : NULL;
}

static const char *advice_for(const npi_failure *f)
{
    const char *advice = advice_for_call(f);
    if (advice != NULL)
        return advice;
    switch (f->os_error) {
    case EACCES:
    case EPERM:
    case ENOSYS:
        return " (a sandbox or a policy may forbid it)";
    case EMFILE:
        return " (raise the limit of open files, ulimit -n)";
    case EADDRINUSE:
        return " (choose another port, or 0 for any)";
    case EADDRNOTAVAIL:
        return " (choose an address of this host)";
    case ENODEV:
        return " (choose an interface of this host)";
    case ENETUNREACH:
    case EHOSTUNREACH:
        return " (is this host online?)";
    default:
        return "";
    }
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
