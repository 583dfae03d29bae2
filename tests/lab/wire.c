/* SPDX-License-Identifier: MIT */
/*
 * A wire between two network interfaces: every Ethernet frame that enters one leaves the other, later, or never.
 *
 * The interfaces are ends of veth pairs and carry no addresses. Frames move with their virtio-net header, in which
 * the kernel keeps what it has not computed yet (checksums, segments), so that nothing need be recomputed here.
 * Delay counts from the kernel's receive time stamp, not from the moment this process got to run. ARP and neighbour
 * discovery pass at once and are never lost: the wire stands for a path through the internet, which has neither.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX (sizeof(struct virtio_net_hdr) + 65536 + 64)
#define HELD_MAX 65536 /* frames on the wire at one time */
#define BATCH 64       /* frames taken in before due ones are sent */
#define SECOND_NS UINT64_C(1000000000)

typedef struct options {
    uint64_t delay_ns;  /* one way */
    uint64_t jitter_ns; /* each delay varies evenly by this much up and down */
    double loss;        /* share of packets lost, each way */
    double burst;       /* mean length of a run of losses; 1 or less: losses are independent */
    double duplicate;   /* share of packets that arrive twice */
    uint64_t seed;
} options;

typedef struct direction {
    int in;
    int out;
    uint64_t random;
    bool in_burst;
} direction;

typedef struct held_frame {
    uint64_t due_ns;
    uint64_t order; /* frames due at the same time leave as they came */
    int out;
    size_t size;
    uint8_t data[];
} held_frame;

typedef struct wire {
    options options;
    direction directions[2];
    held_frame *held[HELD_MAX]; /* a binary heap, the next one due first */
    size_t held_count;
    uint64_t order;
} wire;

static void fail(const char *what)
{
    fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- Chance ----------------------------------------------------------------------------------------------------- */

/* splitmix64: small, seedable, the same everywhere. */
static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Evenly distributed in [0, 1). */
static double next_share(uint64_t *state)
{
    return (double)(next_random(state) >> 11) * 0x1.0p-53;
}

/* Gilbert's model: within a burst everything is lost; the mean share of losses stays what was asked for. */
static bool is_lost(direction *d, const options *o)
{
    double share = next_share(&d->random);
    if (o->burst <= 1)
        return share < o->loss;
    double leave = 1 / o->burst;
    double enter = o->loss < 1 ? o->loss * leave / (1 - o->loss) : 1;
    d->in_burst = d->in_burst ? share >= leave : share < enter;
    return d->in_burst;
}

static uint64_t next_delay(direction *d, const options *o)
{
    if (o->jitter_ns == 0)
        return o->delay_ns;
    uint64_t shift = next_random(&d->random) % (2 * o->jitter_ns + 1);
    return o->delay_ns + shift > o->jitter_ns ? o->delay_ns + shift - o->jitter_ns : 0;
}

/* ---- Frames on the wire ----------------------------------------------------------------------------------------- */

static bool is_due_before(const held_frame *a, const held_frame *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void swap_held(wire *w, size_t a, size_t b)
{
    held_frame *frame = w->held[a];
    w->held[a] = w->held[b];
    w->held[b] = frame;
}

static void hold(wire *w, const uint8_t *data, size_t size, int out, uint64_t due_ns)
{
    if (w->held_count == HELD_MAX)
        return; /* a full wire drops, as a full queue does */
    held_frame *frame = malloc(sizeof(*frame) + size);
    if (frame == NULL)
        fail("malloc");
    frame->due_ns = due_ns;
    frame->order = w->order++;
    frame->out = out;
    frame->size = size;
    memcpy(frame->data, data, size);

    size_t at = w->held_count++;
    w->held[at] = frame;
    for (; at > 0 && is_due_before(w->held[at], w->held[(at - 1) / 2]); at = (at - 1) / 2)
        swap_held(w, at, (at - 1) / 2);
}

static void drop_first(wire *w)
{
    free(w->held[0]);
    w->held[0] = w->held[--w->held_count];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < w->held_count; child++)
            if (is_due_before(w->held[child], w->held[least]))
                least = child;
        if (least == at)
            return;
        swap_held(w, at, least);
        at = least;
    }
}

/* ---- Interfaces ------------------------------------------------------------------------------------------------- */

static int open_interface(const char *name)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket(AF_PACKET)");
    int on = 1;
    int buffer = 4 << 20;
    if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0)
        fail("PACKET_VNET_HDR");
    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0)
        fail("SO_TIMESTAMPNS");
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)); /* the default holds a few hundred frames */
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = (uint16_t)(ETH_P_ALL << 8 | ETH_P_ALL >> 8),
        .sll_ifindex = (int)if_nametoindex(name),
    };
    if (address.sll_ifindex == 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        fail(name);
    return fd;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) < 0)
        fail("clock_gettime");
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

/* How long ago the kernel received the frame; its time stamp is of the wall clock. */
static uint64_t age_ns(struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        struct timespec stamp;
        memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
        uint64_t then = (uint64_t)stamp.tv_sec * SECOND_NS + (uint64_t)stamp.tv_nsec;
        uint64_t now = clock_ns(CLOCK_REALTIME);
        return now > then && now - then < SECOND_NS ? now - then : 0; /* the wall clock may have been set */
    }
    return 0;
}

/* ARP, or ICMPv6 router and neighbour discovery (RFC 4861 section 4: types 133 to 137). */
static bool is_neighbour_discovery(const uint8_t *frame, size_t size)
{
    if (size < ETH_HLEN)
        return false;
    unsigned type = (unsigned)frame[12] << 8 | frame[13];
    if (type == ETH_P_ARP)
        return true;
    const size_t icmp = ETH_HLEN + 40;
    return type == ETH_P_IPV6 && size > icmp && frame[ETH_HLEN + 6] == 58 && frame[icmp] >= 133 && frame[icmp] <= 137;
}

static void carry(wire *w, direction *d, const uint8_t *data, size_t size, uint64_t received_ns)
{
    const options *o = &w->options;
    if (is_neighbour_discovery(data + sizeof(struct virtio_net_hdr), size - sizeof(struct virtio_net_hdr))) {
        hold(w, data, size, d->out, received_ns);
        return;
    }
    if (is_lost(d, o))
        return;
    hold(w, data, size, d->out, received_ns + next_delay(d, o));
    if (o->duplicate > 0 && next_share(&d->random) < o->duplicate)
        hold(w, data, size, d->out, received_ns + next_delay(d, o));
}

/* False when there was nothing to take in. */
static bool take_in(wire *w, direction *d)
{
    static uint8_t data[FRAME_MAX];
    union {
        struct cmsghdr header;
        uint8_t room[CMSG_SPACE(sizeof(struct timespec)) + 64];
    } control;
    struct sockaddr_ll from = {0};
    struct iovec part = {.iov_base = data, .iov_len = sizeof(data)};
    struct msghdr message = {
        .msg_name = &from,
        .msg_namelen = sizeof(from),
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t size = recvmsg(d->in, &message, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR || errno == ENETDOWN))
        return false;
    if (size < 0)
        fail("recvmsg");
    bool own = from.sll_pkttype == PACKET_OUTGOING; /* what this process sent shows up as well */
    if (!own && (size_t)size > sizeof(struct virtio_net_hdr))
        carry(w, d, data, (size_t)size, clock_ns(CLOCK_MONOTONIC) - age_ns(&message));
    return true;
}

static void send_due(wire *w)
{
    while (w->held_count > 0 && w->held[0]->due_ns <= clock_ns(CLOCK_MONOTONIC)) {
        const held_frame *frame = w->held[0];
        ssize_t sent = send(frame->out, frame->data, frame->size, 0);
        if (sent < 0 && errno != ENOBUFS && errno != EAGAIN && errno != ENETDOWN)
            fail("send");
        drop_first(w);
    }
}

/* ---- Running ---------------------------------------------------------------------------------------------------- */

static void wait_for_work(const wire *w)
{
    struct pollfd fds[2] = {
        {.fd = w->directions[0].in, .events = POLLIN},
        {.fd = w->directions[1].in, .events = POLLIN},
    };
    struct timespec timeout = {0};
    if (w->held_count > 0) {
        uint64_t now = clock_ns(CLOCK_MONOTONIC);
        uint64_t wait = w->held[0]->due_ns > now ? w->held[0]->due_ns - now : 0;
        timeout.tv_sec = (time_t)(wait / SECOND_NS);
        timeout.tv_nsec = (long)(wait % SECOND_NS);
    }
    if (ppoll(fds, 2, w->held_count > 0 ? &timeout : NULL, NULL) < 0 && errno != EINTR)
        fail("ppoll");
}

static void run(wire *w)
{
    for (;;) {
        wait_for_work(w);
        for (size_t i = 0; i < 2; i++)
            for (int taken = 0; taken < BATCH && take_in(w, &w->directions[i]); taken++)
                continue;
        send_due(w);
    }
}

static void usage(void)
{
    fputs("usage: wire [--delay-us N] [--jitter-us N] [--loss SHARE] [--burst MEAN] [--duplicate SHARE] [--seed N]"
          " INTERFACE INTERFACE\n",
          stderr);
    exit(2);
}

static double number(const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(value >= least && value <= most)) {
        fprintf(stderr, "wire: not a number from %g to %g: %s\n", least, most, text);
        usage();
    }
    return value;
}

static int parse_options(int argc, char **argv, options *o)
{
    static const struct option names[] = {
        {"delay-us", required_argument, NULL, 'd'},
        {"jitter-us", required_argument, NULL, 'j'},
        {"loss", required_argument, NULL, 'l'},
        {"burst", required_argument, NULL, 'b'},
        {"duplicate", required_argument, NULL, 'u'},
        {"seed", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (c) {
        case 'd':
            o->delay_ns = (uint64_t)(number(optarg, 0, 60e6) * 1000);
            break;
        case 'j':
            o->jitter_ns = (uint64_t)(number(optarg, 0, 60e6) * 1000);
            break;
        case 'l':
            o->loss = number(optarg, 0, 1);
            break;
        case 'b':
            o->burst = number(optarg, 0, 1e6);
            break;
        case 'u':
            o->duplicate = number(optarg, 0, 1);
            break;
        case 's':
            o->seed = (uint64_t)number(optarg, 0, 9e15);
            break;
        default:
            usage();
        }
    }
    return optind;
}

int main(int argc, char **argv)
{
    static wire w;
    int first = parse_options(argc, argv, &w.options);
    if (argc - first != 2)
        usage();
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* the default rounds every wait up by 50 microseconds */
    int a = open_interface(argv[first]);
    int b = open_interface(argv[first + 1]);
    uint64_t seed = w.options.seed;
    w.directions[0] = (direction){.in = a, .out = b, .random = next_random(&seed)};
    w.directions[1] = (direction){.in = b, .out = a, .random = next_random(&seed)};
    puts("ready");
    fflush(stdout);
    run(&w);
}
