/* SPDX-License-Identifier: MIT */
/* buf: nothing outside the span is ever read or written, and a failure is never forgotten. */
#include "buf.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

static const uint8_t sample[] = {0x01, 0x80, 0x02, 0xff, 0xfe, 0xfd, 0xfc, 0x07};

static void reads_are_big_endian(void **state)
{
    (void)state;
    npi_reader r = npi_reader_over(sample, sizeof sample);
    assert_int_equal(npi_read_u8(&r), 0x01);
    assert_int_equal(npi_read_u16(&r), 0x8002);
    assert_int_equal(npi_read_u32(&r), 0xfffefdfcu);
    assert_int_equal(npi_reader_left(&r), 1);
    assert_false(r.failed);
}

static void read_bytes_copies_and_consumes(void **state)
{
    (void)state;
    npi_reader r = npi_reader_over(sample, sizeof sample);
    uint8_t out[5];
    npi_read_bytes(&r, out, sizeof out);
    assert_memory_equal(out, sample, sizeof out);
    assert_int_equal(npi_reader_left(&r), 3);
}

static void reading_everything_is_no_failure(void **state)
{
    (void)state;
    npi_reader r = npi_reader_over(sample, 4);
    npi_read_u32(&r);
    assert_int_equal(npi_reader_left(&r), 0);
    assert_false(r.failed);
}

/* Every width against every span that is too short for it, in memory of exactly that size. */
static void read_past_end_yields_zero_and_fails(void **state)
{
    (void)state;
    for (size_t size = 0; size < 4; size++) {
        uint8_t *exact = calloc(size, 1);
        if (size > 0)
            memset(exact, 0xff, size);
        npi_reader r = npi_reader_over(exact, size);
        assert_int_equal(npi_read_u32(&r), 0);
        assert_true(r.failed);
        r = npi_reader_over(exact, size);
        if (size < 2) {
            assert_int_equal(npi_read_u16(&r), 0);
            assert_true(r.failed);
        }
        r = npi_reader_over(exact, size);
        if (size < 1) {
            assert_int_equal(npi_read_u8(&r), 0);
            assert_true(r.failed);
        }
        free(exact);
    }
}

static void failed_reader_stays_failed(void **state)
{
    (void)state;
    npi_reader r = npi_reader_over(sample, 3);
    npi_read_u32(&r);
    uint8_t out[2] = {9, 9};
    assert_int_equal(npi_reader_left(&r), 0);
    assert_int_equal(npi_read_u8(&r), 0);
    assert_int_equal(npi_read_u16(&r), 0);
    npi_read_bytes(&r, out, 1);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], 9);
    npi_reader span = npi_read_span(&r, 0);
    assert_true(span.failed);
    assert_true(r.failed);
}

static void read_bytes_past_end_yields_only_zeros(void **state)
{
    (void)state;
    npi_reader r = npi_reader_over(sample, 3);
    uint8_t out[5] = {9, 9, 9, 9, 9};
    npi_read_bytes(&r, out, 4);
    assert_memory_equal(out, "\0\0\0\0\x09", 5);
    assert_true(r.failed);
}

static void huge_counts_do_not_wrap(void **state)
{
    (void)state;
    npi_reader r = npi_reader_over(sample, sizeof sample);
    npi_read_u32(&r);
    npi_reader span = npi_read_span(&r, SIZE_MAX - 2);
    assert_true(r.failed);
    assert_true(span.failed);
    assert_int_equal(npi_reader_left(&span), 0);
}

static void span_is_bounded_and_consumed(void **state)
{
    (void)state;
    npi_reader r = npi_reader_over(sample, sizeof sample);
    npi_reader span = npi_read_span(&r, 3);
    assert_int_equal(npi_reader_left(&span), 3);
    assert_int_equal(npi_reader_left(&r), sizeof sample - 3);
    assert_int_equal(npi_read_u16(&span), 0x0180);
    assert_int_equal(npi_read_u16(&span), 0); /* the next byte belongs to r */
    assert_true(span.failed);
    assert_false(r.failed);
    assert_int_equal(npi_read_u8(&r), 0xff);
}

static void empty_span_at_the_end_is_allowed(void **state)
{
    (void)state;
    npi_reader r = npi_reader_over(sample, 1);
    npi_read_u8(&r);
    npi_reader span = npi_read_span(&r, 0);
    assert_false(r.failed);
    assert_false(span.failed);
    assert_int_equal(npi_reader_left(&span), 0);
}

static void null_with_size_zero_is_empty(void **state)
{
    (void)state;
    npi_reader r = npi_reader_over(NULL, 0);
    npi_reader span = npi_read_span(&r, 0);
    npi_read_bytes(&r, NULL, 0);
    assert_false(r.failed);
    assert_false(span.failed);
    assert_int_equal(npi_read_u8(&r), 0);
    assert_true(r.failed);
}

static void writes_are_big_endian(void **state)
{
    (void)state;
    uint8_t out[8] = {0};
    npi_writer w = npi_writer_over(out, sizeof out);
    npi_write_u16(&w, 0x80ff);
    npi_write_u32(&w, 0xfedcba98u);
    npi_write_bytes(&w, (const uint8_t *)"xy", 2);
    assert_memory_equal(out, "\x80\xff\xfe\xdc\xba\x98xy", 8);
    assert_int_equal(w.pos, 8);
    assert_false(w.failed);
}

static void write_that_does_not_fit_writes_nothing(void **state)
{
    (void)state;
    uint8_t out[5] = {9, 9, 9, 9, 9};
    npi_writer w = npi_writer_over(out, 3);
    npi_write_u32(&w, 0x01020304);
    assert_true(w.failed);
    npi_write_u16(&w, 0x0102); /* would fit, but comes after a failure */
    npi_write_bytes(&w, (const uint8_t *)"a", 1);
    npi_write_bytes(&w, (const uint8_t *)"a", SIZE_MAX);
    assert_int_equal(w.pos, 0);
    assert_memory_equal(out, "\x09\x09\x09\x09\x09", 5);
}

static void what_was_written_counts_against_the_room(void **state)
{
    (void)state;
    uint8_t out[6] = {9, 9, 9, 9, 9, 9};
    npi_writer w = npi_writer_over(out, 5);
    npi_write_u16(&w, 0x0102);
    npi_write_u32(&w, 0x03040506);
    assert_true(w.failed);
    assert_int_equal(w.pos, 2);
    assert_memory_equal(out, "\x01\x02\x09\x09\x09\x09", 6);
}

static void writing_nothing_is_no_failure(void **state)
{
    (void)state;
    npi_writer w = npi_writer_over(NULL, 0);
    npi_write_bytes(&w, NULL, 0);
    assert_false(w.failed);
    npi_write_u16(&w, 1);
    assert_true(w.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_are_big_endian),
        cmocka_unit_test(read_bytes_copies_and_consumes),
        cmocka_unit_test(reading_everything_is_no_failure),
        cmocka_unit_test(read_past_end_yields_zero_and_fails),
        cmocka_unit_test(failed_reader_stays_failed),
        cmocka_unit_test(read_bytes_past_end_yields_only_zeros),
        cmocka_unit_test(huge_counts_do_not_wrap),
        cmocka_unit_test(span_is_bounded_and_consumed),
        cmocka_unit_test(empty_span_at_the_end_is_allowed),
        cmocka_unit_test(null_with_size_zero_is_empty),
        cmocka_unit_test(writes_are_big_endian),
        cmocka_unit_test(write_that_does_not_fit_writes_nothing),
        cmocka_unit_test(what_was_written_counts_against_the_room),
        cmocka_unit_test(writing_nothing_is_no_failure),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
