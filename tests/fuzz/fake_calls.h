/* SPDX-License-Identifier: MIT */
/* The calls of the system as fake_system.c and fake_threads.c make them. */
#ifndef TESTS_FUZZ_FAKE_CALLS_H
#define TESTS_FUZZ_FAKE_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

unsigned fake_if_nametoindex(const char *name);
char *fake_if_indextoname(unsigned index, char *name);
int fake_socket(int family, int type, int protocol);
int fake_bind(int fd, const struct sockaddr *name, socklen_t size);
int fake_connect(int fd, const struct sockaddr *name, socklen_t size);
int fake_getsockname(int fd, struct sockaddr *name, socklen_t *size);
int fake_getpeername(int fd, struct sockaddr *name, socklen_t *size);
int fake_getsockopt(int fd, int level, int option, void *value, socklen_t *size);
int fake_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int fake_fcntl(int fd, int command, int argument);
ssize_t fake_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *name, socklen_t name_size);
ssize_t fake_recvmsg(int fd, struct msghdr *message, int flags);
int fake_close(int fd);

int fake_epoll_create1(int flags);
int fake_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);
int fake_epoll_wait(int epoll_fd, struct epoll_event *events, int most, int timeout);
int fake_timerfd_create(int clock, int flags);
int fake_timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before);
int fake_eventfd(unsigned initial, int flags);
ssize_t fake_read(int fd, void *data, size_t size);
ssize_t fake_write(int fd, const void *data, size_t size);
int fake_poll(struct pollfd *fds, nfds_t count, int timeout);

int fake_clock_gettime(clockid_t clock, struct timespec *now);
int fake_open(const char *path, int flags);
ssize_t fake_getrandom(void *out, size_t size, unsigned flags);
void *fake_malloc(size_t size);
void *fake_calloc(size_t count, size_t size);
void fake_free(void *memory);
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
int fake_fprintf(FILE *stream, const char *format, ...);

int fake_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **list);
void fake_freeaddrinfo(struct addrinfo *list);
int fake_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int fake_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int fake_pthread_join(pthread_t thread, void **result);
int fake_pthread_detach(pthread_t thread);

#endif
