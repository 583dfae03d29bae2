/* SPDX-License-Identifier: MIT */
/* Random bytes from the kernel. */
#include "random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

/* glibc has the call since 2.25, the kernel since 3.17. OpenBSD has getentropy() in unistd.h alone. */
#if defined(__GLIBC__) && __GLIBC__ == 2 && __GLIBC_MINOR__ < 25
#include <sys/syscall.h>
#define GRND_NONBLOCK 1u

static ssize_t getrandom(void *out, size_t size, unsigned flags)
{
#ifdef SYS_getrandom
    return (ssize_t)syscall(SYS_getrandom, out, size, flags);
#else
    (void)out, (void)size, (void)flags;
    errno = ENOSYS;
    return -1;
#endif
}
#elif !defined(__OpenBSD__)
#include <sys/random.h>
#endif

#ifdef __linux__

/* For kernels and sandboxes without the call. It never blocks. */
static ssize_t read_device(uint8_t *out, size_t size)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        errno = errno == ENOENT ? ENOSYS : errno; /* neither the call nor the device: the call is what is lacking */
        return -1;
    }
    ssize_t got = read(fd, out, size);
    int os_error = got == 0 ? EIO : errno;
    close(fd);
    errno = os_error;
    return got > 0 ? got : -1;
}

/* As many bytes as the kernel gives at once, at least one; -1 with errno. */
static ssize_t read_some(uint8_t *out, size_t size)
{
    ssize_t got = getrandom(out, size, GRND_NONBLOCK);
    return got < 0 && (errno == ENOSYS || errno == EPERM) ? read_device(out, size) : got;
}

#else

static ssize_t read_some(uint8_t *out, size_t size)
{
    size_t part = size < 256 ? size : 256; /* the most that getentropy gives in one call */
    return getentropy(out, part) == 0 ? (ssize_t)part : -1;
}

#endif

bool npi_random_bytes(void *out, size_t size)
{
    uint8_t *next = out;
    while (size > 0) {
        ssize_t got = read_some(next, size);
        if (got < 0 && errno != EINTR)
            return false;
        if (got > 0) {
            next += got;
            size -= (size_t)got;
        }
    }
    return true;
}
