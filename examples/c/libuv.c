/* SPDX-License-Identifier: MIT */
/*
 * A check in a libuv loop, with the servers given or the built-in public ones. A timer shows that the loop goes on
 * meanwhile; Ctrl-C cancels the check and ends the program in the ordinary way.
 */
#define _POSIX_C_SOURCE 200809L

#include <signal.h>
#include <stdio.h>

#include <natprobe/natprobe.h>
#include <uv.h>

enum { TICK_MS = 10 };

typedef struct app {
    np_probe *probe;
    np_result result;
    unsigned ticks;
    uv_poll_t watcher; /* of the descriptor that the check is behind */
    uv_timer_t ticker;
    uv_signal_t interrupt;
} app;

/* Once the handles are closed nothing is left in the loop, and uv_run() returns. */
static void finish(app *a)
{
    uv_close((uv_handle_t *)&a->watcher, NULL);
    uv_close((uv_handle_t *)&a->ticker, NULL);
    uv_close((uv_handle_t *)&a->interrupt, NULL);
}

/* Any event, errors included, is a reason to go on: the check finds out by itself what there is to do. */
static void on_readable(uv_poll_t *watcher, int status, int events)
{
    app *a = watcher->data;
    (void)status;
    (void)events;
    if (np_probe_process(a->probe, &a->result) != NP_PENDING)
        finish(a);
}

static void on_tick(uv_timer_t *ticker)
{
    app *a = ticker->data;
    a->ticks++;
}

/* The descriptor becomes readable, and np_probe_process() tells that the check was cancelled. */
static void on_interrupt(uv_signal_t *interrupt, int signal_number)
{
    app *a = interrupt->data;
    (void)signal_number;
    np_probe_cancel(a->probe);
}

static void close_handle(uv_handle_t *handle, void *nothing)
{
    (void)nothing;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* libuv only watches the descriptor; it is the library's, which closes it in np_probe_free(). */
static int watch(app *a, uv_loop_t *loop)
{
    a->watcher.data = a->ticker.data = a->interrupt.data = a;
    int error = uv_poll_init(loop, &a->watcher, np_probe_fd(a->probe));
    if (error == 0)
        error = uv_timer_init(loop, &a->ticker);
    if (error == 0)
        error = uv_signal_init(loop, &a->interrupt);
    if (error == 0)
        error = uv_poll_start(&a->watcher, UV_READABLE, on_readable);
    if (error == 0)
        error = uv_timer_start(&a->ticker, on_tick, TICK_MS, TICK_MS);
    if (error == 0)
        error = uv_signal_start(&a->interrupt, on_interrupt, SIGINT);
    return error;
}

/* From the start of the check until its end. */
static void run(app *a)
{
    uv_loop_t loop;
    int error = uv_loop_init(&loop);
    if (error == 0) {
        error = watch(a, &loop);
        if (error != 0)
            uv_walk(&loop, close_handle, NULL); /* those that there are already */
        uv_run(&loop, UV_RUN_DEFAULT);
        int left = uv_loop_close(&loop); /* everything in it has been closed */
        error = error != 0 ? error : left;
    }
    if (error != 0) {
        fprintf(stderr, "libuv: %s\n", uv_strerror(error));
        a->result.error = NP_ERR_SYSTEM;
    }
}

static void print_result(const app *a)
{
    const np_result *r = &a->result;
    if (r->error == NP_OK)
        printf("%s, seen as %s port %u\n", np_nat_type_description(r->nat_type), r->external_ip, r->external_port);
    else
        printf("%s: %s\n", np_strerror(r->error), r->detail);
    fprintf(stderr, "%u ticks meanwhile\n", a->ticks);
}

/* Zero, with a message, when one of the servers is none. */
static int add_servers(np_probe *probe, char **servers)
{
    for (; *servers != NULL; servers++) {
        int error = np_probe_add_server(probe, *servers);
        if (error != NP_OK) {
            fprintf(stderr, "%s: %s\n", *servers, np_strerror(error));
            return 0;
        }
    }
    return 1;
}

int main(int argc, char **argv)
{
    (void)argc;
    app a = {.probe = np_probe_new()};
    if (a.probe == NULL) {
        fprintf(stderr, "%s\n", np_strerror(NP_ERR_NO_MEMORY));
        return 1;
    }
    if (!add_servers(a.probe, argv + 1)) {
        np_probe_free(a.probe);
        return 2;
    }
    a.result.error = np_probe_start(a.probe);
    if (a.result.error == NP_OK)
        run(&a);
    print_result(&a);
    np_probe_free(a.probe); /* only now that the loop no longer watches its descriptor */
    return a.result.error == NP_OK ? 0 : 1;
}
