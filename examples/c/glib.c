/* SPDX-License-Identifier: MIT */
/*
 * A check in the main loop of GLib, with the servers given or the built-in public ones. A timer shows that the loop
 * goes on meanwhile; Ctrl-C cancels the check and ends the program in the ordinary way.
 */
#include <signal.h>
#include <stdio.h>

#include <glib-unix.h>
#include <natprobe/natprobe.h>

enum { TICK_MS = 10 };

typedef struct app {
    np_probe *probe;
    np_result result;
    unsigned ticks;
    GMainLoop *loop;
    guint watcher; /* of the descriptor that the check is behind; the three are 0 once they are removed */
    guint ticker;
    guint interrupt;
} app;

/* Any condition, errors included, is a reason to go on: the check finds out by itself what there is to do. */
static gboolean on_readable(gint fd, GIOCondition condition, gpointer user)
{
    app *a = user;
    (void)fd;
    (void)condition;
    if (np_probe_process(a->probe, &a->result) == NP_PENDING)
        return G_SOURCE_CONTINUE;
    a->watcher = 0;
    g_main_loop_quit(a->loop);
    return G_SOURCE_REMOVE;
}

static gboolean on_tick(gpointer user)
{
    app *a = user;
    a->ticks++;
    return G_SOURCE_CONTINUE;
}

/* The descriptor becomes readable, and np_probe_process() tells that the check was cancelled. */
static gboolean on_interrupt(gpointer user)
{
    app *a = user;
    np_probe_cancel(a->probe);
    return G_SOURCE_CONTINUE;
}

/* Zero, with a message, when there is no such source. */
static int remove_source(guint id)
{
    int is_removed = id == 0 || g_source_remove(id);
    if (!is_removed)
        fprintf(stderr, "glib: there is no source %u\n", id);
    return is_removed;
}

/* From the start of the check until its end. GLib ends the program if memory runs out; nothing else can fail here. */
static void run(app *a)
{
    a->loop = g_main_loop_new(NULL, FALSE);
    a->watcher = g_unix_fd_add(np_probe_fd(a->probe), G_IO_IN, on_readable, a);
    a->ticker = g_timeout_add(TICK_MS, on_tick, a);
    a->interrupt = g_unix_signal_add(SIGINT, on_interrupt, a);
    if (a->interrupt != 0) {
        g_main_loop_run(a->loop);
    } else {
        fprintf(stderr, "glib: the signal cannot be watched\n");
        a->result.error = NP_ERR_SYSTEM;
    }
    /* The loop watches nothing of this check any more, and may go on in the rest of the program. */
    if (!remove_source(a->watcher) || !remove_source(a->ticker) || !remove_source(a->interrupt))
        a->result.error = NP_ERR_SYSTEM;
    g_main_loop_unref(a->loop);
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
