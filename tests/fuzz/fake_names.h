/* SPDX-License-Identifier: MIT */
/*
 * Included before everything else where the library is compiled for the target "calls": what it asks of the system it
 * asks of fake_system.c. Macros with arguments, so that members and variables of the same names stay what they are.
 */
#ifndef TESTS_FUZZ_FAKE_NAMES_H
#define TESTS_FUZZ_FAKE_NAMES_H

#include "fake_calls.h"

#define if_nametoindex(...) fake_if_nametoindex(__VA_ARGS__)
#define if_indextoname(...) fake_if_indextoname(__VA_ARGS__)
#define socket(...) fake_socket(__VA_ARGS__)
#define bind(...) fake_bind(__VA_ARGS__)
#define connect(...) fake_connect(__VA_ARGS__)
#define getsockname(...) fake_getsockname(__VA_ARGS__)
#define getpeername(...) fake_getpeername(__VA_ARGS__)
#define getsockopt(...) fake_getsockopt(__VA_ARGS__)
#define setsockopt(...) fake_setsockopt(__VA_ARGS__)
#define fcntl(...) fake_fcntl(__VA_ARGS__)
#define sendto(...) fake_sendto(__VA_ARGS__)
#define recvmsg(...) fake_recvmsg(__VA_ARGS__)
#define close(...) fake_close(__VA_ARGS__)
#define epoll_create1(...) fake_epoll_create1(__VA_ARGS__)
#define epoll_ctl(...) fake_epoll_ctl(__VA_ARGS__)
#define epoll_wait(...) fake_epoll_wait(__VA_ARGS__)
#define timerfd_create(...) fake_timerfd_create(__VA_ARGS__)
#define timerfd_settime(...) fake_timerfd_settime(__VA_ARGS__)
#define eventfd(...) fake_eventfd(__VA_ARGS__)
#define read(...) fake_read(__VA_ARGS__)
#define write(...) fake_write(__VA_ARGS__)
#define poll(...) fake_poll(__VA_ARGS__)
#define clock_gettime(...) fake_clock_gettime(__VA_ARGS__)
#define open(...) fake_open(__VA_ARGS__)
#define getrandom(...) fake_getrandom(__VA_ARGS__)
#define malloc(...) fake_malloc(__VA_ARGS__)
#define calloc(...) fake_calloc(__VA_ARGS__)
#define free(...) fake_free(__VA_ARGS__)
#define fprintf(...) fake_fprintf(__VA_ARGS__)
#define getaddrinfo(...) fake_getaddrinfo(__VA_ARGS__)
#define freeaddrinfo(...) fake_freeaddrinfo(__VA_ARGS__)
#define pthread_mutex_init(...) fake_pthread_mutex_init(__VA_ARGS__)
#define pthread_create(...) fake_pthread_create(__VA_ARGS__)
#define pthread_join(...) fake_pthread_join(__VA_ARGS__)
#define pthread_detach(...) fake_pthread_detach(__VA_ARGS__)

#endif
