/* SPDX-License-Identifier: MIT */
/*
 * Threads that run one at a time, each until it waits for the network: the baton is handed on where the input's time
 * says so, so that the same input always leads to the same order. And the names that they look up.
 */
#include "fake_system.h"

#include <semaphore.h>
#include <string.h>

#include "fake_calls.h"
#include "fuzz.h"

enum { TASKS = 64, ADDRESSES = 8 };

typedef struct task {
    bool used, is_over, is_detached;
    pthread_t thread;
    void *(*run)(void *);
    void *argument;
    sem_t go;
    uint64_t ready_ns;
} task;

static task tasks[TASKS];
static sem_t back;               /* the baton, on its way to the main thread */
static _Thread_local task *self; /* NULL in the main thread */

/* ---- The baton -------------------------------------------------------------------------------------------------- */

static void wait_for(sem_t *s)
{
    while (sem_wait(s) != 0)
        FUZZ_CHECK(errno == EINTR);
}

static void hand_to(task *t)
{
    sem_post(&t->go);
    wait_for(&back);
}

/* A thread of the library's waits until the clock says so. */
static void sleep_until(uint64_t when_ns)
{
    self->ready_ns = when_ns;
    sem_post(&back);
    wait_for(&self->go);
}

static void *live(void *argument)
{
    self = argument;
    wait_for(&self->go);
    self->run(self->argument);
    self->is_over = true;
    sem_post(&back);
    return NULL;
}

bool fake_threads_run(uint64_t now_ns)
{
    bool any = false;
    for (int i = 0; self == NULL && i < TASKS; i++) {
        if (tasks[i].used && !tasks[i].is_over && tasks[i].ready_ns <= now_ns) {
            hand_to(&tasks[i]);
            any = true;
        }
    }
    return any;
}

uint64_t fake_threads_next_ns(void)
{
    uint64_t next = NEVER;
    for (int i = 0; i < TASKS; i++) {
        if (tasks[i].used && !tasks[i].is_over && tasks[i].ready_ns < next)
            next = tasks[i].ready_ns;
    }
    return next;
}

static void bury(task *t)
{
    FUZZ_CHECK(pthread_join(t->thread, NULL) == 0);
    sem_destroy(&t->go);
    t->used = false;
}

void fake_threads_begin(void)
{
    memset(tasks, 0, sizeof tasks);
    sem_init(&back, 0, 0);
}

/* Nobody may have forgotten a thread: it was joined or detached. */
void fake_threads_end(void)
{
    for (int i = 0; i < TASKS; i++) {
        task *t = &tasks[i];
        if (!t->used)
            continue;
        FUZZ_CHECK(t->is_detached);
        while (!t->is_over)
            hand_to(t);
        bury(t);
    }
    sem_destroy(&back);
}

/* ---- Threads ---------------------------------------------------------------------------------------------------- */

int fake_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    const int error = fake_refusal(FAKE_MUTEX);
    return error != 0 ? error : pthread_mutex_init(mutex, attributes);
}

int fake_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    const int error = fake_refusal(FAKE_THREAD);
    if (error != 0)
        return error;
    task *t = tasks;
    while (t < tasks + TASKS && t->used)
        t++;
    if (t == tasks + TASKS)
        return EAGAIN;
    *t = (task){.used = true, .run = run, .argument = argument, .ready_ns = fake_now()};
    FUZZ_CHECK(sem_init(&t->go, 0, 0) == 0);
    FUZZ_CHECK(pthread_create(&t->thread, attributes, live, t) == 0);
    *thread = t->thread;
    return 0;
}

static task *find(pthread_t thread)
{
    for (int i = 0; i < TASKS; i++) {
        if (tasks[i].used && !tasks[i].is_detached && pthread_equal(tasks[i].thread, thread))
            return &tasks[i];
    }
    return NULL;
}

/* Nobody waits for a thread that is still looking up a name. */
int fake_pthread_join(pthread_t thread, void **result)
{
    task *t = find(thread);
    FUZZ_CHECK(t != NULL && t->is_over && result == NULL);
    bury(t);
    return 0;
}

int fake_pthread_detach(pthread_t thread)
{
    task *t = find(thread);
    FUZZ_CHECK(t != NULL);
    t->is_detached = true;
    return 0;
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

typedef enum name_kind {
    NAME_SERVER,
    NAME_SLOW,
    NAME_NEVER,
    NAME_NONE,
    NAME_MANY,
    NAME_ODD,
    NAME_SYSTEM,
    NAME_OTHER
} name_kind;

static const struct {
    const char *prefix;
    name_kind kind;
} prefixes[] = {
    {"s0.", NAME_SERVER},   {"s1.", NAME_SERVER}, {"s2.", NAME_SERVER}, {"s3.", NAME_SERVER}, {"slow.", NAME_SLOW},
    {"never.", NAME_NEVER}, {"none.", NAME_NONE}, {"many.", NAME_MANY}, {"odd.", NAME_ODD},   {"system.", NAME_SYSTEM},
};

static unsigned sum(const char *name)
{
    unsigned total = 0;
    for (const char *c = name; *c != '\0'; c++)
        total += (unsigned char)*c;
    return total;
}

static name_kind kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (strncmp(name, prefixes[i].prefix, strlen(prefixes[i].prefix)) == 0)
            return prefixes[i].kind;
    }
    return (name_kind)(sum(name) % (NAME_OTHER + 1));
}

static uint64_t delay_of(name_kind kind)
{
    static const uint16_t delays_ms[] = {
        [NAME_SERVER] = 10, [NAME_SLOW] = 2500, [NAME_NEVER] = 30000, [NAME_NONE] = 30,
        [NAME_MANY] = 5,    [NAME_ODD] = 0,     [NAME_SYSTEM] = 1,    [NAME_OTHER] = 200,
    };
    return delays_ms[kind] * MS;
}

typedef struct answer {
    endpoint addresses[ADDRESSES];
    unsigned count;
} answer;

static void add(answer *a, const endpoint *e, int family)
{
    const int own = e->family == 4 ? AF_INET : AF_INET6;
    if (a->count < ADDRESSES && (family == AF_UNSPEC || family == own))
        a->addresses[a->count++] = *e;
}

static void add_all(answer *a, name_kind kind, unsigned which, int family)
{
    const world *w = fake_world();
    const endpoint six = endpoint_public(6, 1, 10, 0);
    const endpoint wrong = endpoint_any(4, 0);
    const endpoint multicast = endpoint_multicast(w->family, 0);
    const endpoint mapped = endpoint_mapped(&wrong);
    if (kind == NAME_ODD) {
        add(a, &wrong, family);
        add(a, &multicast, family);
        add(a, &mapped, family);
    }
    for (unsigned i = 0; i < (kind == NAME_MANY ? 7 : 1); i++) {
        add(a, &w->server[(which + i) % w->servers].a, family);
        if (kind == NAME_MANY)
            add(a, i % 2 == 0 ? &six : &w->server[which % w->servers].b, family);
    }
}

/* One entry of a list; of a family that nobody knows where the name is odd and it is the second. */
static struct addrinfo *make_entry(const endpoint *e, bool is_strange)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct addrinfo *entry = fake_allocate(sizeof *entry + sizeof in6);
    struct sockaddr *name = (struct sockaddr *)(void *)(entry + 1);
    memset(entry, 0, sizeof *entry + sizeof in6);
    memcpy(&in4.sin_addr, e->ip, 4);
    memcpy(&in6.sin6_addr, e->ip, 16);
    if (e->family == 4)
        memcpy(name, &in4, sizeof in4);
    else
        memcpy(name, &in6, sizeof in6);
    if (is_strange)
        name->sa_family = AF_UNIX;
    entry->ai_family = name->sa_family;
    entry->ai_addr = name;
    entry->ai_addrlen = e->family == 4 ? sizeof in4 : sizeof in6;
    return entry;
}

int fake_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
    answer a = {.count = 0};
    const name_kind kind = kind_of(name);
    FUZZ_CHECK(self != NULL && service == NULL && strlen(name) < 256 && hints->ai_socktype == SOCK_DGRAM);
    sleep_until(fake_now() + delay_of(kind));
    const int error = fake_refusal(FAKE_NAMES);
    if (error != 0)
        return error;
    if (kind == NAME_NEVER || kind == NAME_NONE)
        return kind == NAME_NEVER ? EAI_AGAIN : EAI_NONAME;
    if (kind == NAME_SYSTEM) {
        errno = EMFILE;
        return EAI_SYSTEM;
    }
    add_all(&a, kind, sum(name) - '0', hints->ai_family);
    *list = NULL;
    for (unsigned i = a.count; i > 0; i--) {
        struct addrinfo *entry = make_entry(&a.addresses[i - 1], kind == NAME_ODD && i == 2);
        entry->ai_next = *list;
        *list = entry;
    }
    return a.count > 0 || kind == NAME_OTHER ? 0 : EAI_NONAME;
}

void fake_freeaddrinfo(struct addrinfo *list)
{
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        fake_free(list);
        list = next;
    }
}
