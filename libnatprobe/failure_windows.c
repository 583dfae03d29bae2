/* SPDX-License-Identifier: MIT */
/* What failures are called, and mean, on Windows, whose codes become those of errno. */
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

const char *npi_failure_name(int os_error, char room[NPI_FAILURE_ROOM])
{
    for (size_t i = 0; i < MEANINGS; i++) {
        if (meanings[i].os_error == os_error)
            return meanings[i].text;
    }
    (void)snprintf(room, NPI_FAILURE_ROOM, "Windows' error %d", os_error);
    return room;
}

const char *npi_failure_advice_here(const npi_failure *f)
{
    if (f->os_error != EACCES)
        return NULL;
    if (strncmp(f->call, "bind", strlen("bind")) == 0)
        return " (another program has the port for itself, or Windows reserves it: netsh int ipv4 show "
               "excludedportrange udp)";
    return strcmp(f->call, "sendto") == 0 ? " (a local firewall forbids it)" : NULL;
}
