/* SPDX-License-Identifier: MIT */
/* Bounds-checked big-endian reading and writing over a fixed span. The only code that touches datagram bytes. */
#ifndef NPI_BUF_H
#define NPI_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* After the first read past the end, failed stays set and every further read yields zero. */
typedef struct npi_reader {
    const uint8_t *data;
    size_t size;
    size_t pos;
    bool failed;
} npi_reader;

npi_reader npi_reader_over(const uint8_t *data, size_t size);
size_t npi_reader_left(const npi_reader *r);
uint8_t npi_read_u8(npi_reader *r);
uint16_t npi_read_u16(npi_reader *r);
uint32_t npi_read_u32(npi_reader *r);
/* Copies n bytes to out, or zeros where there are not n left. */
void npi_read_bytes(npi_reader *r, uint8_t *out, size_t n);
/* A reader over the next n bytes, which are consumed. */
npi_reader npi_read_span(npi_reader *r, size_t n);

/* After the first write that does not fit, failed stays set and nothing more is written. */
typedef struct npi_writer {
    uint8_t *data;
    size_t size;
    size_t pos;
    bool failed;
} npi_writer;

npi_writer npi_writer_over(uint8_t *data, size_t size);
void npi_write_u16(npi_writer *w, uint16_t value);
void npi_write_u32(npi_writer *w, uint32_t value);
void npi_write_bytes(npi_writer *w, const uint8_t *bytes, size_t n);

#endif
