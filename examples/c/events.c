/* SPDX-License-Identifier: MIT */
/*
 * What a check does, as a table of its requests that fills while it runs; where the output is no terminal it is printed
 * at the end. With the servers given, or the built-in public ones.
 */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <unistd.h>

#include <natprobe/natprobe.h>

enum { PURPOSES = NP_PURPOSE_OPTIONAL + 1, REQUESTS = NP_REQUEST_III + 1 };

typedef struct row {
    unsigned sent;
    unsigned answered;
    np_event first; /* answer */
} row;

typedef struct table {
    row rows[PURPOSES][REQUESTS]; /* by purpose and request */
    int shown;                    /* lines on the terminal, to be written over */
} table;

static int print_row(int purpose, int request, const row *r)
{
    double first_ms = (double)r->first.time_us / 1e3;
    if (r->sent == 0)
        return 0;
    printf("%-10s %-5s %5u %7u", np_purpose_name(purpose), np_request_name(request), r->sent, r->answered);
    if (r->first.stun_error != 0)
        printf("  %7.1f ms  %-21s  error %d", first_ms, r->first.remote, (int)r->first.stun_error);
    else if (r->answered > 0)
        printf("  %7.1f ms  %-21s  %s", first_ms, r->first.remote, r->first.external);
    putchar('\n');
    return 1;
}

static void print_table(table *t)
{
    if (t->shown > 0)
        printf("\033[%dF\033[J", t->shown); /* back to the first line, clear from there on */
    puts("purpose    test   sent answers  first at    from                   external address");
    t->shown = 1;
    for (int purpose = 1; purpose < PURPOSES; purpose++) {
        for (int request = 1; request < REQUESTS; request++)
            t->shown += print_row(purpose, request, &t->rows[purpose][request]);
    }
    fflush(stdout);
}

/* Later versions may have kinds, purposes and requests that this program does not know: it leaves them out. */
static row *find(table *t, const np_event *e)
{
    int is_known = e->purpose > 0 && e->purpose < PURPOSES && e->request > 0 && e->request < REQUESTS;
    return is_known ? &t->rows[e->purpose][e->request] : NULL;
}

static void on_event(const np_event *e, void *user)
{
    table *t = user;
    row *about = find(t, e);
    if (about == NULL)
        return;
    if (e->kind == NP_EVENT_SENT)
        about->sent++;
    if (e->kind == NP_EVENT_ANSWERED && about->answered++ == 0)
        about->first = *e;
    if (isatty(STDOUT_FILENO))
        print_table(t);
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

static int check(np_probe *probe)
{
    table t = {.shown = 0};
    np_result result;
    int error = np_probe_set_events(probe, on_event, &t);
    if (error != NP_OK) {
        fprintf(stderr, "events: %s\n", np_strerror(error));
        return 1;
    }
    error = np_probe_run(probe, &result);
    print_table(&t);
    if (error == NP_OK)
        printf("mapping %s, filtering %s: %s\n", np_behaviour_name(result.mapping), np_behaviour_name(result.filtering),
               np_nat_type_description(result.nat_type));
    else
        printf("%s: %s\n", np_strerror(error), result.detail);
    return error == NP_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    (void)argc;
    np_probe *probe = np_probe_new();
    if (probe == NULL) {
        fprintf(stderr, "%s\n", np_strerror(NP_ERR_NO_MEMORY));
        return 1;
    }
    int status = add_servers(probe, argv + 1) ? check(probe) : 2;
    np_probe_free(probe);
    return status;
}
