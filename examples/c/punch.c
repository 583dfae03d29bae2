/* SPDX-License-Identifier: MIT */
/*
 * Two hosts behind NATs connect. Start it on both. Each prints its profile: give that line to the other, by hand. Then
 * each sends to the external address of the other, in the order that the outlook advises, and answers to the address
 * that datagrams come from. A real program would also prove to its peer who it is, and keep a relay.
 */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <natprobe/natprobe.h>

#define TURN_MS 100
#define TURNS 100         /* ten seconds in all */
#define PATIENCE_TURNS 10 /* how long the other side has to send first */
#define LOW_TTL 4         /* far enough for the own NAT, not for the peer's */

/* Whatever else comes in the meantime is not for this program. */
static void ignore(const void *data, size_t size, const struct sockaddr *address, size_t address_size, void *user)
{
    (void)data, (void)size, (void)address, (void)address_size, (void)user;
}

/* Measures from the very socket that will punch: another one would have another external port. */
static int measure(np_probe *probe, int fd, char **servers, np_profile *ours)
{
    np_result result;
    int error = np_probe_set_socket(probe, fd, ignore, NULL);
    for (; error == NP_OK && *servers != NULL; servers++) {
        if ((error = np_probe_add_server(probe, *servers)) != NP_OK)
            fprintf(stderr, "%s: %s\n", *servers, np_strerror(error));
    }
    if (error != NP_OK)
        return 2;
    if (np_probe_run(probe, &result) != NP_OK) {
        fprintf(stderr, "%s\n", result.detail);
        return 1;
    }
    return np_profile_from_result(&result, time(NULL), ours) == NP_OK ? 0 : 1;
}

/* Prints our line and reads theirs. False, with a message, when that is none, or has no address to send to. */
static bool exchange(const np_profile *ours, np_profile *theirs, struct sockaddr_in *peer)
{
    char line[NP_PROFILE_TEXT_SIZE + 1];
    const char *reason = "There is no line of the peer";
    if (np_profile_format(ours, line, sizeof line) == NP_OK)
        printf("%s\n", line);
    if (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (np_profile_parse(line, theirs, &reason) == NP_OK)
            reason = "The profile has no IPv4 address with a port";
    }
    *peer = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(theirs->external_port)};
    if (theirs->external_port != 0 && inet_pton(AF_INET, theirs->external_ip, &peer->sin_addr) == 1)
        return true;
    fprintf(stderr, "%s\n", reason);
    return false;
}

/* Sends whether we have heard of the peer. With a low TTL it opens our NAT, and does not get to the peer's. */
static void send_to(int fd, const struct sockaddr_in *peer, bool has_heard, int ttl)
{
    if (setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl) == 0)
        sendto(fd, has_heard ? "punch 1" : "punch 0", 7, 0, (const struct sockaddr *)peer, sizeof *peer);
}

/* Waits for a turn. True when something came from the peer: peer is then where it came from. */
static bool hear(int fd, struct sockaddr_in *peer, bool *is_heard)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    char data[64];
    if (poll(&ready, 1, TURN_MS) <= 0)
        return false;
    if (recvfrom(fd, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&from, &size) != 7)
        return false;
    if (memcmp(data, "punch ", 6) != 0)
        return false;
    *peer = from;
    *is_heard = data[6] == '1';
    return true;
}

/* Until each side knows that the other hears it. */
static bool punch(int fd, struct sockaddr_in *peer, const np_outlook_result *outlook)
{
    bool has_heard = false, is_heard = false, is_low = (outlook->assumes & NP_ASSUMES_LOW_TTL) != 0;
    int quiet_turns = outlook->first == NP_FIRST_THEIRS ? PATIENCE_TURNS : 0;
    for (int turn = 0; turn < TURNS && !is_heard; turn++) {
        bool is_opening = is_low && !has_heard && turn < PATIENCE_TURNS;
        if (has_heard || turn >= quiet_turns)
            send_to(fd, peer, has_heard, is_opening ? LOW_TTL : 64);
        has_heard |= hear(fd, peer, &is_heard);
    }
    for (int copy = 0; copy < 5 && is_heard; copy++)
        send_to(fd, peer, true, 64); /* one of them should arrive */
    return is_heard;
}

static int run(int fd, np_probe *probe, char **servers)
{
    char ip[INET_ADDRSTRLEN] = "";
    struct sockaddr_in peer;
    np_profile ours, theirs = {0};
    np_outlook_result outlook;
    int status = measure(probe, fd, servers, &ours);
    if (status != 0)
        return status;
    if (!exchange(&ours, &theirs, &peer) || np_outlook(&ours, &theirs, time(NULL), &outlook) != NP_OK)
        return 1;
    printf("%s %s\n", np_outlook_class_description(outlook.outlook), np_first_description(outlook.first));
    if (outlook.best > NP_OUTLOOK_PUNCH_LEARN)
        return 3;
    bool is_connected = punch(fd, &peer, &outlook);
    printf("%s %s port %u\n", is_connected ? "connected with" : "nothing came from",
           inet_ntop(AF_INET, &peer.sin_addr, ip, sizeof ip), ntohs(peer.sin_port));
    return is_connected ? 0 : 1;
}

int main(int argc, char **argv)
{
    (void)argc;
    struct sockaddr_in local = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* each line when it is there, into pipes too */
    if (fd < 0 || bind(fd, (struct sockaddr *)&local, sizeof local) != 0) {
        perror("socket");
        return 1;
    }
    np_probe *probe = np_probe_new();
    if (probe == NULL)
        fprintf(stderr, "%s\n", np_strerror(NP_ERR_NO_MEMORY));
    int status = probe != NULL ? run(fd, probe, argv + 1) : 1;
    np_probe_free(probe);
    close(fd);
    return status;
}
