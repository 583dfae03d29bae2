/* SPDX-License-Identifier: MIT */
/*
 * Loaded before the C library, so that a program under test asks no name server: "slow.test" never answers, and no
 * other name exists, unless NP_TEST_ADDRESS gives the IPv4 address that they all have. NP_TEST_HANGING names a file
 * that is made when the first look-up hangs.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result);

void freeaddrinfo(struct addrinfo *list);

static void hang(void)
{
    const char *file = getenv("NP_TEST_HANGING");
    if (file != NULL) {
        const int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
            close(fd);
    }
    for (;;)
        nanosleep(&(struct timespec){3600, 0}, NULL);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    static _Thread_local struct sockaddr_in name = {.sin_family = AF_INET};
    static _Thread_local struct addrinfo found = {
        .ai_family = AF_INET, .ai_socktype = SOCK_DGRAM, .ai_addrlen = sizeof name};
    const char *address = getenv("NP_TEST_ADDRESS");
    (void)service;
    *result = NULL;
    if (node != NULL && strcmp(node, "slow.test") == 0)
        hang();
    if (address == NULL || hints == NULL || hints->ai_family == AF_INET6)
        return EAI_NONAME;
    name.sin_addr.s_addr = inet_addr(address);
    found.ai_addr = (struct sockaddr *)&name;
    *result = &found;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    (void)list; /* there is but one */
}
