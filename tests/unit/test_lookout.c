/* SPDX-License-Identifier: MIT */
/*
 * What a host notices of its own network: with the notices of netlink, and without, by its local address alone. In a
 * network namespace of its own, whose loopback interface is the network.
 */
#include "unit.h"

#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "lookout.h"

#define TAG 5
enum { PATIENCE_MS = 20000 };

static bool is_netlink_refused;
static time_t asleep_s; /* how long the host was suspended */

int socket(int domain, int type, int protocol)
{
    static int (*real)(int, int, int);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "socket");
    errno = EACCES;
    return is_netlink_refused && domain == AF_NETLINK ? -1 : real(domain, type, protocol);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, out);
    if (clock == CLOCK_BOOTTIME)
        out->tv_sec += asleep_s;
    return failed;
}

static void set(int fd, unsigned long what, struct ifreq *request)
{
    memcpy(request->ifr_name, "lo", sizeof "lo");
    assert_int_equal(ioctl(fd, what, request), 0);
}

static void set_address(int fd, unsigned long what, uint32_t address)
{
    struct ifreq request;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(address)}};
    memset(&request, 0, sizeof request);
    memcpy(&request.ifr_addr, &name, sizeof name);
    set(fd, what, &request);
}

/* The route to 192.0.2.0/24, in which the server is, comes and goes with the address of the only interface. */
static void set_network(bool is_there)
{
    struct ifreq request;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    memset(&request, 0, sizeof request);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    set(fd, SIOCSIFFLAGS, &request);
    set_address(fd, SIOCSIFADDR, is_there ? 0xc0000201 : 0);
    if (is_there)
        set_address(fd, SIOCSIFNETMASK, 0xffffff00);
    close(fd);
}

/* Once for all cases; where it is not allowed they are skipped. */
static bool has_network_of_its_own(void)
{
    static int entered; /* -1: refused */
    if (entered == 0)
        entered = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 ? 1 : -1;
    return entered > 0;
}

static npi_poller poller;

static void begin(npi_lookout *l, const char *server)
{
    npi_failure failure;
    npi_server_name name;
    npi_vantage_socket socket_like;
    memset(&socket_like, 0, sizeof socket_like);
    socket_like.socket = NP_INVALID_SOCKET;
    socket_like.source_zone = "";
    assert_int_equal(npi_poller_open(&poller, &failure), NP_OK);
    assert_true(npi_server_parse(server, &name));
    npi_lookout_open(l, &poller, TAG, &socket_like, NP_FAMILY_ANY, &name, 1);
}

static void end(npi_lookout *l)
{
    npi_lookout_close(l);
    npi_poller_close(&poller);
}

/* What is told once something has woken us, or the time has come. */
static unsigned next(npi_lookout *l)
{
    uint32_t tags[NPI_POLLER_TAGS];
    struct pollfd ready = {.fd = poller.fd, .events = POLLIN};
    assert_true(npi_poller_set_timer(&poller, npi_clock_now(), npi_lookout_next_ns(l)));
    assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
    assert_true(npi_poller_collect(&poller, tags) >= 0);
    return npi_lookout_turn(l);
}

static void until_told(npi_lookout *l, unsigned wanted)
{
    for (int i = 0; i < 10; i++) {
        if (next(l) == wanted)
            return;
    }
    fail_msg("%s", "it was not told");
}

static void check_network(bool has_notices)
{
    npi_lookout l;
    if (!has_network_of_its_own())
        skip();
    set_network(false);
    begin(&l, "192.0.2.9");
    assert_int_equal(l.has_notices, has_notices);
    assert_int_equal(npi_lookout_way(&l), NP_ERR_NETWORK_UNREACHABLE);
    assert_int_equal(npi_lookout_turn(&l), 0);
    set_network(true);
    until_told(&l, NPI_LOOKOUT_CHANGED);
    assert_int_equal(npi_lookout_way(&l), NP_OK);
    set_network(false);
    until_told(&l, NPI_LOOKOUT_CHANGED);
    assert_int_equal(npi_lookout_way(&l), NP_ERR_NETWORK_UNREACHABLE);
    end(&l);
}

static void network_that_comes_and_goes_with_notices(void **state)
{
    (void)state;
    check_network(true);
}

static void network_that_comes_and_goes_without_notices(void **state)
{
    (void)state;
    is_netlink_refused = true;
    check_network(false);
    is_netlink_refused = false;
}

/* A server that is a name may be anywhere: whether there is a way to it is not known before it is asked. */
static void name_may_be_anywhere(void **state)
{
    npi_lookout l;
    (void)state;
    if (!has_network_of_its_own())
        skip();
    set_network(false);
    begin(&l, "stun.example.org");
    assert_int_equal(npi_lookout_way(&l), NP_OK);
    end(&l);
}

static void suspension_is_noticed(void **state)
{
    npi_lookout l;
    (void)state;
    begin(&l, "127.0.0.1");
    assert_int_equal(npi_lookout_turn(&l) & NPI_LOOKOUT_RESUMED, 0);
    asleep_s = 3600;
    assert_int_equal(npi_lookout_turn(&l) & NPI_LOOKOUT_RESUMED, NPI_LOOKOUT_RESUMED);
    assert_int_equal(npi_lookout_turn(&l) & NPI_LOOKOUT_RESUMED, 0);
    asleep_s = 0;
    end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suspension_is_noticed),
        cmocka_unit_test(network_that_comes_and_goes_with_notices),
        cmocka_unit_test(network_that_comes_and_goes_without_notices),
        cmocka_unit_test(name_may_be_anywhere),
    };
    return cmocka_run_group_tests_name("lookout", tests, NULL, NULL);
}
