/* SPDX-License-Identifier: MIT */
/*
 * A program that talks to its peers over a UDP socket of its own asks how that very socket is seen from outside. The
 * check goes out through the socket while peers are calling already; afterwards the program goes on with it until its
 * standard input ends. A peer that says "hello" gets "welcome".
 */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <natprobe/natprobe.h>

#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0 /* not every system has it: there a program that is started gets the socket too */
#endif

/* A UDP socket on any free port. -1, with a message, when there is none. */
static int open_socket(void)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    socklen_t size = sizeof local;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&local, size) == 0 &&
        getsockname(fd, (struct sockaddr *)&local, &size) == 0) {
        printf("listening on port %u\n", ntohs(local.sin_port));
        return fd;
    }
    perror("socket");
    if (fd >= 0)
        close(fd);
    return -1;
}

/* What is not of the program's protocol is ignored; late answers of STUN servers may be among it. */
static void answer(int fd, const void *data, size_t size, const struct sockaddr_in *peer)
{
    static const char welcome[] = "welcome";
    char ip[INET_ADDRSTRLEN];
    if (size < 5 || memcmp(data, "hello", 5) != 0)
        return;
    printf("hello from %s port %u\n", inet_ntop(AF_INET, &peer->sin_addr, ip, sizeof ip), ntohs(peer->sin_port));
    sendto(fd, welcome, sizeof welcome - 1, 0, (const struct sockaddr *)peer, sizeof *peer);
}

static void receive(int fd)
{
    char data[1500];
    struct sockaddr_in peer;
    socklen_t peer_size = sizeof peer;
    ssize_t size = recvfrom(fd, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&peer, &peer_size);
    if (size >= 0)
        answer(fd, data, (size_t)size, &peer);
}

/* While the check goes on the library reads the socket, and hands over here what is not an answer to it. */
static void on_datagram(const void *data, size_t size, const struct sockaddr *address, size_t address_size, void *user)
{
    const int *fd = user;
    struct sockaddr_in peer;
    if (address_size != sizeof peer)
        return;
    memcpy(&peer, address, sizeof peer);
    answer(*fd, data, size, &peer);
}

/* Goes on with the check, without waiting. */
static int go_on(np_probe *probe)
{
    np_result r;
    int error = np_probe_process(probe, &r);
    if (error == NP_OK)
        printf("%s, port %u is seen as %s port %u\n", np_nat_type_description(r.nat_type), r.local_port, r.external_ip,
               r.external_port);
    else if (error != NP_PENDING)
        printf("%s: %s\n", np_strerror(error), r.detail);
    return error;
}

/* Zero at the end of the input. */
static int read_input(void)
{
    char text[256];
    return read(STDIN_FILENO, text, sizeof text) > 0;
}

/* First the check, then the program's own work for as long as there is input. Zero when there was a verdict. */
static int run(np_probe *probe, int fd)
{
    struct pollfd fds[2] = {{.fd = np_probe_fd(probe), .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    int error = NP_PENDING;
    while (error == NP_PENDING || fds[1].fd >= 0) {
        if (poll(fds, 2, -1) < 0) {
            if (errno == EINTR)
                continue; /* a signal came */
            perror("poll");
            return 1;
        }
        if (fds[1].revents != 0 && !read_input())
            fds[1].fd = -1;
        if (fds[0].revents != 0 && error != NP_PENDING)
            receive(fd);
        else if (fds[0].revents != 0 && (error = go_on(probe)) != NP_PENDING)
            fds[0].fd = fd; /* now the socket is the program's alone again */
    }
    return error != NP_OK;
}

/* Makes the check ready and begins it. Zero, with a message, when that cannot be. */
static int start(np_probe *probe, int *fd, char **servers)
{
    const char *what = "socket";
    int error = np_probe_set_socket(probe, *fd, on_datagram, fd);
    for (; error == NP_OK && *servers != NULL; servers++) {
        what = *servers;
        error = np_probe_add_server(probe, what);
    }
    if (error == NP_OK) {
        what = "check";
        error = np_probe_start(probe);
    }
    if (error != NP_OK)
        fprintf(stderr, "%s: %s\n", what, np_strerror(error));
    return error == NP_OK;
}

int main(int argc, char **argv)
{
    (void)argc;
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* each line when it is there, into pipes too */
    int fd = open_socket();
    if (fd < 0)
        return 1;
    np_probe *probe = np_probe_new();
    int status = 1;
    if (probe == NULL)
        fprintf(stderr, "%s\n", np_strerror(NP_ERR_NO_MEMORY));
    else
        status = start(probe, &fd, argv + 1) ? run(probe, fd) : 2;
    np_probe_free(probe);
    close(fd);
    return status;
}
