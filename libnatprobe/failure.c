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

static const char *advice_for(const npi_failure *f)
{
    const char *advice = npi_failure_advice_here(f);
    if (advice != NULL)
        return advice;
    switch (f->os_error) {
    case EACCES:
    case EPERM:
    case ENOSYS:
        return " (a sandbox or a policy may forbid it)";
    case EADDRINUSE:
        return strcmp(f->call, NPI_BIND_ANY) == 0 ? " (all ports are taken)" : " (choose another port, or 0 for any)";
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
    char room[NPI_FAILURE_ROOM] = "";
    if (f->call == NULL)
        out[0] = '\0';
    else if (f->os_error == 0)
        (void)snprintf(out, size, "%s", f->call);
    else
        (void)snprintf(out, size, "%s: %s%s", f->call, npi_failure_name(f->os_error, room), advice_for(f));
}
