/* SPDX-License-Identifier: MIT */
/* Bounds-checked big-endian reading and writing. */
#include "buf.h"

#include <string.h>

npi_reader npi_reader_over(const uint8_t *data, size_t size)
{
    static const uint8_t nothing; /* stands in for a null pointer, to which C allows not even 0 to be added */
    return (npi_reader){.data = size == 0 ? &nothing : data, .size = size};
}

/* None are left once a read has failed, so that a loop over what is left always ends. */
size_t npi_reader_left(const npi_reader *r)
{
    return r->failed ? 0 : r->size - r->pos;
}

/* The next n bytes, consumed; NULL, with failed set, when there are not that many. */
static const uint8_t *take(npi_reader *r, size_t n)
{
    if (r->failed || n > r->size - r->pos) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *bytes = r->data + r->pos;
    r->pos += n;
    return bytes;
}

uint8_t npi_read_u8(npi_reader *r)
{
    const uint8_t *b = take(r, 1);
    return b == NULL ? 0 : b[0];
}

uint16_t npi_read_u16(npi_reader *r)
{
    const uint8_t *b = take(r, 2);
    return b == NULL ? 0 : (uint16_t)((unsigned)b[0] << 8 | b[1]);
}

uint32_t npi_read_u32(npi_reader *r)
{
    const uint8_t *b = take(r, 4);
    return b == NULL ? 0 : (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

void npi_read_bytes(npi_reader *r, uint8_t *out, size_t n)
{
    if (n == 0)
        return; /* memcpy may not be given a null pointer even then */
    const uint8_t *b = take(r, n);
    if (b == NULL)
        memset(out, 0, n);
    else
        memcpy(out, b, n);
}

npi_reader npi_read_span(npi_reader *r, size_t n)
{
    const uint8_t *b = take(r, n);
    if (b == NULL)
        return (npi_reader){.failed = true};
    return npi_reader_over(b, n);
}

npi_writer npi_writer_over(uint8_t *data, size_t size)
{
    return (npi_writer){.data = data, .size = size};
}

void npi_write_bytes(npi_writer *w, const uint8_t *bytes, size_t n)
{
    if (w->failed || n > w->size - w->pos) {
        w->failed = true;
        return;
    }
    if (n == 0)
        return;
    memcpy(w->data + w->pos, bytes, n);
    w->pos += n;
}

void npi_write_u16(npi_writer *w, uint16_t value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    npi_write_bytes(w, bytes, sizeof bytes);
}

void npi_write_u32(npi_writer *w, uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    npi_write_bytes(w, bytes, sizeof bytes);
}
