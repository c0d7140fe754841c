/* SPDX-License-Identifier: ISC */
/* SHA-1 (FIPS 180-4), for hashes of passwords that others made with it and
 * for nothing else: libsodium rightly has none. */
#ifndef SPOOL_PASSWORD_SHA1_H
#define SPOOL_PASSWORD_SHA1_H

#include <stddef.h>

#define PASSWORD_SHA1 20

void password_sha1(const unsigned char *bytes, size_t len,
                   unsigned char out[PASSWORD_SHA1]);

#endif
