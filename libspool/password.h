/* SPDX-License-Identifier: ISC */
/*
 * Hashes of passwords, and access codes. New hashes are Argon2id; what other
 * mail servers and the system keep can be imported and verified:
 *
 *     $argon2id$ $argon2i$                         libsodium
 *     $6$ $5$ $y$ $2y$ $2b$ $2a$ $1$               crypt(3)
 *     {SHA} {SHA256} {SHA512} {SSHA} {SSHA256} {SSHA512}   Dovecot's
 *
 * Verifying takes 100 ms and 64 MB where it is meant to: never in an event
 * loop. Every function may be called from several threads.
 */
#ifndef SPOOL_PASSWORD_H
#define SPOOL_PASSWORD_H

#include "view.h"
#include "why.h"

#define PASSWORD_MAX      1000 /* bytes of a password; longer is refused */
#define PASSWORD_HASH_MAX 512

/* A new hash into out, with a NUL. -1: too long, or no memory. */
int password_hash(struct view password, char out[PASSWORD_HASH_MAX],
                  struct why *why);
bool password_verify(struct view hash, struct view password);
/* As much work as verifying a new hash, and always false: for users who are
 * not there. */
bool password_verify_nobody(struct view password);
/* Was the hash made as new ones are? Others are made anew when they can be. */
bool password_is_current(struct view hash);

/* A hash as Dovecot's passwd-file or /etc/shadow has it, with or without
 * {SCHEME}: into out in the form that is kept, with a NUL. {PLAIN} is hashed
 * here. -1 and a reason: it is none, unknown, or would take too long. */
int password_import(struct view text, char out[PASSWORD_HASH_MAX],
                    struct why *why);

/* A line of such a file, without its end. 1: an account; 0: nothing to take
 * (comment, blank, locked, no password); -1 and a reason. */
struct password_line {
    struct view name;
    struct view hash; /* for password_import */
};
int password_line_parse(struct view line, struct password_line *out,
                        struct why *why);

/* Access codes: 79 random bits, "k7qd-m2xw-9f4h-c3rt". */
#define PASSWORD_CODE_TEXT 20
#define PASSWORD_CODE_HASH 32
void password_code_make(char text[PASSWORD_CODE_TEXT]);
/* Dashes, spaces and case do not count. -1: it cannot be a code. */
int password_code_hash(struct view text, char hash[PASSWORD_CODE_HASH]);

/* What is remembered of a sign-in for minutes: BLAKE2b with a key of this
 * process over both. */
#define PASSWORD_TOKEN 32
void password_token(struct view name, struct view password,
                    char token[PASSWORD_TOKEN]);

/* "argon2id", "sha512-crypt", "ssha256": what a hash that is kept was made
 * with. */
const char *password_kind(struct view hash);

void password_wipe(void *bytes, size_t len);

#endif
