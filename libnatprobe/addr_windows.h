/* SPDX-License-Identifier: MIT */
/* IP addresses and their text where the system's own conversion is no pure function (Windows). */
#ifndef NPI_ADDR_WINDOWS_H
#define NPI_ADDR_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As inet_pton() of POSIX: the whole text, or false. */
bool npi_ipv4_from_text(const char *text, uint8_t out[4]);
bool npi_ipv6_from_text(const char *text, uint8_t out[16]);
/* As inet_ntop() of POSIX (RFC 5952). Room for the longest text: 16 and 46. */
void npi_ipv4_to_text(const uint8_t ip[4], char *out, size_t size);
void npi_ipv6_to_text(const uint8_t ip[16], char *out, size_t size);

#endif
