/* SPDX-License-Identifier: MIT */
/* buf: readers and writers of any size up to SIZE bytes, at any position, failed or not; one operation. */
#include "buf.h"

#include "proof.h"

static void check_reader(const npi_reader *before, const npi_reader *after, size_t n)
{
    bool enough = !before->failed && n <= before->size - before->pos;
    prove(after->pos <= after->size && after->size == before->size, "a reader never leaves its bytes");
    prove(after->failed == !enough, "a read fails when it was not all there, or one failed before");
    prove(after->pos == (enough ? before->pos + n : before->pos), "what was read is consumed, and nothing else");
    prove(npi_reader_left(after) == (enough ? before->size - before->pos - n : 0), "none are left behind a failure");
}

static void reads(void)
{
    size_t size = nondet_size(), n = nondet_size(), i = nondet_size();
    assume(size <= SIZE && n <= SIZE + 2);
    uint8_t all[SIZE];
    uint8_t *data = all + (SIZE - size); /* what is read beyond the end is beyond the object */
    npi_reader r = npi_reader_over(data, size);
    prove(r.data != NULL && r.pos == 0 && !r.failed && npi_reader_left(&r) == size, "a reader begins with all");
    r.pos = nondet_size();
    r.failed = nondet_bool();
    assume(r.pos <= size);
    npi_reader before = r;
    uint8_t out[SIZE];
    switch (nondet_u8()) {
    case 0: {
        uint8_t value = npi_read_u8(&r);
        check_reader(&before, &r, 1);
        prove(value == (r.failed ? 0 : data[before.pos]), "one byte");
        break;
    }
    case 1: {
        uint16_t value = npi_read_u16(&r);
        check_reader(&before, &r, 2);
        prove(r.failed ? value == 0 : value >> 8 == data[before.pos] && (value & 255) == data[before.pos + 1],
              "big-endian");
        break;
    }
    case 2: {
        uint32_t value = npi_read_u32(&r);
        check_reader(&before, &r, 4);
        prove(r.failed ? value == 0 : value >> 24 == data[before.pos] && (value & 255) == data[before.pos + 3],
              "big-endian");
        break;
    }
    case 3:
        assume(n > 0 && n <= sizeof out && i < n);
        npi_read_bytes(&r, out, n);
        check_reader(&before, &r, n);
        prove(out[i] == (r.failed ? 0 : data[before.pos + i]), "the bytes, or zeros");
        break;
    default: {
        npi_reader span = npi_read_span(&r, n);
        check_reader(&before, &r, n);
        prove(span.failed == r.failed && span.pos == 0 && npi_reader_left(&span) == (r.failed ? 0 : n),
              "a span has its size");
        prove(n == 0 || r.failed || span.data == data + before.pos, "a span is where it was cut");
    }
    }
}

static void writes(void)
{
    size_t size = nondet_size(), n = nondet_size(), i = nondet_size();
    assume(size > 0 && size <= SIZE && n <= SIZE && i < size);
    uint8_t all[SIZE];
    uint8_t *data = all + (SIZE - size);
    uint8_t bytes[SIZE], old = data[i];
    npi_writer w = npi_writer_over(data, size);
    prove(w.pos == 0 && !w.failed && w.size == size, "a writer begins at the beginning");
    w.pos = nondet_size();
    w.failed = nondet_bool();
    assume(w.pos <= size);
    npi_writer before = w;
    npi_write_bytes(&w, bytes, n);
    bool room = !before.failed && n <= size - before.pos;
    prove(w.failed == !room && w.pos == (room ? before.pos + n : before.pos), "all is written, or nothing");
    bool inside = room && i >= before.pos && i < before.pos + n;
    prove(data[i] == (inside ? bytes[i - before.pos] : old), "each byte in its place, and no other is touched");
}

/* What is written is what is read. */
static void write_and_read(void)
{
    uint8_t data[6];
    uint16_t a = nondet_u16();
    uint32_t b = nondet_u32();
    npi_writer w = npi_writer_over(data, sizeof data);
    npi_write_u16(&w, a);
    npi_write_u32(&w, b);
    npi_reader r = npi_reader_over(data, w.pos);
    prove(npi_read_u16(&r) == a && npi_read_u32(&r) == b && !r.failed && npi_reader_left(&r) == 0, "there and back");
    npi_write_u16(&w, a);
    prove(w.failed && w.pos == sizeof data, "what does not fit is not written");
}

int main(void)
{
    reads();
    writes();
    write_and_read();
}
