/* SPDX-License-Identifier: MIT */
/*
 * What a check costs the program that runs it, with its system calls: alone, and among many in one thread. Prints a
 * table. Run "meson test --benchmark loop", or the program itself with numbers of probes at once as arguments.
 */
#include <dirent.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <natprobe/natprobe.h>

#include "../support/stun_server.h"

enum { SERVERS = 40, ALONE = 200 };

static stun_server *servers[SERVERS];

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static unsigned count_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        closedir(folder);
    return count;
}

static void give_up(const char *why)
{
    fprintf(stderr, "bench_loop: %s\n", why);
    exit(1);
}

static np_probe *make_probe(unsigned number)
{
    np_probe *probe = np_probe_new();
    if (probe == NULL || np_probe_set_source(probe, "127.0.0.1", 0) != NP_OK ||
        np_probe_add_server(probe, stun_server_name(servers[number % SERVERS])) != NP_OK)
        give_up("cannot make a probe");
    return probe;
}

static void check_verdict(const np_result *r)
{
    if (r->error != NP_OK || r->nat_type != NP_NAT_OPEN_INTERNET)
        give_up("a wrong verdict");
}

static void print_line(const char *name, unsigned count, double cpu_s, double wall_s, double bytes, double descriptors)
{
    printf("%-22s %8u %12.0f %10.1f %12.1f %12.1f\n", name, count, cpu_s / count * 1e6, wall_s * 1e3, bytes / 1024,
           descriptors);
}

static void one_after_the_other(void)
{
    np_probe *probe = make_probe(0);
    const double cpu = seconds(CLOCK_THREAD_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < ALONE; i++) {
        np_result r;
        np_probe_run(probe, &r);
        check_verdict(&r);
    }
    print_line("np_probe_run", ALONE, seconds(CLOCK_THREAD_CPUTIME_ID) - cpu, seconds(CLOCK_MONOTONIC) - wall, 0, 0);
    np_probe_free(probe);
}

static void start_all(np_probe **probes, unsigned count, int epoll_fd)
{
    for (unsigned i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        probes[i] = make_probe(i);
        if (np_probe_start(probes[i]) != NP_OK ||
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, np_probe_fd(probes[i]), &event) != 0)
            give_up("cannot start a probe");
    }
}

static void finish_all(np_probe **probes, unsigned count, int epoll_fd)
{
    struct epoll_event events[256];
    while (count > 0) {
        const int ready = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            np_result r;
            np_probe *probe = probes[events[i].data.u32];
            if (np_probe_process(probe, &r) == NP_PENDING)
                continue;
            check_verdict(&r);
            np_probe_free(probe);
            count--;
        }
    }
}

static void all_at_once(unsigned count)
{
    np_probe **probes = calloc(count, sizeof(*probes));
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (probes == NULL || epoll_fd < 0)
        give_up("no memory or descriptors");
    const unsigned descriptors_before = count_descriptors();
    const size_t bytes_before = mallinfo2().uordblks + mallinfo2().hblkhd;
    const double cpu = seconds(CLOCK_THREAD_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    start_all(probes, count, epoll_fd);
    const size_t bytes = mallinfo2().uordblks + mallinfo2().hblkhd - bytes_before;
    const unsigned descriptors = count_descriptors() - descriptors_before;
    finish_all(probes, count, epoll_fd);
    print_line("np_probe_process", count, seconds(CLOCK_THREAD_CPUTIME_ID) - cpu, seconds(CLOCK_MONOTONIC) - wall,
               (double)bytes / count, (double)descriptors / count);
    close(epoll_fd);
    free(probes);
}

int main(int argc, char **argv)
{
    static const unsigned usual[] = {1, 100, 1000};
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (unsigned i = 0; i < SERVERS; i++) {
        servers[i] = stun_server_start(&(stun_server_config){0});
        if (servers[i] == NULL)
            give_up("cannot start a server");
    }
    printf("%-22s %8s %12s %10s %12s %12s\n", "", "checks", "CPU us each", "wall ms", "KiB each", "descriptors");
    one_after_the_other();
    for (int i = 1; i < argc; i++)
        all_at_once((unsigned)strtoul(argv[i], NULL, 10));
    for (unsigned i = 0; argc < 2 && i < sizeof usual / sizeof usual[0]; i++)
        all_at_once(usual[i]);
    for (unsigned i = 0; i < SERVERS; i++)
        stun_server_stop(servers[i]);
    return 0;
}
