/* SPDX-License-Identifier: MIT */
/* Random bytes from the kernel. */
#include "random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/random.h>
#include <sys/types.h>
#include <unistd.h>

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
