/* SPDX-License-Identifier: MIT */
/* Random bytes from the kernel, on Windows. */
#include "random.h"

#include <errno.h>
#include <limits.h>
#include <windows.h>

#include <bcrypt.h>

bool npi_random_bytes(void *out, size_t size)
{
    errno = EIO;
    return size <= ULONG_MAX && BCryptGenRandom(NULL, (PUCHAR)out, (ULONG)size, BCRYPT_USE_SYSTEM_PREFERRED_RNG) >= 0;
}
