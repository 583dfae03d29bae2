/* SPDX-License-Identifier: MIT */
/* A call of the system's that failed, on Windows: which one, why, and what the user can do about it. */
#include "failure.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <winsock2.h>

typedef struct meaning {
    int windows;      /* of GetLastError or WSAGetLastError; 0: none, the library's own */
    int os_error;     /* as errno has it */
    const char *text; /* Windows' own texts are in the user's language and in any encoding */
} meaning;

static const meaning meanings[] = {
    {WSAEACCES, EACCES, "Permission denied"},
    {WSAEADDRINUSE, EADDRINUSE, "Address already in use"},
    {WSAEADDRNOTAVAIL, EADDRNOTAVAIL, "Address not available"},
    {WSAEAFNOSUPPORT, EAFNOSUPPORT, "Address family not supported"},
    {WSAECONNREFUSED, ECONNREFUSED, "Connection refused"},
    {WSAECONNRESET, ECONNRESET, "Port unreachable"},
    {WSAEFAULT, EFAULT, "Bad address"},
    {WSAEHOSTDOWN, EHOSTUNREACH, "Host unreachable"},
    {WSAEHOSTUNREACH, EHOSTUNREACH, "Host unreachable"},
    {WSAEINTR, EINTR, "Interrupted"},
    {WSAEINVAL, EINVAL, "Invalid argument"},
    {WSAEMFILE, EMFILE, "Too many open sockets"},
    {WSAEMSGSIZE, EMSGSIZE, "Message too long"},
    {WSAENETDOWN, ENETDOWN, "Network is down"},
    {WSAENETRESET, ENETRESET, "Time to live expired on the way"},
    {WSAENETUNREACH, ENETUNREACH, "Network unreachable"},
    {WSAENOBUFS, ENOBUFS, "No buffer space"},
    {WSAENOPROTOOPT, ENOPROTOOPT, "Option not supported"},
    {WSAENOTSOCK, ENOTSOCK, "Not a socket"},
    {WSAEOPNOTSUPP, EOPNOTSUPP, "Operation not supported"},
    {WSAEPROTONOSUPPORT, EPROTONOSUPPORT, "Protocol not supported"},
    {WSAEWOULDBLOCK, EWOULDBLOCK, "Would block"},
    {ERROR_ACCESS_DENIED, EACCES, "Permission denied"},
    {ERROR_INVALID_HANDLE, EBADF, "Invalid handle"},
    {ERROR_INVALID_PARAMETER, EINVAL, "Invalid argument"},
    {ERROR_MAX_THRDS_REACHED, EAGAIN, "No more threads"},
    {ERROR_NOT_ENOUGH_MEMORY, ENOMEM, "Not enough memory"},
    {ERROR_NO_SYSTEM_RESOURCES, ENOMEM, "Not enough memory"},
    {ERROR_OUTOFMEMORY, ENOMEM, "Not enough memory"},
    {ERROR_TOO_MANY_OPEN_FILES, EMFILE, "Too many open handles"},
    {0, ENODEV, "No such interface"},
    {0, EIO, "Input or output error"},
};

#define MEANINGS (sizeof meanings / sizeof meanings[0])
#define ERRNO_MAX 999 /* errno has nothing above */

int npi_errno_from_windows(unsigned long code)
{
    for (size_t i = 0; i < MEANINGS; i++) {
        if (meanings[i].windows != 0 && (unsigned long)meanings[i].windows == code)
            return meanings[i].os_error;
    }
    return code > ERRNO_MAX && code <= INT_MAX ? (int)code : EIO;
}

int npi_take_windows_error(void)
{
    errno = npi_errno_from_windows(GetLastError());
    return errno;
}

npi_failure npi_failure_of(const char *call)
{
    return (npi_failure){.call = call, .os_error = errno};
}

static const char *text_of(int os_error)
{
    for (size_t i = 0; i < MEANINGS; i++) {
        if (meanings[i].os_error == os_error)
            return meanings[i].text;
    }
    return NULL;
}

/* What the same error means of one call and not of another; NULL: nothing else. */
static const char *advice_for_call(const npi_failure *f)
{
    if (f->os_error == EACCES && strncmp(f->call, "bind", strlen("bind")) == 0)
        return " (another program has the port for itself, or Windows reserves it: netsh int ipv4 show "
               "excludedportrange udp)";
    if (f->os_error == EACCES && strcmp(f->call, "sendto") == 0)
        return " (a local firewall forbids it)";
    if (f->os_error == EADDRINUSE && strcmp(f->call, NPI_BIND_ANY) == 0)
        return " (all ports are taken)";
    return NULL;
}

static const char *advice_for(const npi_failure *f)
{
    const char *advice = advice_for_call(f);
    if (advice != NULL)
        return advice;
    switch (f->os_error) {
    case EACCES:
        return " (a sandbox or a policy may forbid it)";
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
    const char *text = text_of(f->os_error);
    if (f->call == NULL)
        out[0] = '\0';
    else if (f->os_error == 0)
        (void)snprintf(out, size, "%s", f->call);
    else if (text != NULL)
        (void)snprintf(out, size, "%s: %s%s", f->call, text, advice_for(f));
    else
        (void)snprintf(out, size, "%s: Windows' error %d", f->call, f->os_error);
}
