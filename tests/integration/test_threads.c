/* SPDX-License-Identifier: MIT */
/*
 * docs/THREADS.md put to the test, above all under ThreadSanitizer: many threads that run, cancel and free handles of
 * their own, cancel each other's, and hand handles over from thread to thread.
 */
#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, ROUNDS = 12, PATIENCE_MS = 60000 };

/* cmocka's assertions are for its own thread: the others count what went wrong. */
static atomic_uint wrong;

static void expect(bool true_here)
{
    if (!true_here)
        atomic_fetch_add(&wrong, 1);
}

typedef struct worker {
    pthread_t thread;
    const char *server;
    unsigned number;
    pthread_mutex_t mutex; /* guards probe */
    np_probe *probe;       /* that others may cancel; NULL while there is none */
} worker;

static worker workers[THREADS];
static atomic_bool all_done;

static void start_workers(void *(*life)(void *), const char *server)
{
    atomic_store(&wrong, 0);
    atomic_store(&all_done, false);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].server = server;
        workers[i].number = i;
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, life, &workers[i]), 0);
}

static void join_workers(void)
{
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    assert_int_equal(atomic_load(&wrong), 0);
}

static np_probe *new_probe(const char *server)
{
    np_probe *probe = np_probe_new();
    expect(probe != NULL && np_probe_set_source(probe, "127.0.0.1", 0) == NP_OK);
    expect(np_probe_add_server(probe, server) == NP_OK);
    return probe;
}

static int finish(np_probe *probe, np_result *r)
{
    int error;
    while ((error = np_probe_process(probe, r)) == NP_PENDING) {
        struct pollfd fd = {.fd = np_probe_fd(probe), .events = POLLIN};
        expect(poll(&fd, 1, PATIENCE_MS) == 1);
    }
    return error;
}

static int run_somehow(np_probe *probe, np_result *r, bool in_loop)
{
    if (!in_loop)
        return np_probe_run(probe, r);
    expect(np_probe_start(probe) == NP_OK);
    return finish(probe, r);
}

/* ---- Each its own ----------------------------------------------------------------------------------------------- */

static void *run_alone(void *argument)
{
    worker *w = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        np_result r;
        np_probe *probe = new_probe(w->server);
        expect(run_somehow(probe, &r, i % 2 == 0) == NP_OK);
        expect(r.nat_type == NP_NAT_OPEN_INTERNET);
        expect(strcmp(np_nat_type_name(r.nat_type), "open-internet") == 0);
        np_probe_free(probe);
    }
    return NULL;
}

static void different_handles_in_parallel(void **state)
{
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    start_workers(run_alone, stun_server_name(server));
    join_workers();
    stun_server_stop(server);
}

/* ---- Cancelled by others ---------------------------------------------------------------------------------------- */

static void publish(worker *w, np_probe *probe)
{
    pthread_mutex_lock(&w->mutex);
    w->probe = probe;
    pthread_mutex_unlock(&w->mutex);
}

/* Cancelled as long as it runs: what comes before and between the runs means none of them. */
static void *run_and_be_cancelled(void *argument)
{
    worker *w = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        np_result r;
        np_probe *probe = new_probe(w->server);
        expect(np_probe_set_timeout(probe, 3600000) == NP_OK);
        expect(np_probe_set_response_timeout(probe, 3600000) == NP_OK);
        publish(w, probe);
        expect(run_somehow(probe, &r, i % 2 == 0) == NP_ERR_CANCELLED);
        expect(run_somehow(probe, &r, i % 2 == 0) == NP_ERR_CANCELLED);
        publish(w, NULL); /* who cancels holds the mutex: nobody is at it any more */
        np_probe_free(probe);
    }
    return NULL;
}

static void *cancel_all_the_time(void *argument)
{
    unsigned number = 0;
    (void)argument;
    while (!atomic_load(&all_done)) {
        worker *w = &workers[number++ % THREADS];
        pthread_mutex_lock(&w->mutex);
        np_probe_cancel(w->probe);
        pthread_mutex_unlock(&w->mutex);
        poll(NULL, 0, 1);
    }
    return NULL;
}

static void cancelled_from_other_threads_at_any_moment(void **state)
{
    pthread_t cancellers[2];
    (void)state;
    stun_server *silent = support_server((stun_server_config){.reply = PLAIN_SILENT});
    start_workers(run_and_be_cancelled, stun_server_name(silent));
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&cancellers[i], NULL, cancel_all_the_time, NULL), 0);
    join_workers();
    atomic_store(&all_done, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(cancellers[i], NULL), 0);
    stun_server_stop(silent);
}

/* ---- Freed at any moment ---------------------------------------------------------------------------------------- */

static void *start_and_free(void *argument)
{
    worker *w = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        np_result r;
        np_probe *probe = new_probe(i % 3 == 0 ? "hanging.test" : w->server);
        expect(np_probe_start(probe) == NP_OK);
        for (unsigned turn = 0; turn < (w->number + i) % 7; turn++) {
            struct pollfd fd = {.fd = np_probe_fd(probe), .events = POLLIN};
            (void)poll(&fd, 1, 5);
            if (np_probe_process(probe, &r) != NP_PENDING)
                break;
        }
        np_probe_free(probe);
    }
    return NULL;
}

static void freed_at_any_moment_with_names_in_the_air(void **state)
{
    static const support_name names[] = {{.name = "hanging.test", .slow = true}};
    (void)state;
    support_set_names(names, 1);
    stun_server *server = support_server((stun_server_config){0});
    start_workers(start_and_free, stun_server_name(server));
    join_workers();
    stun_server_stop(server);
}

/* ---- Handed over ------------------------------------------------------------------------------------------------ */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    np_probe *probes[THREADS * ROUNDS];
    unsigned count;
    unsigned taken;
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* A handle made and started here is finished and freed there. */
static void *make_for_others(void *argument)
{
    worker *w = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        np_probe *probe = new_probe(w->server);
        expect(np_probe_start(probe) == NP_OK);
        pthread_mutex_lock(&queue.mutex);
        queue.probes[queue.count++] = probe;
        pthread_cond_signal(&queue.changed);
        pthread_mutex_unlock(&queue.mutex);
    }
    return NULL;
}

static np_probe *take(void)
{
    np_probe *probe = NULL;
    pthread_mutex_lock(&queue.mutex);
    while (queue.taken == queue.count && queue.taken < THREADS * ROUNDS)
        pthread_cond_wait(&queue.changed, &queue.mutex);
    if (queue.taken < queue.count)
        probe = queue.probes[queue.taken++];
    if (queue.taken == THREADS * ROUNDS)
        pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.mutex);
    return probe;
}

static void *finish_others(void *argument)
{
    np_probe *probe;
    (void)argument;
    while ((probe = take()) != NULL) {
        np_result r;
        expect(finish(probe, &r) == NP_OK);
        expect(r.nat_type == NP_NAT_OPEN_INTERNET);
        np_probe_free(probe);
    }
    return NULL;
}

static void handed_over_from_thread_to_thread(void **state)
{
    pthread_t finishers[4];
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    start_workers(make_for_others, stun_server_name(server));
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&finishers[i], NULL, finish_others, NULL), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(finishers[i], NULL), 0);
    join_workers();
    assert_int_equal(queue.taken, THREADS * ROUNDS);
    stun_server_stop(server);
}

int main(void)
{
    for (unsigned i = 0; i < THREADS; i++)
        pthread_mutex_init(&workers[i].mutex, NULL);
    const struct CMUnitTest tests[] = {
        CASE(different_handles_in_parallel),
        CASE(cancelled_from_other_threads_at_any_moment),
        CASE(freed_at_any_moment_with_names_in_the_air),
        CASE(handed_over_from_thread_to_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
