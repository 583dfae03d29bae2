/* SPDX-License-Identifier: MIT */
/* resolve: names and literals, with a getaddrinfo of our own that is slow, refuses, or answers too much. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resolve.h"
#include "unit.h"

/* ---- Stand-ins for the system ----------------------------------------------------------------------------------- */

#define CALLS_MAX 64

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool gate_open; /* "slow" names wait for it */
    size_t calls;
    char names[CALLS_MAX][32]; /* in the order of the calls */
    size_t inside;             /* calls that have not returned */
    size_t most_inside;
    size_t lists;       /* results not yet freed */
    size_t bad_hints;   /* calls that did not ask for addresses of UDP and nothing else */
    size_t bad_threads; /* calls on a thread that takes signals */
} names = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* Stands for everything that can go wrong when a thread is made. Guarded by nothing: the tests' own thread only. */
static struct {
    int error;
    int works_first; /* calls that succeed before the error comes */
    int calls;
    size_t stack_size;
} threads;

int pthread_attr_setstacksize(pthread_attr_t *attributes, size_t size)
{
    int (*real)(pthread_attr_t *, size_t);
    void *symbol = dlsym(RTLD_NEXT, "pthread_attr_setstacksize");
    memcpy(&real, &symbol, sizeof real);
    threads.calls++;
    threads.stack_size = size;
    if (threads.error != 0 && threads.works_first-- <= 0)
        return threads.error;
    return real(attributes, size);
}

static void prepend(struct addrinfo **list, const void *address, size_t size, int family)
{
    struct addrinfo *item = calloc(1, sizeof *item);
    item->ai_family = family;
    item->ai_addr = malloc(size);
    memcpy(item->ai_addr, address, size);
    item->ai_addrlen = (socklen_t)size;
    item->ai_next = *list;
    *list = item;
}

static void prepend_v4(struct addrinfo **list, uint8_t last)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    const uint8_t ip[4] = {192, 0, 2, last};
    memcpy(&in4.sin_addr, ip, sizeof ip);
    prepend(list, &in4, sizeof in4, AF_INET);
}

static void prepend_v6(struct addrinfo **list, const uint8_t ip[16])
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    memcpy(&in6.sin6_addr, ip, 16);
    prepend(list, &in6, sizeof in6, AF_INET6);
}

static const uint8_t documentation_v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
static const uint8_t mapped_v6[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 99};

/* What the name stands for: 0 and a list, or an EAI code. */
static int answer(const char *name, int family, struct addrinfo **list)
{
    if (strcmp(name, "missing.test") == 0)
        return EAI_NONAME;
    if (strcmp(name, "again.test") == 0)
        return EAI_AGAIN;
    if (strcmp(name, "system.test") == 0) {
        errno = EMFILE;
        return EAI_SYSTEM;
    }
    if (strcmp(name, "six.test") == 0 && family != AF_INET6)
        return EAI_NONAME;
    if (strcmp(name, "six.test") == 0)
        prepend_v6(list, documentation_v6);
    else if (strcmp(name, "both.test") == 0)
        prepend_v6(list, documentation_v6), prepend_v4(list, 1);
    else if (strcmp(name, "mapped.test") == 0)
        prepend_v6(list, mapped_v6);
    else if (strcmp(name, "twice.test") == 0)
        prepend_v4(list, 2), prepend_v4(list, 1), prepend_v4(list, 1), prepend_v4(list, 2), prepend_v4(list, 1);
    else if (strcmp(name, "many.test") == 0)
        for (uint8_t i = 100; i > 0; i--)
            prepend_v4(list, i);
    else if (strcmp(name, "empty.test") != 0)
        prepend_v4(list, 1);
    return 0;
}

static bool is_good_thread(void)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM, SIGPIPE, SIGCHLD, SIGUSR1};
    sigset_t blocked;
    if (pthread_sigmask(SIG_BLOCK, NULL, &blocked) != 0)
        return false;
    for (size_t i = 0; i < COUNT(wanted); i++) {
        if (sigismember(&blocked, wanted[i]) != 1)
            return false;
    }
    return true;
}

static void enter(const char *name, const struct addrinfo *hints)
{
    pthread_mutex_lock(&names.mutex);
    if (names.calls < CALLS_MAX)
        snprintf(names.names[names.calls], sizeof names.names[0], "%s", name);
    names.calls++;
    names.inside++;
    if (names.inside > names.most_inside)
        names.most_inside = names.inside;
    names.bad_hints += hints == NULL || hints->ai_socktype != SOCK_DGRAM || hints->ai_flags != 0;
    names.bad_threads += !is_good_thread();
    pthread_cond_broadcast(&names.changed);
    while (strncmp(name, "slow", 4) == 0 && !names.gate_open)
        pthread_cond_wait(&names.changed, &names.mutex);
    pthread_mutex_unlock(&names.mutex);
}

static void leave(bool with_list)
{
    pthread_mutex_lock(&names.mutex);
    names.inside--;
    names.lists += with_list;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.mutex);
}

int getaddrinfo(const char *restrict name, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict out)
{
    struct addrinfo *list = NULL;
    (void)service;
    enter(name, hints);
    int error = answer(name, hints->ai_family, &list);
    int kept = errno;
    if (list != NULL)
        *out = list;
    leave(list != NULL);
    errno = kept;
    return error;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        free(list->ai_addr);
        free(list);
        list = next;
    }
    pthread_mutex_lock(&names.mutex);
    names.lists--;
    pthread_mutex_unlock(&names.mutex);
}

/* ---- Helpers ---------------------------------------------------------------------------------------------------- */

/* Of a busy machine. */
#define PATIENCE_SECONDS 30

static int wake[2];

static void open_gate(void)
{
    pthread_mutex_lock(&names.mutex);
    names.gate_open = true;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.mutex);
}

static void wait_until_inside(size_t count)
{
    struct timespec until;
    int error = 0;
    assert_int_equal(timespec_get(&until, TIME_UTC), TIME_UTC);
    until.tv_sec += PATIENCE_SECONDS;
    pthread_mutex_lock(&names.mutex);
    while (names.inside != count && error == 0)
        error = pthread_cond_timedwait(&names.changed, &names.mutex, &until);
    pthread_mutex_unlock(&names.mutex);
    assert_int_equal(error, 0);
}

static size_t look(const size_t *value)
{
    pthread_mutex_lock(&names.mutex);
    size_t seen = *value;
    pthread_mutex_unlock(&names.mutex);
    return seen;
}

#ifdef __linux__

static size_t count_threads(void)
{
    size_t count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static size_t threads_before;

static void *do_nothing(void *argument)
{
    return argument;
}

/*
 * The fewest threads seen for a while after one has been made and has ended: a sanitizer adds one of its own with the
 * first, and one that has ended is listed a moment longer.
 */
static int count_threads_before(void **state)
{
    (void)state;
    pthread_t thread;
    if (pthread_create(&thread, NULL, do_nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return -1;
    threads_before = count_threads();
    for (int i = 0; i < 20; i++) {
        poll(NULL, 0, 2);
        size_t now = count_threads();
        if (now < threads_before)
            threads_before = now;
    }
    return 0;
}

static bool all_threads_ended(void)
{
    return count_threads() <= threads_before;
}

#else

static int count_threads_before(void **state)
{
    (void)state;
    return 0;
}

static bool all_threads_ended(void)
{
    return false; /* not to be seen here: the longest wait will do */
}

#endif

/* Until no thread of ours is left, or so long that one must be stuck. */
static bool threads_end(void)
{
    for (int i = 0; i < 2000 && !all_threads_ended(); i++)
        poll(NULL, 0, 5);
#ifdef __linux__
    return all_threads_ended();
#else
    return true;
#endif
}

static int set_up(void **state)
{
    (void)state;
    names.gate_open = false;
    names.calls = names.inside = names.most_inside = names.lists = names.bad_hints = names.bad_threads = 0;
    memset(&threads, 0, sizeof threads);
    return pipe(wake);
}

static int tear_down(void **state)
{
    (void)state;
    open_gate();
    bool clean = threads_end() && names.lists == 0 && names.bad_hints == 0 && names.bad_threads == 0;
    close(wake[0]);
    close(wake[1]);
    return clean ? 0 : -1;
}

static npi_resolver *make(npi_family family, size_t count, const char *const *hosts)
{
    npi_server_name list[CALLS_MAX];
    memset(list, 0, sizeof list);
    for (size_t i = 0; i < count; i++) {
        snprintf(list[i].host, sizeof list[i].host, "%s", hosts[i]);
        list[i].port = (uint16_t)(1000 + i);
    }
    npi_resolver *r = npi_resolver_new(list, count, family, wake[1]);
    memset(list, 0xA5, sizeof list); /* names are copied */
    assert_non_null(r);
    return r;
}

#define MAKE(family, ...) make(family, COUNT(((const char *const[]){__VA_ARGS__})), (const char *const[]){__VA_ARGS__})

static bool is_woken(int timeout_ms)
{
    struct pollfd p = {.fd = wake[0], .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

static npi_resolution take_next(npi_resolver *r)
{
    npi_resolution got;
    uint64_t woken;
    memset(&got, 0xA5, sizeof got);
    if (!npi_resolver_take(r, &got)) { /* no literal */
        assert_true(is_woken(20000));
        assert_true(npi_resolver_take(r, &got));
    }
    if (is_woken(0))
        assert_int_equal(read(wake[0], &woken, sizeof woken), sizeof woken);
    return got;
}

static void assert_nothing_ready(npi_resolver *r)
{
    npi_resolution got;
    assert_false(is_woken(0));
    assert_false(npi_resolver_take(r, &got));
}

static void assert_is_v4(const npi_resolution *got, size_t which, uint8_t last)
{
    npi_addr wanted = npi_addr_v4(192, 0, 2, last, (uint16_t)(1000 + got->index));
    assert_true(which < got->count);
    assert_true(npi_addr_equal(&got->addresses[which], &wanted));
}

static void assert_failed(const npi_resolution *got, int eai, int os_error)
{
    assert_int_equal(got->count, 0);
    assert_int_equal(got->eai, eai);
    assert_int_equal(got->failure.os_error, os_error);
}

/* One name from start to end. */
static npi_resolution resolve_one(npi_family family, const char *host)
{
    npi_resolver *r = make(family, 1, &host);
    npi_resolver_want(r, 1);
    npi_resolution got = take_next(r);
    assert_int_equal(got.index, 0);
    assert_int_equal(npi_resolver_pending(r), 0);
    assert_nothing_ready(r);
    npi_resolver_free(r);
    return got;
}

/* ---- Literals --------------------------------------------------------------------------------------------------- */

static void literals_are_answered_at_once_without_a_thread(void **state)
{
    (void)state;
    npi_resolution got;
    npi_resolver *r = MAKE(NPI_IPV4, "192.0.2.7", "192.0.2.8");
    assert_true(npi_resolver_take(r, &got)); /* nobody has to want them */
    assert_int_equal(got.index, 0);
    assert_true(got.is_literal);
    assert_int_equal(got.count, 1);
    assert_is_v4(&got, 0, 7);
    assert_true(npi_resolver_take(r, &got));
    assert_int_equal(got.index, 1);
    assert_is_v4(&got, 0, 8);
    npi_resolver_want(r, 2);
    assert_int_equal(npi_resolver_pending(r), 0);
    assert_false(npi_resolver_take(r, &got));
    assert_false(is_woken(0)); /* whoever asked for them takes them without being told */
    npi_resolver_free(r);
    assert_int_equal(threads.calls, 0);
    assert_int_equal(look(&names.calls), 0);
}

static void literals_of_ipv6(void **state)
{
    (void)state;
    npi_resolution got = resolve_one(NPI_IPV6, "2001:db8::1");
    assert_int_equal(got.count, 1);
    assert_int_equal(got.addresses[0].family, NPI_IPV6);
    assert_memory_equal(got.addresses[0].ip, documentation_v6, 16);
    assert_int_equal(got.addresses[0].port, 1000);
}

static void literals_in_ipv6_dress_are_ipv4(void **state)
{
    (void)state;
    npi_resolution got = resolve_one(NPI_IPV4, "::ffff:192.0.2.9");
    assert_int_equal(got.count, 1);
    assert_is_v4(&got, 0, 9);
    got = resolve_one(NPI_IPV6, "::ffff:192.0.2.9");
    assert_int_equal(got.count, 0);
}

static void literals_on_a_link_have_its_scope(void **state)
{
    (void)state;
    char by_index[40];
    const unsigned loopback = if_nametoindex("lo");
    assert_int_not_equal(loopback, 0);
    snprintf(by_index, sizeof by_index, "fe80::1%%%u", loopback);
    const char *const texts[] = {"fe80::1%lo", by_index};
    for (size_t i = 0; i < COUNT(texts); i++) {
        npi_resolution got = resolve_one(NPI_IPV6, texts[i]);
        assert_int_equal(got.count, 1);
        assert_int_equal(got.addresses[0].scope, loopback);
        assert_int_equal(got.addresses[0].port, 1000);
    }
    assert_int_equal(resolve_one(NPI_IPV6, "fe80::1").addresses[0].scope, 0);
    assert_int_equal(resolve_one(NPI_IPV4, "fe80::1%lo").count, 0);
}

static void a_link_that_is_not_there_is_told(void **state)
{
    static const char *const texts[] = {"fe80::1%nosuch0",     "fe80::1%2147483647", "fe80::1%4294967295",
                                        "fe80::1%99999999999", "fe80::1%0",          "fe80::1%1x"};
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        char text[NPI_RESOLVE_TEXT];
        npi_resolution got = resolve_one(NPI_IPV6, texts[i]);
        assert_int_equal(got.count, 0);
        assert_int_equal(got.eai, EAI_SYSTEM);
        assert_int_equal(got.failure.os_error, ENODEV);
        npi_resolution_describe(&got, text, sizeof text);
        assert_string_equal(text, "if_nametoindex: No such device (choose an interface of this host)");
    }
}

static void literals_of_the_other_family_fail(void **state)
{
    (void)state;
    npi_resolution got = resolve_one(NPI_IPV6, "192.0.2.7");
    assert_int_equal(got.count, 0);
    assert_int_not_equal(got.eai, 0);
    got = resolve_one(NPI_IPV4, "2001:db8::1");
    assert_int_equal(got.count, 0);
    assert_int_not_equal(got.eai, 0);
    got = resolve_one(NPI_FAMILY_NONE, "2001:db8::1");
    assert_int_equal(got.count, 1);
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

static void names_are_looked_up(void **state)
{
    (void)state;
    npi_resolution got = resolve_one(NPI_IPV4, "fast.test");
    assert_false(got.is_literal);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.eai, 0);
    assert_int_equal(got.failure.os_error, 0);
    assert_is_v4(&got, 0, 1);
    assert_in_range(threads.stack_size, 256 * 1024, 1024 * 1024);
}

static void names_with_addresses_of_both_families(void **state)
{
    (void)state;
    npi_resolution got = resolve_one(NPI_IPV4, "both.test");
    assert_int_equal(got.count, 1);
    assert_is_v4(&got, 0, 1);
    got = resolve_one(NPI_IPV6, "both.test");
    assert_int_equal(got.count, 1);
    assert_int_equal(got.addresses[0].family, NPI_IPV6);
    got = resolve_one(NPI_FAMILY_NONE, "both.test");
    assert_int_equal(got.count, 2);
}

static void names_with_ipv6_only(void **state)
{
    (void)state;
    npi_resolution got = resolve_one(NPI_IPV4, "six.test");
    assert_failed(&got, EAI_NONAME, 0);
    got = resolve_one(NPI_IPV6, "six.test");
    assert_int_equal(got.count, 1);
    assert_memory_equal(got.addresses[0].ip, documentation_v6, 16);
}

static void names_that_lead_to_ipv4_in_ipv6_dress(void **state)
{
    (void)state;
    npi_resolution got = resolve_one(NPI_IPV6, "mapped.test");
    assert_int_equal(got.count, 0);
    assert_int_not_equal(got.eai, 0);
    got = resolve_one(NPI_FAMILY_NONE, "mapped.test");
    assert_is_v4(&got, 0, 99);
}

static void addresses_come_once_each_and_in_order(void **state)
{
    (void)state;
    npi_resolution got = resolve_one(NPI_IPV4, "twice.test");
    assert_int_equal(got.count, 2);
    assert_is_v4(&got, 0, 1);
    assert_is_v4(&got, 1, 2);
}

static void a_hundred_addresses_are_cut_to_the_first(void **state)
{
    (void)state;
    npi_resolution got = resolve_one(NPI_IPV4, "many.test");
    assert_int_equal(got.count, NPI_RESOLVE_ADDRESSES);
    for (size_t i = 0; i < NPI_RESOLVE_ADDRESSES; i++)
        assert_is_v4(&got, i, (uint8_t)(i + 1));
}

static void failures_keep_their_code(void **state)
{
    (void)state;
    npi_resolution got = resolve_one(NPI_IPV4, "missing.test");
    assert_failed(&got, EAI_NONAME, 0);
    got = resolve_one(NPI_IPV4, "again.test");
    assert_failed(&got, EAI_AGAIN, 0);
    got = resolve_one(NPI_IPV4, "system.test");
    assert_failed(&got, EAI_SYSTEM, EMFILE);
    got = resolve_one(NPI_IPV4, "empty.test");
    assert_int_equal(got.count, 0);
    assert_int_not_equal(got.eai, 0);
}

/* ---- Order and number ------------------------------------------------------------------------------------------- */

static void only_the_wanted_names_are_looked_up(void **state)
{
    (void)state;
    npi_resolver *r = MAKE(NPI_IPV4, "a.test", "b.test", "c.test", "d.test");
    assert_nothing_ready(r);
    npi_resolver_want(r, 1);
    assert_int_equal(take_next(r).index, 0);
    assert_nothing_ready(r);
    assert_int_equal(look(&names.calls), 1);
    npi_resolver_want(r, 0); /* n only grows */
    npi_resolver_want(r, 1);
    assert_int_equal(npi_resolver_pending(r), 0);
    npi_resolver_want(r, 3);
    size_t seen = 0;
    seen |= (size_t)1 << take_next(r).index;
    seen |= (size_t)1 << take_next(r).index;
    assert_int_equal(seen, 6);
    assert_nothing_ready(r);
    assert_int_equal(look(&names.calls), 3);
    npi_resolver_want(r, 1000);
    assert_int_equal(take_next(r).index, 3);
    assert_int_equal(npi_resolver_pending(r), 0);
    npi_resolver_free(r);
    assert_int_equal(look(&names.calls), 4);
}

/* Wherever they stand: what is before them may never be answered. */
static void literals_wait_for_no_name_and_do_not_count(void **state)
{
    (void)state;
    npi_resolution got;
    npi_resolver *r = MAKE(NPI_IPV4, "slow0.test", "192.0.2.7", "slow1.test", "slow2.test", "192.0.2.8");
    assert_true(npi_resolver_take(r, &got));
    assert_int_equal(got.index, 1);
    npi_resolver_want(r, 2);
    wait_until_inside(2);
    assert_int_equal(npi_resolver_pending(r), 2);
    assert_true(npi_resolver_take(r, &got));
    assert_int_equal(got.index, 4);
    assert_nothing_ready(r);
    assert_int_equal(npi_resolver_pending(r), 2);
    npi_resolver_want(r, 3);
    wait_until_inside(3);
    open_gate();
    size_t seen = 0;
    for (size_t i = 0; i < 3; i++)
        seen |= (size_t)1 << take_next(r).index;
    assert_int_equal(seen, 13);
    npi_resolver_free(r);
    assert_int_equal(look(&names.calls), 3);
}

static void eight_are_at_work_at_most_and_the_first_ones_first(void **state)
{
    (void)state;
    npi_resolver *r = MAKE(NPI_IPV4, "slow0.test", "slow1.test", "slow2.test", "slow3.test", "slow4.test", "slow5.test",
                           "slow6.test", "slow7.test", "slow8.test", "slow9.test");
    npi_resolver_want(r, 10);
    wait_until_inside(8);
    assert_nothing_ready(r);
    assert_int_equal(npi_resolver_pending(r), 10);
    pthread_mutex_lock(&names.mutex);
    for (size_t i = 0; i < 8; i++)
        assert_true(names.names[i][4] < '8');
    pthread_mutex_unlock(&names.mutex);
    open_gate();
    size_t seen = 0;
    for (size_t i = 0; i < 10; i++)
        seen |= (size_t)1 << take_next(r).index;
    assert_int_equal(seen, 1023);
    assert_int_equal(npi_resolver_pending(r), 0);
    assert_int_equal(look(&names.most_inside), 8);
    npi_resolver_free(r);
}

static void a_slow_name_holds_nobody_up(void **state)
{
    (void)state;
    npi_resolver *r = MAKE(NPI_IPV4, "slow.test", "fast.test", "192.0.2.7", "missing.test");
    npi_resolver_want(r, 4);
    size_t seen = 0;
    for (size_t i = 0; i < 3; i++)
        seen |= (size_t)1 << take_next(r).index;
    assert_int_equal(seen, 14);
    assert_int_equal(npi_resolver_pending(r), 1);
    open_gate();
    assert_int_equal(take_next(r).index, 0);
    npi_resolver_free(r);
}

static void threads_are_made_again_for_later_names(void **state)
{
    (void)state;
    static const char *hosts[40];
    for (size_t i = 0; i < COUNT(hosts); i++)
        hosts[i] = "fast.test";
    npi_resolver *r = make(NPI_IPV4, COUNT(hosts), hosts);
    for (size_t i = 0; i < COUNT(hosts); i++) {
        npi_resolver_want(r, i + 1);
        assert_int_equal(take_next(r).index, i);
    }
    npi_resolver_free(r);
}

static void wanting_leaves_the_signal_mask_alone(void **state)
{
    (void)state;
    sigset_t before;
    sigset_t after;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    resolve_one(NPI_IPV4, "fast.test");
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    for (int i = 1; i < 32; i++)
        assert_int_equal(sigismember(&before, i), sigismember(&after, i));
}

static void no_wake_descriptor_is_needed(void **state)
{
    (void)state;
    npi_server_name name = {.host = "fast.test", .port = 1000};
    npi_resolution got;
    npi_resolver *r = npi_resolver_new(&name, 1, NPI_IPV4, -1);
    npi_resolver_want(r, 1);
    while (!npi_resolver_take(r, &got))
        poll(NULL, 0, 1);
    assert_is_v4(&got, 0, 1);
    npi_resolver_free(r);
}

/* ---- No threads to be had --------------------------------------------------------------------------------------- */

static void without_any_thread_names_fail_and_literals_do_not(void **state)
{
    (void)state;
    npi_resolution got;
    threads.error = EAGAIN;
    npi_resolver *r = MAKE(NPI_IPV4, "a.test", "192.0.2.7", "b.test");
    npi_resolver_want(r, 3);
    assert_true(npi_resolver_take(r, &got));
    assert_int_equal(got.index, 0);
    assert_failed(&got, EAI_SYSTEM, EAGAIN);
    assert_true(npi_resolver_take(r, &got));
    assert_is_v4(&got, 0, 7);
    assert_true(npi_resolver_take(r, &got));
    assert_int_equal(got.index, 2);
    assert_failed(&got, EAI_SYSTEM, EAGAIN);
    assert_int_equal(npi_resolver_pending(r), 0);
    assert_int_equal(look(&names.calls), 0);
    npi_resolver_free(r);
}

static void with_one_thread_names_take_turns(void **state)
{
    (void)state;
    threads.error = EAGAIN;
    threads.works_first = 1;
    npi_resolver *r = MAKE(NPI_IPV4, "a.test", "b.test", "c.test");
    npi_resolver_want(r, 3);
    for (size_t i = 0; i < 3; i++) {
        npi_resolution got = take_next(r);
        assert_is_v4(&got, 0, 1);
    }
    npi_resolver_free(r);
    assert_int_equal(look(&names.most_inside), 1);
}

static void a_stack_that_is_refused_is_replaced_by_the_default(void **state)
{
    (void)state;
    threads.error = EINVAL;
    npi_resolution got = resolve_one(NPI_IPV4, "fast.test");
    assert_is_v4(&got, 0, 1);
}

/* ---- The end ---------------------------------------------------------------------------------------------------- */

static void free_does_not_wait_for_a_look_up(void **state)
{
    (void)state;
    npi_resolver *r = MAKE(NPI_IPV4, "slow0.test", "slow1.test", "slow2.test", "slow3.test", "slow4.test", "slow5.test",
                           "slow6.test", "slow7.test", "never.test");
    npi_resolver_want(r, 9);
    wait_until_inside(8);
    npi_resolver_free(r);
    assert_int_equal(look(&names.inside), 8); /* they are still at it */
    open_gate();
    assert_true(threads_end());
    assert_false(is_woken(0));               /* and told nobody, */
    assert_int_equal(look(&names.calls), 8); /* nor took another name, */
    assert_int_equal(look(&names.lists), 0); /* and gave back what they had got */
}

static void free_while_some_have_finished(void **state)
{
    (void)state;
    npi_resolver *r = MAKE(NPI_IPV4, "slow.test", "fast.test", "missing.test");
    npi_resolver_want(r, 3);
    take_next(r);
    take_next(r);
    wait_until_inside(1);
    npi_resolver_free(r);
    open_gate();
    assert_true(threads_end());
    assert_false(is_woken(0));
}

static void free_with_results_not_taken(void **state)
{
    (void)state;
    npi_resolver *r = MAKE(NPI_IPV4, "a.test", "b.test", "192.0.2.7");
    npi_resolver_want(r, 3);
    assert_true(is_woken(20000));
    npi_resolver_free(r);
    assert_true(threads_end());
}

static void free_at_once(void **state)
{
    (void)state;
    npi_resolver_free(NULL);
    npi_resolver_free(MAKE(NPI_IPV4, "a.test"));
    npi_resolver *none = npi_resolver_new(NULL, 0, NPI_IPV4, wake[1]);
    npi_resolver_want(none, 3);
    assert_int_equal(npi_resolver_pending(none), 0);
    assert_nothing_ready(none);
    npi_resolver_free(none);
    assert_int_equal(look(&names.calls), 0);
}

/* Threads that start, work and end while the owner lets go, at every moment that chance brings. */
static void free_at_any_moment(void **state)
{
    (void)state;
    for (size_t round = 0; round < 300; round++) {
        npi_resolver *r = MAKE(NPI_IPV4, "a.test", "b.test", "many.test", "missing.test", "c.test", "d.test");
        npi_resolution got;
        npi_resolver_want(r, 1 + round % 6);
        for (size_t i = 0; i < round % 7; i++)
            npi_resolver_take(r, &got);
        npi_resolver_free(r);
    }
    assert_true(threads_end());
}

#ifdef __linux__

static size_t mapped_bytes(void)
{
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%lu", &pages), 1);
    fclose(statm);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* A thread that has ended and is neither joined nor detached keeps its stack: half a megabyte of address space. */
static void stacks_are_given_back(void **state)
{
    (void)state;
    const size_t rounds = 600;
    resolve_one(NPI_IPV4, "fast.test");
    size_t before = mapped_bytes();
    for (size_t round = 0; round < rounds; round++)
        resolve_one(NPI_IPV4, "fast.test");
    size_t after = mapped_bytes();
    assert_true(after < before + rounds * threads.stack_size / 3);
}

#endif

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(literals_are_answered_at_once_without_a_thread),
        TEST(literals_of_ipv6),
        TEST(literals_in_ipv6_dress_are_ipv4),
        TEST(literals_on_a_link_have_its_scope),
        TEST(a_link_that_is_not_there_is_told),
        TEST(literals_of_the_other_family_fail),
        TEST(names_are_looked_up),
        TEST(names_with_addresses_of_both_families),
        TEST(names_with_ipv6_only),
        TEST(names_that_lead_to_ipv4_in_ipv6_dress),
        TEST(addresses_come_once_each_and_in_order),
        TEST(a_hundred_addresses_are_cut_to_the_first),
        TEST(failures_keep_their_code),
        TEST(only_the_wanted_names_are_looked_up),
        TEST(literals_wait_for_no_name_and_do_not_count),
        TEST(eight_are_at_work_at_most_and_the_first_ones_first),
        TEST(a_slow_name_holds_nobody_up),
        TEST(threads_are_made_again_for_later_names),
        TEST(wanting_leaves_the_signal_mask_alone),
        TEST(no_wake_descriptor_is_needed),
        TEST(without_any_thread_names_fail_and_literals_do_not),
        TEST(with_one_thread_names_take_turns),
        TEST(a_stack_that_is_refused_is_replaced_by_the_default),
        TEST(free_does_not_wait_for_a_look_up),
        TEST(free_while_some_have_finished),
        TEST(free_with_results_not_taken),
        TEST(free_at_once),
        TEST(free_at_any_moment),
#ifdef __linux__
        TEST(stacks_are_given_back),
#endif
    };
    return cmocka_run_group_tests_name("resolve", tests, count_threads_before, NULL);
}
