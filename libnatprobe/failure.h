/* SPDX-License-Identifier: MIT */
/* A call of the system's that failed: which one, why, and what the user can do about it. */
#ifndef NPI_FAILURE_H
#define NPI_FAILURE_H

#include <stddef.h>

typedef struct npi_failure {
    const char *call; /* a literal such as "bind"; NULL: nothing failed */
    int os_error;     /* errno; 0: the call is a whole sentence */
} npi_failure;

/* bind() to a port of the system's choosing: what a user may do about it differs. */
#define NPI_BIND_ANY "bind(port 0)"

/* The way to one interface, by the name that the system has for it. */
#if defined(__APPLE__)
#define NPI_CHOOSE_INTERFACE "setsockopt(IP_BOUND_IF)"
#elif defined(_WIN32)
#define NPI_CHOOSE_INTERFACE "setsockopt(IP_UNICAST_IF)"
#else
#define NPI_CHOOSE_INTERFACE "setsockopt(SO_BINDTODEVICE)"
#endif

#define NPI_FAILURE_NONE ((npi_failure){.call = NULL})
#define NPI_FAILURE_TEXT 160

/* The call that has just failed, with errno. */
npi_failure npi_failure_of(const char *call);
#ifdef _WIN32
/*
 * Windows has codes of its own. errno has names for most of them, which mean the same on every system, and takes their
 * place; a code without such a name stays as it is. All of these are above the values of errno.
 */
int npi_errno_from_windows(unsigned long code);
/* Sets errno from the code that the last call left (GetLastError, WSAGetLastError); returns it. */
int npi_take_windows_error(void);
#endif
/* "bind: Permission denied (ports below 1024 need privileges)"; empty when nothing failed. Cut to fit. */
void npi_failure_describe(const npi_failure *f, char *out, size_t size);

/*
 * The parts of npi_failure_describe that each system has of its own. What the error is called; it may be put into the
 * room. And what the error of this call means there and not elsewhere, NULL: nothing else.
 */
#define NPI_FAILURE_ROOM 80
const char *npi_failure_name(int os_error, char room[NPI_FAILURE_ROOM]);
const char *npi_failure_advice_here(const npi_failure *f);

#endif
