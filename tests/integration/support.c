/* SPDX-License-Identifier: MIT */
/* See support.h. */
#include "support.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { PATIENCE_STEPS = 6000 }; /* of 5 ms: longer than any of these tests may take, shorter than for ever */

/* ---- What must be gone afterwards ------------------------------------------------------------------------------- */

static struct {
    unsigned descriptors;
    unsigned threads;
} before;

static void pause_briefly(void)
{
    nanosleep(&(struct timespec){0, 5000000}, NULL);
}

static unsigned count_entries(const char *folder)
{
    unsigned count = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    while (readdir(d) != NULL)
        count++;
    closedir(d);
    return count;
}

static void *do_nothing(void *argument)
{
    return argument;
}

/* A sanitizer's own thread comes with the first one of the program: it is not to be taken for one left over. */
static void warm_up(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, do_nothing, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int support_begin(void **state)
{
    (void)state;
    warm_up();
    support_set_names(NULL, 0);
    before.descriptors = count_entries("/proc/self/fd");
    before.threads = count_entries("/proc/self/task");
    return 0;
}

/* A look-up that could not be stopped ends by itself: it is given time, but it must end. */
int support_end(void **state)
{
    unsigned descriptors = 0, threads = 0;
    (void)state;
    support_release_names();
    for (int i = 0; i < PATIENCE_STEPS; i++) {
        threads = count_entries("/proc/self/task");
        descriptors = count_entries("/proc/self/fd");
        if (threads <= before.threads) /* one that had just ended may have been counted before */
            break;
        pause_briefly();
    }
    if (descriptors == before.descriptors && threads <= before.threads)
        return 0;
    print_error("left over: %d descriptors, %d threads\n", (int)descriptors - (int)before.descriptors,
                (int)threads - (int)before.threads);
    return -1;
}

/* ---- Results ---------------------------------------------------------------------------------------------------- */

void support_poison(np_result *result)
{
    memset(result, 0xA5, sizeof *result);
}

/* Plain text, terminated, and nothing left of the poison behind it. */
static void check_text(const char *text, size_t room)
{
    assert_true(strnlen(text, room) < room);
    for (size_t i = 0; i < room; i++)
        assert_true((unsigned char)text[i] < 0x80);
}

void support_check_whole(const np_result *result, int returned)
{
    static const uint8_t zeros[sizeof result->reserved];
    assert_int_equal(result->error, returned);
    assert_memory_equal(result->reserved, zeros, sizeof zeros);
    check_text(result->external_ip, sizeof result->external_ip);
    check_text(result->local_ip, sizeof result->local_ip);
    check_text(result->server, sizeof result->server);
    check_text(result->detail, sizeof result->detail);
    assert_string_not_equal(np_error_name(returned), "unknown");
    assert_string_not_equal(result->local_ip, "0.0.0.0");
    assert_string_not_equal(result->local_ip, "::");
    if (returned == NP_OK) {
        assert_int_not_equal(result->nat_type, NP_NAT_UNKNOWN);
        assert_int_equal(result->os_error, 0);
    } else {
        assert_true(result->nat_type == NP_NAT_UNKNOWN || returned == NP_ERR_NO_RESPONSE);
        assert_true(strlen(result->detail) > 0);
    }
}

int support_run(np_probe *probe, np_result *result)
{
    support_poison(result);
    const int returned = np_probe_run(probe, result);
    support_check_whole(result, returned);
    return returned;
}

np_probe *support_probe(const char *source, const char *server)
{
    np_probe *probe = np_probe_new();
    assert_non_null(probe);
    assert_int_equal(np_probe_set_source(probe, source, 0), NP_OK);
    assert_int_equal(np_probe_add_server(probe, server), NP_OK);
    return probe;
}

stun_server *support_server(stun_server_config config)
{
    stun_server *server = stun_server_start(&config);
    assert_non_null(server);
    return server;
}

static bool has_ipv6(void)
{
    stun_server *server = stun_server_start(&(stun_server_config){.ip = "::1", .single = true});
    stun_server_stop(server);
    return server != NULL;
}

stun_server *support_server_of_ipv6(stun_server_config config)
{
    stun_server *server = NULL;
    if (!has_ipv6())
        skip();
    config.ip = "::1";
    for (int i = 0; server == NULL && i < PATIENCE_STEPS; i++) {
        server = stun_server_start(&config);
        if (server == NULL)
            pause_briefly();
    }
    assert_non_null(server);
    return server;
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

#define NAMES_MAX 64
#define ADDRESSES (sizeof((support_name *)NULL)->address / sizeof((support_name *)NULL)->address[0])

/* A copy with its texts, for a look-up may outlive the test's table and the servers whose addresses are in it. */
typedef struct known_name {
    bool is_any;
    char name[256];
    char address[ADDRESSES][48]; /* empty: none */
    int error;
    bool slow;
} known_name;

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    known_name names[NAMES_MAX];
    size_t count;
    unsigned look_ups;
    unsigned to_hang;
    unsigned hanging;
    bool released;
} dns = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void copy_text(char *out, size_t size, const char *text)
{
    assert_in_range(snprintf(out, size, "%s", text != NULL ? text : ""), 0, size - 1);
}

static known_name know(const support_name *name)
{
    known_name known = {.is_any = name->name == NULL, .error = name->error, .slow = name->slow};
    copy_text(known.name, sizeof known.name, name->name);
    for (size_t i = 0; i < ADDRESSES; i++)
        copy_text(known.address[i], sizeof known.address[i], name->address[i]);
    return known;
}

void support_set_names(const support_name *names, size_t count)
{
    assert_in_range(count, 0, NAMES_MAX);
    pthread_mutex_lock(&dns.mutex);
    for (size_t i = 0; i < count; i++)
        dns.names[i] = know(&names[i]);
    dns.count = count;
    dns.look_ups = dns.to_hang = 0;
    dns.released = false;
    pthread_mutex_unlock(&dns.mutex);
}

void support_hang_first(unsigned count)
{
    pthread_mutex_lock(&dns.mutex);
    dns.to_hang = count;
    pthread_mutex_unlock(&dns.mutex);
}

unsigned support_look_ups(void)
{
    pthread_mutex_lock(&dns.mutex);
    const unsigned look_ups = dns.look_ups;
    pthread_mutex_unlock(&dns.mutex);
    return look_ups;
}

void support_release_names(void)
{
    pthread_mutex_lock(&dns.mutex);
    dns.released = true;
    pthread_cond_broadcast(&dns.changed);
    pthread_mutex_unlock(&dns.mutex);
}

void support_wait_for_hanging_names(unsigned count)
{
    bool hanging = false;
    for (int i = 0; i < PATIENCE_STEPS && !hanging; i++) {
        pthread_mutex_lock(&dns.mutex);
        hanging = dns.hanging >= count;
        pthread_mutex_unlock(&dns.mutex);
        if (!hanging)
            pause_briefly();
    }
    assert_true(hanging);
}

static known_name find_name(const char *node)
{
    known_name found = {.error = EAI_NONAME};
    pthread_mutex_lock(&dns.mutex);
    for (size_t i = 0; i < dns.count; i++) {
        if (dns.names[i].is_any || strcmp(dns.names[i].name, node) == 0) {
            found = dns.names[i];
            break;
        }
    }
    dns.look_ups++;
    const bool hangs = dns.to_hang > 0;
    dns.to_hang -= hangs;
    while ((found.slow || hangs) && !dns.released) {
        dns.hanging++;
        pthread_cond_wait(&dns.changed, &dns.mutex);
        dns.hanging--;
    }
    pthread_mutex_unlock(&dns.mutex);
    return found;
}

static struct addrinfo *make_address(const char *text, const struct addrinfo *hints)
{
    struct {
        struct addrinfo info;
        union {
            struct sockaddr any;
            struct sockaddr_in v4;
            struct sockaddr_in6 v6;
        } address;
    } *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    if (inet_pton(AF_INET, text, &made->address.v4.sin_addr) == 1) {
        made->address.any.sa_family = AF_INET;
        made->info.ai_addrlen = sizeof made->address.v4;
    } else if (inet_pton(AF_INET6, text, &made->address.v6.sin6_addr) == 1) {
        made->address.any.sa_family = AF_INET6;
        made->info.ai_addrlen = sizeof made->address.v6;
    }
    const int family = made->address.any.sa_family;
    if (family == AF_UNSPEC || (hints != NULL && hints->ai_family != AF_UNSPEC && hints->ai_family != family)) {
        free(made);
        return NULL;
    }
    made->info.ai_family = family;
    made->info.ai_socktype = SOCK_DGRAM;
    made->info.ai_addr = &made->address.any;
    return &made->info;
}

/* These take the place of the C library's own. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result);
void freeaddrinfo(struct addrinfo *list);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    struct addrinfo **end = result;
    *result = NULL;
    if (node == NULL || service != NULL)
        return EAI_NONAME; /* ports are not looked up */
    const known_name found = find_name(node);
    for (size_t i = 0; i < ADDRESSES && found.address[i][0] != '\0'; i++) {
        *end = make_address(found.address[i], hints);
        if (*end != NULL)
            end = &(*end)->ai_next;
    }
    if (*result != NULL)
        return 0;
    return found.error != 0 ? found.error : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}
