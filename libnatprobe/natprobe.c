/* SPDX-License-Identifier: MIT */
/* The public functions: arguments checked, one run started. */
#include <natprobe/natprobe.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "random.h"
#include "run.h"
#include "servers.h"

_Static_assert(sizeof(np_result) == 512, "np_result is 512 bytes for the life of the ABI");

#define TIMEOUT_MAX_MS 3600000U
#define NS_PER_MS UINT64_C(1000000)

struct np_probe {
    npi_addr source; /* family none: not set */
    uint16_t source_port;
    int32_t family;
    int32_t tests;
    uint32_t timeout_ms;
    uint32_t response_timeout_ms;
    npi_log log;
    npi_server_name servers[NP_MAX_SERVERS];
    size_t server_count; /* 0: the built-in list */
    atomic_flag running;
    atomic_bool cancelled;
    int wake_read_fd; /* -1 until the first run */
    atomic_int wake_write_fd;
};

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static void init(np_probe *probe)
{
    memset(probe, 0, sizeof *probe);
    probe->tests = NP_TESTS_ALL;
    probe->timeout_ms = NP_DEFAULT_TIMEOUT_MS;
    probe->response_timeout_ms = NP_DEFAULT_RESPONSE_TIMEOUT_MS;
    probe->wake_read_fd = -1;
    atomic_flag_clear(&probe->running);
    atomic_init(&probe->cancelled, false);
    atomic_init(&probe->wake_write_fd, -1);
}

np_probe *np_probe_new(void)
{
    np_probe *probe = malloc(sizeof *probe);
    if (probe != NULL)
        init(probe);
    return probe;
}

void np_probe_free(np_probe *probe)
{
    if (probe == NULL)
        return;
    if (probe->wake_read_fd >= 0) {
        close(probe->wake_read_fd);
        close(atomic_load(&probe->wake_write_fd));
    }
    free(probe);
}

void np_probe_cancel(np_probe *probe)
{
    if (probe == NULL)
        return;
    int saved_errno = errno;
    atomic_store(&probe->cancelled, true);
    int fd = atomic_load(&probe->wake_write_fd);
    /* A full pipe wakes as well as one more byte would. */
    if (fd >= 0 && write(fd, "", 1) < 0)
        errno = saved_errno;
    errno = saved_errno;
}

/* ---- Settings --------------------------------------------------------------------------------------------------- */

int np_probe_set_source(np_probe *probe, const char *ip, uint16_t port)
{
    if (probe == NULL)
        return NP_ERR_ARGUMENT;
    npi_addr source;
    memset(&source, 0, sizeof source);
    if (ip != NULL && !npi_addr_parse_ip(ip, &source))
        return NP_ERR_ARGUMENT;
    probe->source = source;
    probe->source_port = port;
    return NP_OK;
}

int np_probe_add_server(np_probe *probe, const char *server)
{
    if (probe == NULL || server == NULL || probe->server_count == NP_MAX_SERVERS)
        return NP_ERR_ARGUMENT;
    npi_server_name *name = &probe->servers[probe->server_count];
    if (!npi_server_parse(server, name))
        return NP_ERR_ARGUMENT;
    npi_addr literal;
    if (npi_addr_parse_ip(name->host, &literal)) {
        literal.port = name->port;
        if (!npi_addr_is_destination(&literal))
            return NP_ERR_ARGUMENT;
    }
    probe->server_count++;
    return NP_OK;
}

int np_probe_clear_servers(np_probe *probe)
{
    if (probe == NULL)
        return NP_ERR_ARGUMENT;
    probe->server_count = 0;
    return NP_OK;
}

int np_probe_set_family(np_probe *probe, int32_t family)
{
    if (probe == NULL || (family != NP_FAMILY_ANY && family != NP_FAMILY_IPV4 && family != NP_FAMILY_IPV6))
        return NP_ERR_ARGUMENT;
    probe->family = family;
    return NP_OK;
}

int np_probe_set_tests(np_probe *probe, int32_t tests)
{
    if (probe == NULL || (tests != NP_TESTS_MAPPING && tests != NP_TESTS_ALL))
        return NP_ERR_ARGUMENT;
    probe->tests = tests;
    return NP_OK;
}

static int set_time(np_probe *probe, uint32_t *setting, uint32_t timeout_ms)
{
    if (probe == NULL || timeout_ms == 0 || timeout_ms > TIMEOUT_MAX_MS)
        return NP_ERR_ARGUMENT;
    *setting = timeout_ms;
    return NP_OK;
}

int np_probe_set_timeout(np_probe *probe, uint32_t timeout_ms)
{
    return probe == NULL ? NP_ERR_ARGUMENT : set_time(probe, &probe->timeout_ms, timeout_ms);
}

int np_probe_set_response_timeout(np_probe *probe, uint32_t timeout_ms)
{
    return probe == NULL ? NP_ERR_ARGUMENT : set_time(probe, &probe->response_timeout_ms, timeout_ms);
}

int np_probe_set_log(np_probe *probe, np_log_fn log, void *user, int32_t level)
{
    if (probe == NULL || (log != NULL && (level < NP_LOG_ERROR || level > NP_LOG_DEBUG)))
        return NP_ERR_ARGUMENT;
    probe->log.sink = log;
    probe->log.user = user;
    probe->log.level = level;
    return NP_OK;
}

/* ---- Running ---------------------------------------------------------------------------------------------------- */

static int fail(np_result *result, int error, int os_error, const char *detail)
{
    memset(result, 0, sizeof *result);
    result->error = error;
    result->os_error = os_error;
    snprintf(result->detail, sizeof result->detail, "%s", detail);
    return error;
}

static bool make_pipe(np_probe *probe)
{
    int fds[2];
    if (probe->wake_read_fd >= 0)
        return true;
    if (pipe(fds) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
    }
    probe->wake_read_fd = fds[0];
    atomic_store(&probe->wake_write_fd, fds[1]);
    return true;
}

static bool all_servers_are_ipv6_literals(const np_probe *probe)
{
    for (size_t i = 0; i < probe->server_count; i++) {
        npi_addr a;
        if (!npi_addr_parse_ip(probe->servers[i].host, &a) || a.family != NPI_IPV6)
            return false;
    }
    return probe->server_count > 0;
}

/* The family to try first: that of the source address, that which was chosen, or that which all servers have. */
static npi_addr first_source(const np_probe *probe)
{
    npi_addr source = probe->source;
    if (!npi_addr_is_set(&source)) {
        bool ipv6 = probe->family == NP_FAMILY_IPV6 ||
                    (probe->family == NP_FAMILY_ANY && all_servers_are_ipv6_literals(probe));
        source.family = ipv6 ? NPI_IPV6 : NPI_IPV4;
    }
    source.port = probe->source_port;
    return source;
}

static int run_from(np_probe *probe, const npi_addr *source, const npi_server_name *servers, size_t count,
                    uint64_t start_ns, uint64_t timeout_ns, np_result *result)
{
    npi_run_config config = {
        .source = *source,
        .tests = probe->tests,
        .timeout_ns = timeout_ns,
        .response_timeout_ns = probe->response_timeout_ms * NS_PER_MS,
        .servers = servers,
        .server_count = count,
        .log = probe->log,
        .wake_fd = probe->wake_read_fd,
        .wake_write_fd = atomic_load(&probe->wake_write_fd),
        .cancelled = &probe->cancelled,
    };
    return npi_run(&config, start_ns, result);
}

/* With no family chosen, a host without IPv4 is checked over IPv6; the first error stands if that fails as well. */
static int run_families(np_probe *probe, const npi_server_name *servers, size_t count, np_result *result)
{
    uint64_t start_ns = npi_clock_now();
    uint64_t timeout_ns = probe->timeout_ms * NS_PER_MS;
    npi_addr source = first_source(probe);
    int error = run_from(probe, &source, servers, count, start_ns, timeout_ns, result);
    bool other = error == NP_ERR_NETWORK_UNREACHABLE || error == NP_ERR_RESOLVE;
    bool free_choice = probe->family == NP_FAMILY_ANY && !npi_addr_is_set(&probe->source) && source.family == NPI_IPV4;
    if (!other || !free_choice)
        return error;

    np_result second;
    source.family = NPI_IPV6;
    uint64_t used_ns = npi_clock_now() - start_ns;
    if (used_ns >= timeout_ns)
        return error;
    npi_log_write(&probe->log, NP_LOG_INFO, "nothing to be had over IPv4: trying IPv6");
    int second_error = run_from(probe, &source, servers, count, start_ns, timeout_ns, &second);
    if (second_error == NP_OK || second_error == NP_ERR_CANCELLED || second.packets_received > 0) {
        *result = second;
        return second_error;
    }
    return error;
}

static int run(np_probe *probe, np_result *result)
{
    if (npi_addr_is_set(&probe->source) && probe->family != NP_FAMILY_ANY && probe->family != probe->source.family)
        return fail(result, NP_ERR_ARGUMENT, 0, "the source address is not of the family that was chosen");
    if (!make_pipe(probe))
        return fail(result, NP_ERR_SYSTEM, errno, "no descriptors left");
    if (probe->server_count > 0)
        return run_families(probe, probe->servers, probe->server_count, result);

    npi_server_name builtin[NP_MAX_SERVERS];
    uint8_t random[NP_MAX_SERVERS];
    if (!npi_random_bytes(random, sizeof random))
        return fail(result, NP_ERR_SYSTEM, errno, "the system gives no random bytes");
    return run_families(probe, builtin, npi_builtin_shuffled(builtin, NP_MAX_SERVERS, random), result);
}

int np_probe_run(np_probe *probe, np_result *result)
{
    if (result == NULL)
        return NP_ERR_ARGUMENT;
    if (probe == NULL)
        return fail(result, NP_ERR_ARGUMENT, 0, "the probe is NULL");
    if (atomic_flag_test_and_set(&probe->running))
        return fail(result, NP_ERR_BUSY, 0, "the probe is running already");
    int error = run(probe, result);
    if (error == NP_ERR_CANCELLED)
        atomic_store(&probe->cancelled, false);
    atomic_flag_clear(&probe->running);
    return error;
}

int np_check_nat(const char *src_ip, uint16_t src_port, np_result *result)
{
    if (result == NULL)
        return NP_ERR_ARGUMENT;
    np_probe *probe = np_probe_new();
    if (probe == NULL)
        return fail(result, NP_ERR_NO_MEMORY, ENOMEM, "out of memory");
    int error = np_probe_set_source(probe, src_ip != NULL ? src_ip : NP_DEFAULT_SOURCE_IP, src_port);
    if (error != NP_OK)
        fail(result, error, 0, "the source address is not an IP literal");
    else
        error = np_probe_run(probe, result);
    np_probe_free(probe);
    return error;
}

/* ---- Logging the outcome ---------------------------------------------------------------------------------------- */

static void log_to_stderr(void *user, int32_t level, const char *message)
{
    (void)user;
    fprintf(stderr, "natprobe: %s%s\n", level == NP_LOG_ERROR ? "error: " : "", message);
}

static void log_outcome(const npi_log *log, int error, const np_result *result)
{
    if (error != NP_OK) {
        npi_log_write(log, NP_LOG_ERROR, "Failed to determine NAT type: %s%s%s", np_strerror(error),
                      result->detail[0] != '\0' ? ": " : "", result->detail);
        return;
    }
    npi_log_write(log, NP_LOG_INFO, "NAT type:      %s", np_nat_type_description(result->nat_type));
    npi_log_write(log, NP_LOG_INFO, "External IP:   %s", result->external_ip);
    npi_log_write(log, NP_LOG_INFO, "External port: %u", (unsigned)result->external_port);
    bool unlikely = result->nat_type == NP_NAT_SYMMETRIC;
    npi_log_write(log, NP_LOG_INFO, "NAT traversal by UDP hole punching is %s to work", unlikely ? "unlikely" : "likely");
}

int np_check_nat_and_log(const char *src_ip, uint16_t src_port, np_log_fn log, void *user)
{
    np_result result;
    npi_log sink = {log != NULL ? log : log_to_stderr, user, NP_LOG_INFO};
    int error = np_check_nat(src_ip, src_port, &result);
    log_outcome(&sink, error, &result);
    return error;
}

/* ---- Version ---------------------------------------------------------------------------------------------------- */

const char *np_version(void)
{
    return NP_VERSION;
}

uint32_t np_version_number(void)
{
    return NP_VERSION_NUMBER;
}

size_t np_result_size(void)
{
    return sizeof(np_result);
}
