/* SPDX-License-Identifier: ISC */
/*
 * The key file: the spool's secrets, read once by the parent. Text, so that
 * it can be printed and typed in again:
 *
 *     # comment
 *     spoold-keys 1
 *     pair SECRET MADE        current pair first; base64, ISO time
 *     pair SECRET MADE        former pairs, until nothing needs them
 *     sign SEED               Ed25519 seed: signs checkpoints of the ledger
 *     lost PAIR-ID            the operator knows that this pair is gone
 *
 * or, when it is locked by a passphrase, one line
 *
 *     spoold-keys-locked 1 SALT OPS MEM BOX
 *
 * where BOX is crypto_secretbox (nonce first) of the text above under
 * crypto_pwhash (Argon2id) of the passphrase.
 */
#ifndef SPOOL_KEY_FILE_H
#define SPOOL_KEY_FILE_H

#include "seal.h"

#define KEY_FILE_MAX    (64 * 1024)
#define KEY_PAIRS_MAX   64
#define KEY_SIGN_SEED   32
#define KEY_SIGN_PUBLIC 32
#define KEY_SIGNATURE   64

struct key_file {
    struct seal_pair pairs[KEY_PAIRS_MAX]; /* the current one first */
    uint64_t made_ms[KEY_PAIRS_MAX];
    size_t n_pairs;
    char sign_seed[KEY_SIGN_SEED];
    bool has_sign;
    char lost[KEY_PAIRS_MAX][SEAL_PAIR_ID];
    size_t n_lost;
    bool locked; /* it was, and is to be again: passphrase is kept */
    char *passphrase;
};

/* All secrets live in memory that is locked and not dumped; free wipes. */
struct key_file *key_file_new(void); /* with one new pair and a seed */
bool key_file_is_locked(struct view text);
/* NULL and "LINE: reason". passphrase: NULL where the file is not locked. */
struct key_file *key_file_parse(struct view text, const char *passphrase,
                                struct why *why);
/* Appends the file's text; locked when file->locked. */
void key_file_print(const struct key_file *file, struct buf *out);
/* Puts a new pair in front. -1: KEY_PAIRS_MAX are there. */
int key_file_rotate(struct key_file *file, uint64_t now_ms, struct why *why);
/* Takes a former pair out; false: it is the current one or not there. */
bool key_file_drop(struct key_file *file, struct view pair_id);
bool key_file_has(const struct key_file *file, struct view pair_id);
bool key_file_is_lost(const struct key_file *file, struct view pair_id);
void key_file_sign(const struct key_file *file, struct view bytes,
                   char public[KEY_SIGN_PUBLIC], char signature[KEY_SIGNATURE]);
bool key_verify(struct view public, struct view bytes, struct view signature);
void key_file_free(struct key_file **file);

/* Reads path. */
struct key_file *key_file_load(const char *path, const char *passphrase,
                               struct why *why);
/* Writes path (or what it is a link to) anew: a file beside it, synced,
 * renamed over it, mode 0600; then the bytes of the old file are written over
 * where it has no other name. -1: the old file is still there, whole; or the
 * new one where only the last sync, of the directory, failed. */
int key_file_save(const struct key_file *file, const char *path,
                  struct why *why);

/* "0123456789abcdef" */
#define KEY_PAIR_TEXT_MAX 17
int key_pair_parse(struct view text, char id[SEAL_PAIR_ID]);
const char *key_pair_print(const char id[SEAL_PAIR_ID],
                           char text[KEY_PAIR_TEXT_MAX]);

#endif
