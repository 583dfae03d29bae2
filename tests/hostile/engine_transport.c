/* SPDX-License-Identifier: MIT */
/*
 * What is about the transport: empty and oversized datagrams, and a receive that fails. Real sockets on loopback;
 * recvmsg is wrapped (--wrap), so that it can fail.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "engine.h"
#include "transport.h"

static struct {
    int error; /* 0: the system's own recvmsg */
    unsigned times;
} fault;

ssize_t __real_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags);

ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags)
{
    if (fault.times == 0)
        return __real_recvmsg(fd, m, flags);
    fault.times--;
    errno = fault.error;
    return -1;
}

/* ---- Two sockets ------------------------------------------------------------------------------------------------ */

enum { RECEIVE_ROOM = 2048, MARGIN = 64, MARK = 0xa5 };

typedef struct pair {
    npi_socket from, to;
    uint8_t *memory; /* room for what is received, with marks before and behind */
    size_t room;
} pair;

static void open_pair(pair *p, size_t room)
{
    const npi_addr loopback = npi_addr_v4(127, 0, 0, 1, 0);
    npi_failure failure;
    assert_int_equal(npi_socket_open(&p->from, &loopback, &failure), NP_OK);
    assert_int_equal(npi_socket_open(&p->to, &loopback, &failure), NP_OK);
    p->room = room;
    p->memory = malloc(room + 2 * MARGIN);
    assert_non_null(p->memory);
    memset(p->memory, MARK, room + 2 * MARGIN);
}

static void close_pair(pair *p)
{
    npi_socket_close(&p->from);
    npi_socket_close(&p->to);
    free(p->memory);
}

/* Nothing was written outside of the room, nor behind what was received. */
static void check_marks(const pair *p, size_t received)
{
    for (size_t i = 0; i < MARGIN; i++)
        assert_int_equal(p->memory[i], MARK);
    for (size_t i = received; i < p->room + MARGIN; i++)
        assert_int_equal(p->memory[MARGIN + i], MARK);
}

static void transmit(pair *p, const void *bytes, size_t size)
{
    int os_error = -1;
    assert_int_equal(npi_socket_send(&p->from, &p->to.bound, bytes, size, &os_error), NPI_IO_OK);
    struct pollfd readable = {.fd = p->to.fd, .events = POLLIN};
    assert_int_equal(poll(&readable, 1, 20000), 1);
}

static npi_io receive(pair *p, npi_received *got, int *os_error)
{
    memset(got, 0xff, sizeof *got);
    *os_error = -1;
    return npi_socket_receive(&p->to, p->memory + MARGIN, p->room, got, os_error);
}

/* A datagram of that size arrives whole, or cut to the room and marked as cut. */
static void check_size(size_t size, size_t room)
{
    static uint8_t bytes[LARGEST_DATAGRAM];
    const size_t kept = size < room ? size : room;
    pair p;
    npi_received got;
    int os_error;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 256);
    open_pair(&p, room);
    transmit(&p, bytes, size);
    assert_int_equal(receive(&p, &got, &os_error), NPI_IO_OK);
    assert_int_equal(os_error, 0);
    assert_int_equal(got.size, kept);
    assert_int_equal(got.segment, kept);
    assert_int_equal(got.truncated, size > room);
    assert_true(npi_addr_equal(&got.from, &p.from.bound));
    assert_memory_equal(p.memory + MARGIN, bytes, kept);
    check_marks(&p, kept);
    assert_int_equal(receive(&p, &got, &os_error), NPI_IO_AGAIN);
    close_pair(&p);
}

/* A datagram of no bytes is one: neither the end of anything nor an error. */
void h01_empty_datagram__libnice_test_parse(void)
{
    check_size(0, RECEIVE_ROOM);
}

/* Whatever the reason, there is no length, no sender, and no byte is touched. What comes next is received as ever. */
void h02_receive_fails_and_minus_one_is_no_length__CVE_2013_6484(void)
{
    static const int errors[] = {EAGAIN, EINTR, ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EMSGSIZE, ENOBUFS,
                                 ENOMEM, EBADF, EINVAL,       EFAULT,       EIO,         EPERM,    ENOTCONN};
    for (size_t i = 0; i < COUNT(errors); i++) {
        pair p;
        npi_received got;
        int os_error;
        open_pair(&p, RECEIVE_ROOM);
        transmit(&p, "next", 4);
        fault.error = errors[i];
        fault.times = 40; /* more than are passed over in one call */
        npi_io io = receive(&p, &got, &os_error);
        if (errors[i] != EINTR) { /* that is retried until it is over */
            assert_true(io == NPI_IO_AGAIN || io == NPI_IO_ERROR);
            assert_int_equal(os_error, errors[i]);
            assert_int_equal(got.size, 0);
            assert_int_equal(got.segment, 0);
            assert_false(npi_addr_is_set(&got.from));
            check_marks(&p, 0);
            fault.times = 0;
            io = receive(&p, &got, &os_error);
        }
        assert_int_equal(io, NPI_IO_OK);
        assert_int_equal(got.size, 4);
        check_marks(&p, 4);
        close_pair(&p);
    }
}

void h13_largest_datagram_with_padding__RFC_5780_7_6_and_10(void)
{
    check_size(LARGEST_DATAGRAM, RECEIVE_ROOM);
    check_size(LARGEST_DATAGRAM, 65536);
    check_size(65504, 65536);
}

void h14_datagram_larger_than_the_buffer__MSG_TRUNC(void)
{
    static const size_t sizes[] = {RECEIVE_ROOM - 1, RECEIVE_ROOM, RECEIVE_ROOM + 1, 2 * RECEIVE_ROOM, 9000, 40000};
    for (size_t i = 0; i < COUNT(sizes); i++)
        check_size(sizes[i], RECEIVE_ROOM);
}
