/* SPDX-License-Identifier: MIT */
/* What failures are called, and mean, on every system but Windows. */
#include "failure.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

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

const char *npi_failure_name(int os_error, char room[NPI_FAILURE_ROOM])
{
    return TEXT_OF(os_error, room, NPI_FAILURE_ROOM);
}

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

const char *npi_failure_advice_here(const npi_failure *f)
{
    if (f->os_error == EMFILE)
        return " (raise the limit of open files, ulimit -n)";
    if (f->os_error == EACCES && strcmp(f->call, "bind") == 0)
        return " (ports below 1024 need privileges)";
    if (f->os_error == EINVAL && is_of(f, "bind"))
        return " (a link-local address needs its interface: fe80::1%eth0)";
    if (f->os_error == EAGAIN && is_of(f, "getrandom"))
        return " (the system has just started)";
    if (f->os_error == EAGAIN && is_of(f, "pthread"))
        return " (raise the limit of processes, ulimit -u)";
    return f->os_error == EPERM || f->os_error == EACCES ? advice_for_refusal(f) : NULL;
}
