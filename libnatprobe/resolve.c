/* SPDX-License-Identifier: MIT */
/*
 * Names to addresses on a few threads of our own.
 *
 * getaddrinfo can neither be stopped nor given a time limit, so nothing may wait for it. What a thread needs is in
 * one block of memory, the resolver, that belongs to its owner and to every thread at work: whoever lets go of it last
 * frees it. Everything in the block is guarded by its mutex, wake-ups too: once npi_resolver_free holds the
 * mutex, no thread writes any more.
 */
#include "resolve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "poller.h"
#include "sockaddr.h"
#include "thread.h"

/* Silent names hold threads for as long as they like: one more than a check can do without names from. */
#define THREADS_MAX 8

/* GNU has finer codes for "there is no such address" than POSIX. */
#ifdef EAI_NODATA
#define NONE_FOUND EAI_NODATA
#else
#define NONE_FOUND EAI_NONAME
#endif
#ifdef EAI_ADDRFAMILY
#define WRONG_FAMILY EAI_ADDRFAMILY
#else
#define WRONG_FAMILY EAI_NONAME
#endif
/* Windows has no code for "a call of the system's failed": what its resolver says is all. */
#ifdef EAI_SYSTEM
#define CALL_FAILED EAI_SYSTEM
#else
#define CALL_FAILED EAI_FAIL
#endif

typedef enum entry_state { ENTRY_WAITING, ENTRY_AT_WORK, ENTRY_READY, ENTRY_TAKEN } entry_state;

typedef struct entry {
    npi_server_name name;
    entry_state state; /* literals are ready from the beginning */
    npi_resolution result;
} entry;

typedef enum thread_state { THREAD_NONE, THREAD_AT_WORK, THREAD_FINISHED } thread_state;

typedef struct worker {
    npi_resolver *resolver;
    npi_thread thread;
    thread_state state;
} worker;

struct npi_resolver {
    npi_mutex mutex;
    unsigned references; /* the owner's and one for each thread at work */
    bool abandoned;      /* the owner is gone */
    npi_wake wake;
    npi_family family;
    worker workers[THREADS_MAX];
    size_t reach;  /* the entries before this one may be looked up */
    size_t wanted; /* names among them */
    size_t taken;  /* names too */
    size_t count;
    entry entries[];
};

/* ---- One name --------------------------------------------------------------------------------------------------- */

static void add_address(npi_resolution *result, const npi_addr *address)
{
    for (size_t i = 0; i < result->count; i++) {
        if (npi_addr_equal(&result->addresses[i], address))
            return;
    }
    if (result->count < NPI_RESOLVE_ADDRESSES)
        result->addresses[result->count++] = *address;
}

static npi_addr server_at(const struct sockaddr *sa, uint16_t port)
{
    npi_addr address = npi_addr_from_sockaddr(sa);
    address.port = port;
    return npi_addr_unmap(&address);
}

static bool is_wanted_family(const npi_addr *address, npi_family family)
{
    return npi_addr_is_set(address) && (family == NPI_FAMILY_NONE || address->family == family);
}

static int system_family(npi_family family)
{
    if (family == NPI_IPV4)
        return AF_INET;
    return family == NPI_IPV6 ? AF_INET6 : AF_UNSPEC;
}

/* Blocks for as long as the system likes. Fills all of result but its index. */
static void ask_system(const npi_server_name *name, npi_family family, npi_resolution *result)
{
    /* No AI_ADDRCONFIG: whether a family has a route is found out by sending, not by the addresses configured. */
    struct addrinfo hints = {.ai_family = system_family(family), .ai_socktype = SOCK_DGRAM};
    struct addrinfo *list = NULL;
    errno = 0;
    result->eai = getaddrinfo(name->host, NULL, &hints, &list);
    if (result->eai != 0) {
#ifdef EAI_SYSTEM
        if (result->eai == EAI_SYSTEM)
            result->failure = npi_failure_of("getaddrinfo");
#endif
        return;
    }
    for (const struct addrinfo *i = list; i != NULL; i = i->ai_next) {
        npi_addr address = server_at(i->ai_addr, name->port);
        if (is_wanted_family(&address, family))
            add_address(result, &address);
    }
    if (list != NULL)
        freeaddrinfo(list);
    if (result->count == 0)
        result->eai = NONE_FOUND;
}

static void look_up(const npi_server_name *name, npi_family family, npi_resolution *result)
{
    if (!npi_sockets_begin()) {
        result->failure = npi_failure_of("WSAStartup");
        result->eai = CALL_FAILED;
        return;
    }
    ask_system(name, family, result);
    npi_sockets_end();
}

/* Answers a literal; false for a name. */
static bool read_literal(const npi_server_name *name, npi_family family, npi_resolution *result)
{
    npi_addr address;
    if (!npi_addr_parse_ip(name->host, &address))
        return false;
    address = npi_addr_unmap(&address);
    address.port = name->port;
    if (!is_wanted_family(&address, family)) {
        result->eai = WRONG_FAMILY;
    } else if (npi_addr_find_scope(npi_addr_zone(name->host), &address)) {
        add_address(result, &address);
    } else {
        result->failure = npi_failure_of("if_nametoindex");
        result->eai = CALL_FAILED;
    }
    return true;
}

/* ---- Threads (the mutex is held unless a comment says otherwise) ------------------------------------------------ */

static void set_result(entry *e, const npi_resolution *result)
{
    e->result = *result;
    e->state = ENTRY_READY;
}

static void make_ready(npi_resolver *r, entry *e, const npi_resolution *result)
{
    set_result(e, result);
    if (r->wake != NPI_NO_WAKE)
        npi_poller_wake(r->wake);
}

static entry *next_waiting(npi_resolver *r)
{
    for (size_t i = 0; i < r->reach; i++) {
        if (r->entries[i].state == ENTRY_WAITING)
            return &r->entries[i];
    }
    return NULL;
}

static void destroy(npi_resolver *r)
{
    npi_mutex_destroy(&r->mutex);
    free(r);
}

/* Gives up one reference and the mutex. */
static void let_go(npi_resolver *r)
{
    bool last = --r->references == 0;
    npi_mutex_unlock(&r->mutex);
    if (last)
        destroy(r);
}

static void work_on(npi_resolver *r, entry *e)
{
    npi_resolution result = {.index = (size_t)(e - r->entries)};
    e->state = ENTRY_AT_WORK;
    npi_mutex_unlock(&r->mutex);
    look_up(&e->name, r->family, &result);
    npi_mutex_lock(&r->mutex);
    if (!r->abandoned)
        make_ready(r, e, &result);
}

/* A thread's life: names in order until none is left. Enters without the mutex and leaves without it. */
static void *run_worker(void *argument)
{
    worker *w = argument;
    npi_resolver *r = w->resolver;
    npi_mutex_lock(&r->mutex);
    entry *e;
    while (!r->abandoned && (e = next_waiting(r)) != NULL)
        work_on(r, e);
    w->state = THREAD_FINISHED;
    let_go(r);
    return NULL;
}

/* Waits for a thread's last instructions only: it calls itself finished in its last critical section. */
static void join_finished(worker *w)
{
    if (w->state == THREAD_FINISHED)
        npi_thread_join(w->thread);
    w->state = THREAD_NONE;
}

static int start_worker(npi_resolver *r, worker *w)
{
    join_finished(w);
    w->resolver = r;
    int error = npi_thread_create(&w->thread, run_worker, w);
    if (error == 0) {
        w->state = THREAD_AT_WORK;
        r->references++;
    }
    return error;
}

static worker *find_idle(npi_resolver *r)
{
    for (size_t i = 0; i < THREADS_MAX; i++) {
        if (r->workers[i].state != THREAD_AT_WORK)
            return &r->workers[i];
    }
    return NULL;
}

static size_t count_at_work(const npi_resolver *r)
{
    size_t at_work = 0;
    for (size_t i = 0; i < THREADS_MAX; i++)
        at_work += r->workers[i].state == THREAD_AT_WORK;
    return at_work;
}

static size_t count_waiting(const npi_resolver *r)
{
    size_t waiting = 0;
    for (size_t i = 0; i < r->reach; i++)
        waiting += r->entries[i].state == ENTRY_WAITING;
    return waiting;
}

static void fail_waiting(npi_resolver *r, int os_error)
{
    entry *e;
    while ((e = next_waiting(r)) != NULL) {
        npi_resolution result = {.index = (size_t)(e - r->entries), .eai = CALL_FAILED};
        result.failure = (npi_failure){.call = NPI_THREAD_CREATE, .os_error = os_error};
        make_ready(r, e, &result);
    }
}

/*
 * A thread for each waiting name, up to the most there may be. Where the system gives fewer, those at work take the
 * names one after the other; where it gives none, the names fail.
 */
static void start_workers(npi_resolver *r)
{
    size_t missing = count_waiting(r);
    worker *w;
    while (missing > 0 && (w = find_idle(r)) != NULL) {
        int error = start_worker(r, w);
        if (error != 0 && count_at_work(r) == 0)
            fail_waiting(r, error);
        if (error != 0)
            return;
        missing--;
    }
}

void npi_resolution_describe(const npi_resolution *resolution, char *out, size_t size)
{
    if (resolution->failure.call != NULL)
        npi_failure_describe(&resolution->failure, out, size);
    else
        (void)snprintf(out, size, "%s", npi_name_error_text(resolution->eai));
}

/* ---- The owner's side ------------------------------------------------------------------------------------------- */

static void answer_literal(npi_resolver *r, size_t index)
{
    entry *e = &r->entries[index];
    npi_resolution result = {.index = index, .is_literal = true};
    if (read_literal(&e->name, r->family, &result))
        set_result(e, &result);
}

npi_resolver *npi_resolver_new(const npi_server_name *names, size_t count, npi_family family, npi_wake wake)
{
    npi_resolver *r = calloc(1, sizeof *r + count * sizeof r->entries[0]);
    if (r == NULL)
        return NULL;
    if (!npi_mutex_init(&r->mutex)) {
        free(r);
        return NULL;
    }
    r->references = 1;
    r->wake = wake;
    r->family = family;
    r->count = count;
    for (size_t i = 0; i < count; i++) {
        r->entries[i].name = names[i];
        answer_literal(r, i);
    }
    return r;
}

void npi_resolver_want(npi_resolver *r, size_t n)
{
    npi_mutex_lock(&r->mutex);
    while (r->wanted < n && r->reach < r->count)
        r->wanted += r->entries[r->reach++].state == ENTRY_WAITING;
    start_workers(r);
    npi_mutex_unlock(&r->mutex);
}

bool npi_resolver_take(npi_resolver *r, npi_resolution *out)
{
    bool found = false;
    npi_mutex_lock(&r->mutex);
    for (size_t i = 0; i < r->count && !found; i++) {
        found = r->entries[i].state == ENTRY_READY;
        if (found) {
            *out = r->entries[i].result;
            r->entries[i].state = ENTRY_TAKEN;
            r->taken += !out->is_literal;
        }
    }
    npi_mutex_unlock(&r->mutex);
    return found;
}

size_t npi_resolver_pending(npi_resolver *r)
{
    npi_mutex_lock(&r->mutex);
    size_t pending = r->wanted - r->taken;
    npi_mutex_unlock(&r->mutex);
    return pending;
}

void npi_resolver_free(npi_resolver *r)
{
    if (r == NULL)
        return;
    npi_mutex_lock(&r->mutex);
    r->abandoned = true;
    for (size_t i = 0; i < THREADS_MAX; i++) {
        if (r->workers[i].state == THREAD_AT_WORK)
            npi_thread_detach(r->workers[i].thread);
        else
            join_finished(&r->workers[i]);
    }
    let_go(r);
}
