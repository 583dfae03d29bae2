/* SPDX-License-Identifier: MIT */
/* random and clock: the kernel's bytes and time, and what happens when the kernel hesitates or refuses. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>
#include <time.h>

#include "clock.h"
#include "random.h"
#include "unit.h"

/* ---- Stand-ins for the system ----------------------------------------------------------------------------------- */

/* The function of that name that this program's own hides. */
#define REAL(pointer, name)                                                                                            \
    do {                                                                                                               \
        void *symbol = dlsym(RTLD_NEXT, name);                                                                         \
        memcpy(&(pointer), &symbol, sizeof(pointer));                                                                  \
    } while (0)

static bool boottime_is_missing;
static unsigned order; /* of the readings */
static unsigned read_at[16];

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        REAL(real, "clock_gettime");
#ifdef CLOCK_BOOTTIME
    if (clock == CLOCK_BOOTTIME && boottime_is_missing) {
        errno = EINVAL;
        return -1;
    }
#endif
    if (clock >= 0 && (size_t)clock < sizeof read_at / sizeof read_at[0])
        read_at[clock] = ++order;
    return real(clock, out);
}

#ifdef __linux__

static int interruptions;   /* how many calls end with EINTR first */
static size_t most_at_once; /* 0: no limit */
static int refusal;         /* errno of every call, or 0 */
static unsigned calls;
static unsigned flags_given;

ssize_t getrandom(void *out, size_t size, unsigned flags)
{
    static ssize_t (*real)(void *, size_t, unsigned);
    if (real == NULL)
        REAL(real, "getrandom");
    calls++;
    flags_given = flags;
    if (interruptions > 0 || refusal != 0) {
        errno = interruptions > 0 ? EINTR : refusal;
        interruptions -= interruptions > 0;
        return -1;
    }
    return real(out, most_at_once != 0 && size > most_at_once ? most_at_once : size, flags);
}

#endif

static int reset(void **state)
{
    (void)state;
    boottime_is_missing = false;
#ifdef __linux__
    interruptions = 0;
    most_at_once = 0;
    refusal = 0;
    calls = 0;
#endif
    return 0;
}

/* ---- Clock ------------------------------------------------------------------------------------------------------ */

static uint64_t read_system_clock(clockid_t clock)
{
    struct timespec now;
    assert_int_equal(clock_gettime(clock, &now), 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void assert_is_clock(clockid_t clock)
{
    uint64_t before = read_system_clock(clock);
    uint64_t now = npi_clock_now();
    uint64_t after = read_system_clock(clock);
    assert_true(before <= now);
    assert_true(now <= after);
}

#ifdef __linux__
#define THE_CLOCK CLOCK_BOOTTIME
#else
#define THE_CLOCK CLOCK_MONOTONIC
#endif

static void clock_counts_nanoseconds_of_the_clock_that_never_stops(void **state)
{
    (void)state;
    assert_is_clock(THE_CLOCK);
}

/* However the process is held up, what was stamped then is not taken for older than it is. */
static void a_moment_is_not_too_early_for_its_wall_clock(void **state)
{
    (void)state;
    order = 0;
    npi_moment m = npi_clock_moment();
    assert_true(read_at[CLOCK_REALTIME] < read_at[THE_CLOCK]);
    assert_in_range(m.wall_ns, 1, read_system_clock(CLOCK_REALTIME));
    assert_in_range(m.now_ns, 1, npi_clock_now());
}

static void clock_falls_back_to_the_monotonic_one(void **state)
{
    (void)state;
    boottime_is_missing = true;
    assert_is_clock(CLOCK_MONOTONIC);
}

static void clock_never_goes_back_and_moves_on(void **state)
{
    (void)state;
    uint64_t first = npi_clock_now();
    uint64_t last = first;
    for (int i = 0; i < 10000; i++) {
        uint64_t now = npi_clock_now();
        assert_true(now >= last);
        last = now;
    }
    assert_true(last > first);
}

/* ---- Random ----------------------------------------------------------------------------------------------------- */

/* Every byte of a buffer changes in some of these draws: 64 times the same by chance is out of question. */
static void assert_every_byte_is_drawn(size_t size)
{
    uint8_t first[600];
    uint8_t next[600];
    bool changed[600] = {false};
    assert_true(size <= sizeof first);
    assert_true(npi_random_bytes(first, size));
    for (int draw = 0; draw < 64; draw++) {
        assert_true(npi_random_bytes(next, size));
        for (size_t i = 0; i < size; i++)
            changed[i] = changed[i] || next[i] != first[i];
    }
    for (size_t i = 0; i < size; i++)
        assert_true(changed[i]);
}

static void random_fills_all_of_the_buffer(void **state)
{
    (void)state;
    assert_every_byte_is_drawn(1);
    assert_every_byte_is_drawn(16);
    assert_every_byte_is_drawn(256);
    assert_every_byte_is_drawn(257);
    assert_every_byte_is_drawn(600);
}

static void random_writes_nothing_else(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 32; size++) {
        uint8_t buffer[48];
        memset(buffer, 0xA5, sizeof buffer);
        assert_true(npi_random_bytes(buffer, size));
        for (size_t i = size; i < sizeof buffer; i++)
            assert_int_equal(buffer[i], 0xA5);
    }
}

#ifdef __linux__

static void random_goes_on_after_interruptions(void **state)
{
    (void)state;
    uint8_t out[16];
    interruptions = 5;
    assert_true(npi_random_bytes(out, sizeof out));
    assert_int_equal(calls, 6);
}

static void random_asks_again_for_what_is_missing(void **state)
{
    (void)state;
    uint8_t out[16];
    most_at_once = 3;
    assert_true(npi_random_bytes(out, sizeof out));
    assert_int_equal(calls, 6);
    assert_every_byte_is_drawn(sizeof out);
}

/* Soon after boot the kernel has none yet. The caller has other things to do meanwhile. */
static void random_never_waits_for_the_kernel(void **state)
{
    (void)state;
    uint8_t out[16];
    refusal = EAGAIN;
    assert_false(npi_random_bytes(out, sizeof out));
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(calls, 1);
    assert_true((flags_given & GRND_NONBLOCK) != 0);
}

static void random_does_without_the_call(void **state)
{
    static const int errors[] = {ENOSYS, EPERM};
    (void)state;
    for (size_t i = 0; i < COUNT(errors); i++) {
        refusal = errors[i];
        assert_every_byte_is_drawn(16);
    }
}

static void random_reports_a_refusal(void **state)
{
    (void)state;
    uint8_t out[16];
    refusal = EFAULT;
    assert_false(npi_random_bytes(out, sizeof out));
    assert_int_equal(errno, EFAULT);
    assert_int_equal(calls, 1);
}

#endif

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(clock_counts_nanoseconds_of_the_clock_that_never_stops, reset),
        cmocka_unit_test_setup(a_moment_is_not_too_early_for_its_wall_clock, reset),
        cmocka_unit_test_setup(clock_falls_back_to_the_monotonic_one, reset),
        cmocka_unit_test_setup(clock_never_goes_back_and_moves_on, reset),
        cmocka_unit_test_setup(random_fills_all_of_the_buffer, reset),
        cmocka_unit_test_setup(random_writes_nothing_else, reset),
#ifdef __linux__
        cmocka_unit_test_setup(random_goes_on_after_interruptions, reset),
        cmocka_unit_test_setup(random_asks_again_for_what_is_missing, reset),
        cmocka_unit_test_setup(random_never_waits_for_the_kernel, reset),
        cmocka_unit_test_setup(random_does_without_the_call, reset),
        cmocka_unit_test_setup(random_reports_a_refusal, reset),
#endif
    };
    return cmocka_run_group_tests_name("random and clock", tests, NULL, NULL);
}
