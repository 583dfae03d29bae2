/* SPDX-License-Identifier: MIT */
/* gateway on Linux: what the kernel is asked, and what becomes of whatever it answers. Loopback for real. */
#include "gateway.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "unit.h"

/* ---- Stand-ins for the kernel ----------------------------------------------------------------------------------- */

#define REAL(pointer, name)                                                                                            \
    do {                                                                                                               \
        void *symbol = dlsym(RTLD_NEXT, name);                                                                         \
        memcpy(&(pointer), &symbol, sizeof(pointer));                                                                  \
    } while (0)

static struct {
    int socket_error, send_error, receive_error; /* 0: none */
    int interruptions;
    bool answers; /* with these bytes, in place of the kernel */
    uint8_t answer[512];
    size_t answer_size;
    uint32_t answer_from; /* 0: the kernel */
    bool is_cut;
    uint8_t asked[512];
    size_t asked_size;
    uint32_t mark, tos, unicast_interface;
    const char *device;
    bool is_foreign; /* the socket is of another namespace */
    int opened, closed;
} kernel;

int socket(int domain, int type, int protocol)
{
    static int (*real)(int, int, int);
    if (real == NULL)
        REAL(real, "socket");
    if (domain == AF_NETLINK && kernel.socket_error != 0) {
        errno = kernel.socket_error;
        return -1;
    }
    kernel.opened += domain == AF_NETLINK;
    return real(domain, type, protocol);
}

int close(int fd)
{
    static int (*real)(int);
    int domain = 0;
    socklen_t length = sizeof domain;
    if (real == NULL)
        REAL(real, "close");
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0)
        kernel.closed += domain == AF_NETLINK;
    return real(fd);
}

static int give(void *value, socklen_t *length, const void *what, size_t size)
{
    memcpy(value, what, size);
    *length = (socklen_t)size;
    return 0;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    static int (*real)(int, int, int, void *, socklen_t *);
    if (real == NULL)
        REAL(real, "getsockopt");
    if (level == SOL_SOCKET && name == SO_MARK)
        return give(value, length, &kernel.mark, sizeof kernel.mark);
    if (level == IPPROTO_IP && name == IP_TOS)
        return give(value, length, &kernel.tos, sizeof kernel.tos);
    if (level == IPPROTO_IP && name == IP_UNICAST_IF)
        return give(value, length, &kernel.unicast_interface, sizeof kernel.unicast_interface);
    if (level == SOL_SOCKET && name == SO_BINDTODEVICE && kernel.device != NULL)
        return give(value, length, kernel.device, strlen(kernel.device) + 1);
#ifdef SO_NETNS_COOKIE
    if (level == SOL_SOCKET && name == SO_NETNS_COOKIE) {
        const uint64_t cookie = kernel.is_foreign ? (uint64_t)fd : 1;
        return give(value, length, &cookie, sizeof cookie);
    }
#endif
    return real(fd, level, name, value, length);
}

/* glibc declares the addresses as transparent unions: the same to the machine, but not to -Wpedantic. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
    static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    if (real == NULL)
        REAL(real, "sendto");
    assert_true(size <= sizeof kernel.asked);
    assert_true((flags & MSG_DONTWAIT) != 0);
    memcpy(kernel.asked, data, size);
    kernel.asked_size = size;
    if (kernel.send_error != 0) {
        errno = kernel.send_error;
        return -1;
    }
    return kernel.answers ? (ssize_t)size : real(fd, data, size, flags, to, length);
}

#pragma GCC diagnostic pop

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    static ssize_t (*real)(int, struct msghdr *, int);
    if (real == NULL)
        REAL(real, "recvmsg");
    assert_true((flags & MSG_DONTWAIT) != 0);
    if (kernel.interruptions > 0) {
        kernel.interruptions--;
        errno = EINTR;
        return -1;
    }
    if (kernel.receive_error != 0) {
        errno = kernel.receive_error;
        return -1;
    }
    if (!kernel.answers)
        return real(fd, message, flags);
    const struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_pid = kernel.answer_from};
    memcpy(message->msg_name, &name, sizeof name);
    message->msg_namelen = sizeof name;
    message->msg_flags = kernel.is_cut ? MSG_TRUNC : 0;
    assert_true(kernel.answer_size <= message->msg_iov[0].iov_len);
    memcpy(message->msg_iov[0].iov_base, kernel.answer, kernel.answer_size);
    return (ssize_t)kernel.answer_size;
}

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

static void begin_answer(uint16_t type, uint32_t sequence, unsigned char family, unsigned char route_type)
{
    const struct nlmsghdr header = {.nlmsg_type = type, .nlmsg_seq = sequence};
    const struct rtmsg route = {.rtm_family = family, .rtm_dst_len = 32, .rtm_type = route_type};
    memset(kernel.answer, 0, sizeof kernel.answer);
    memcpy(kernel.answer, &header, sizeof header);
    memcpy(kernel.answer + sizeof header, &route, sizeof route);
    kernel.answer_size = sizeof header + sizeof route;
    kernel.answers = true;
}

static void add_attribute(uint16_t type, const void *value, size_t size)
{
    const struct rtattr attribute = {.rta_len = (uint16_t)(sizeof attribute + size), .rta_type = type};
    memcpy(kernel.answer + kernel.answer_size, &attribute, sizeof attribute);
    memcpy(kernel.answer + kernel.answer_size + sizeof attribute, value, size);
    kernel.answer_size += (sizeof attribute + size + 3) / 4 * 4;
}

static void end_answer(void)
{
    const uint32_t size = (uint32_t)kernel.answer_size;
    memcpy(kernel.answer, &size, sizeof size);
}

static const uint8_t router[] = {192, 168, 1, 1};
static const uint32_t table = 254;

static void answer_with_router(void)
{
    begin_answer(RTM_NEWROUTE, 1, AF_INET, RTN_UNICAST);
    add_attribute(RTA_TABLE, &table, sizeof table);
    add_attribute(RTA_GATEWAY, router, sizeof router);
    add_attribute(RTA_OIF, &table, sizeof table);
    end_answer();
}

/* ---- Questions -------------------------------------------------------------------------------------------------- */

static int udp = -1;

static int begin(void **state)
{
    (void)state;
    memset(&kernel, 0, sizeof kernel);
    udp = socket(AF_INET, SOCK_DGRAM, 0);
    return udp < 0;
}

/* Whatever came of it, no descriptor is left. */
static int end(void **state)
{
    (void)state;
    (void)close(udp);
    return kernel.opened != kernel.closed;
}

static npi_gateway_way way_between(const char *from, const char *to)
{
    npi_gateway_way way = {.fd = udp};
    assert_true(npi_addr_parse_ip(from, &way.from));
    assert_true(npi_addr_parse_ip(to, &way.to));
    way.from.port = 54320;
    way.to.port = 3478;
    return way;
}

/* The gateway's text, or "none". */
static const char *found(const npi_gateway_way *way)
{
    static char text[NPI_ADDR_IP_TEXT];
    npi_addr gateway = {.family = NPI_FAMILY_NONE};
    if (!npi_find_gateway(way, &gateway))
        return "none";
    npi_addr_format_ip(&gateway, text);
    assert_int_equal(gateway.port, 0);
    return text;
}

/* An attribute of the question, of exactly this size; NULL: it has none. */
static const uint8_t *asked(uint16_t type, size_t size)
{
    struct nlmsghdr header;
    memcpy(&header, kernel.asked, sizeof header);
    assert_int_equal(header.nlmsg_len, kernel.asked_size);
    for (size_t at = sizeof header + sizeof(struct rtmsg); at < kernel.asked_size;) {
        struct rtattr attribute;
        memcpy(&attribute, kernel.asked + at, sizeof attribute);
        assert_true(attribute.rta_len >= sizeof attribute && at + attribute.rta_len <= kernel.asked_size);
        if (attribute.rta_type == type) {
            assert_int_equal(attribute.rta_len, sizeof attribute + size);
            return kernel.asked + at + sizeof attribute;
        }
        at += (attribute.rta_len + 3u) / 4 * 4;
    }
    return NULL;
}

static void expect_asked(uint16_t type, const void *value, size_t size)
{
    const uint8_t *got = asked(type, size);
    assert_non_null(got);
    assert_memory_equal(got, value, size);
}

static struct rtmsg asked_route(void)
{
    struct rtmsg route;
    memcpy(&route, kernel.asked + sizeof(struct nlmsghdr), sizeof route);
    return route;
}

/* ---- Tests ------------------------------------------------------------------------------------------------------ */

enum { MARK = 16, PROTOCOL = 27, SOURCE_PORT = 28, PORT = 29 }; /* of linux/rtnetlink.h since Linux 4.19 */

static void the_kernel_is_asked_for_the_very_datagram(void **state)
{
    (void)state;
    static const uint8_t to[] = {203, 0, 113, 7}, from[] = {192, 168, 1, 9};
    static const uint8_t protocol = IPPROTO_UDP, source_port[] = {0xd4, 0x30}, port[] = {0x0d, 0x96};
    const npi_gateway_way way = way_between("192.168.1.9", "203.0.113.7");
    struct nlmsghdr header;
    kernel.mark = 0x1234;
    kernel.tos = 0x11; /* the last bit is one of ECN */
    answer_with_router();
    assert_string_equal(found(&way), "192.168.1.1");
    memcpy(&header, kernel.asked, sizeof header);
    assert_int_equal(header.nlmsg_type, RTM_GETROUTE);
    assert_int_equal(header.nlmsg_flags, NLM_F_REQUEST);
    assert_int_equal(asked_route().rtm_family, AF_INET);
    assert_int_equal(asked_route().rtm_dst_len, 32);
    assert_int_equal(asked_route().rtm_src_len, 32);
    assert_int_equal(asked_route().rtm_tos, 0x10);
    expect_asked(RTA_DST, to, sizeof to);
    expect_asked(RTA_SRC, from, sizeof from);
    expect_asked(MARK, &kernel.mark, sizeof kernel.mark);
    expect_asked(PROTOCOL, &protocol, sizeof protocol);
    expect_asked(SOURCE_PORT, source_port, sizeof source_port);
    expect_asked(PORT, port, sizeof port);
    assert_null(asked(RTA_OIF, 4));
}

/* A socket that is bound to no address has none yet when its route is chosen. */
static void what_the_socket_does_not_have_is_not_asked_for(void **state)
{
    (void)state;
    const npi_gateway_way way = way_between("0.0.0.0", "203.0.113.7");
    answer_with_router();
    assert_string_equal(found(&way), "192.168.1.1");
    assert_null(asked(RTA_SRC, 4));
    assert_int_equal(asked_route().rtm_src_len, 0);
    assert_null(asked(MARK, 4));
    assert_null(asked(RTA_OIF, 4));
}

static void an_interface_that_the_socket_is_tied_to_counts(void **state)
{
    (void)state;
    const npi_gateway_way way = way_between("0.0.0.0", "203.0.113.7");
    const uint32_t loopback = if_nametoindex("lo"), seven = 7;
    answer_with_router();
    kernel.unicast_interface = htonl(7);
    assert_string_equal(found(&way), "192.168.1.1");
    expect_asked(RTA_OIF, &seven, sizeof seven);
    kernel.device = "lo";
    assert_string_equal(found(&way), "192.168.1.1");
    expect_asked(RTA_OIF, &loopback, sizeof loopback);
}

static void loopback_has_no_gateway(void **state)
{
    (void)state;
    const npi_gateway_way way = way_between("127.0.0.1", "127.0.0.1");
    assert_string_equal(found(&way), "none");
    assert_true(kernel.asked_size > 0);
}

static void ipv6_is_not_asked_for(void **state)
{
    (void)state;
    npi_gateway_way way = way_between("::", "2001:db8::7");
    assert_string_equal(found(&way), "none");
    way = way_between("::", "203.0.113.7");
    assert_string_equal(found(&way), "none");
    assert_int_equal(kernel.opened, 0);
}

/* SELinux on Android, seccomp, a full table of files: unknown, and no error. */
static void a_system_that_forbids_it_tells_none(void **state)
{
    (void)state;
    const npi_gateway_way way = way_between("0.0.0.0", "203.0.113.7");
    static const int errors[] = {EPERM, EACCES, EAFNOSUPPORT, EMFILE, ENOBUFS};
    answer_with_router();
    for (size_t i = 0; i < COUNT(errors); i++) {
        kernel.socket_error = errors[i];
        assert_string_equal(found(&way), "none");
        kernel.socket_error = 0;
        kernel.send_error = errors[i];
        assert_string_equal(found(&way), "none");
        kernel.send_error = 0;
        kernel.receive_error = errors[i];
        assert_string_equal(found(&way), "none");
        kernel.receive_error = 0;
    }
    kernel.receive_error = EAGAIN; /* nothing has come: nothing is waited for */
    assert_string_equal(found(&way), "none");
    kernel.receive_error = 0;
    kernel.interruptions = 3;
    assert_string_equal(found(&way), "192.168.1.1");
}

/* Its routes are others than this process's. */
static void a_socket_of_another_namespace_tells_none(void **state)
{
    (void)state;
#ifdef SO_NETNS_COOKIE
    const npi_gateway_way way = way_between("0.0.0.0", "203.0.113.7");
    answer_with_router();
    assert_string_equal(found(&way), "192.168.1.1");
    kernel.is_foreign = true;
    assert_string_equal(found(&way), "none");
#else
    assert_false(kernel.is_foreign);
#endif
}

static void what_is_no_route_by_a_router_tells_none(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        uint16_t type;
        uint32_t sequence;
        uint8_t family, route_type;
        uint16_t attribute, size;
    } rows[] = {
        {"an error", NLMSG_ERROR, 1, AF_INET, RTN_UNICAST, RTA_GATEWAY, 4},
        {"an answer to another question", RTM_NEWROUTE, 2, AF_INET, RTN_UNICAST, RTA_GATEWAY, 4},
        {"a route of IPv6", RTM_NEWROUTE, 1, AF_INET6, RTN_UNICAST, RTA_GATEWAY, 4},
        {"an address of this host", RTM_NEWROUTE, 1, AF_INET, RTN_LOCAL, RTA_GATEWAY, 4},
        {"a group", RTM_NEWROUTE, 1, AF_INET, RTN_MULTICAST, RTA_GATEWAY, 4},
        {"no router: on the link", RTM_NEWROUTE, 1, AF_INET, RTN_UNICAST, RTA_OIF, 4},
        {"a router with an address of IPv6", RTM_NEWROUTE, 1, AF_INET, RTN_UNICAST, RTA_VIA, 18},
        {"a router's address of another size", RTM_NEWROUTE, 1, AF_INET, RTN_UNICAST, RTA_GATEWAY, 16},
    };
    static const uint8_t value[32] = {192, 168, 1, 1};
    const npi_gateway_way way = way_between("0.0.0.0", "203.0.113.7");
    for (size_t i = 0; i < COUNT(rows); i++) {
        begin_answer(rows[i].type, rows[i].sequence, rows[i].family, rows[i].route_type);
        add_attribute(rows[i].attribute, value, rows[i].size);
        end_answer();
        if (strcmp(found(&way), "none") != 0)
            fail_msg("%s", rows[i].sentence);
    }
    answer_with_router();
    kernel.answer_from = 4711; /* another process may send to a netlink socket, too */
    assert_string_equal(found(&way), "none");
    kernel.answer_from = 0;
    kernel.is_cut = true;
    assert_string_equal(found(&way), "none");
}

static void answers_may_be_cut_or_broken(void **state)
{
    (void)state;
    const npi_gateway_way way = way_between("0.0.0.0", "203.0.113.7");
    answer_with_router();
    const size_t whole = kernel.answer_size;
    for (kernel.answer_size = 0; kernel.answer_size < whole; kernel.answer_size++)
        assert_string_equal(found(&way), "none"); /* it says itself how long it is */
    for (size_t size = sizeof(struct nlmsghdr); size <= whole; size++) {
        answer_with_router();
        kernel.answer_size = size;
        end_answer();
        (void)found(&way);
    }
    for (size_t bit = 0; bit < whole * 8; bit++) {
        answer_with_router();
        kernel.answer[bit / 8] ^= (uint8_t)(1u << bit % 8);
        (void)found(&way);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_kernel_is_asked_for_the_very_datagram, begin, end),
        cmocka_unit_test_setup_teardown(what_the_socket_does_not_have_is_not_asked_for, begin, end),
        cmocka_unit_test_setup_teardown(an_interface_that_the_socket_is_tied_to_counts, begin, end),
        cmocka_unit_test_setup_teardown(loopback_has_no_gateway, begin, end),
        cmocka_unit_test_setup_teardown(ipv6_is_not_asked_for, begin, end),
        cmocka_unit_test_setup_teardown(a_system_that_forbids_it_tells_none, begin, end),
        cmocka_unit_test_setup_teardown(a_socket_of_another_namespace_tells_none, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_route_by_a_router_tells_none, begin, end),
        cmocka_unit_test_setup_teardown(answers_may_be_cut_or_broken, begin, end),
    };
    return cmocka_run_group_tests_name("gateway", tests, NULL, NULL);
}
