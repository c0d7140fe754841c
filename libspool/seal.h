/* SPDX-License-Identifier: ISC */
/*
 * Sealing: what makes the spool worth nothing to whoever steals it, and the
 * process that faces the network unable to read what it stored.
 *
 *     key pair    X25519. Who writes has the public half only; the secret
 *                 half is in the key file (key_file.h) and given to those who
 *                 read content.
 *     data key    32 random bytes, made by a writer, sealed to the public
 *                 half (crypto_box_seal) and kept in the table key. A writer
 *                 takes a new one after SEAL_MESSAGES_MAX messages,
 *                 SEAL_BYTES_MAX bytes or SEAL_AGE_MS.
 *     chain       C(0) is the data key. A message takes M(i) and the writer
 *                 goes on to C(i+1), forgetting C(i):
 *                     M(i)   = BLAKE2b-256(key C(i), "message")
 *                     C(i+1) = BLAKE2b-256(key C(i), "chain")
 *                 so a writer that is taken over cannot read what it sealed
 *                 before. Who has the data key walks to any step.
 *     message key BLAKE2b-256(key M(i), salt): the salt is the message's own,
 *                 in its row. Without the row the key cannot be made again:
 *                 that is what erase destroys.
 *     piece       XChaCha20-Poly1305 under the message key. Nonce: the
 *                 piece's number (8 bytes, big-endian), then zeros; a key
 *                 seals one message. Authenticated with it: message id (8),
 *                 number (8), 1 for the last piece or 0 (1). So no piece can
 *                 be moved, swapped, or cut off unseen.
 *
 * The only file beside key_file.c, body.c and ledger_chain.c that knows
 * libsodium. Secrets are wiped where they end.
 */
#ifndef SPOOL_SEAL_H
#define SPOOL_SEAL_H

#include "buf.h"
#include "message.h"
#include "view.h"
#include "why.h"

#define SEAL_PAIR_ID 8 /* the first bytes of BLAKE2b-256(public) */
#define SEAL_PUBLIC  32
#define SEAL_SECRET  32
#define SEAL_KEY     32
#define SEAL_SEALED  80 /* a data key, sealed */
#define SEAL_SALT    16
#define SEAL_TAG     16 /* a sealed piece is longer by this */

#define SEAL_MESSAGES_MAX 1024
#define SEAL_BYTES_MAX    (UINT64_C(256) << 20)
#define SEAL_AGE_MS       (UINT64_C(3600) * 1000)

struct seal_public {
    char id[SEAL_PAIR_ID];
    char key[SEAL_PUBLIC];
};
struct seal_pair {
    struct seal_public public;
    char secret[SEAL_SECRET];
};

/* Once a process, before anything else here and in key_file.h. */
void seal_init(void);
void seal_pair_new(struct seal_pair *pair);
/* The pair of a secret half. */
void seal_pair_of(struct seal_pair *pair, const char secret[SEAL_SECRET]);
/* The id of a public key. */
void seal_public_id(const char key[SEAL_PUBLIC], char id[SEAL_PAIR_ID]);

/* --- who writes ----------------------------------------------------------- */

/* The key of one message. */
struct seal_key {
    char bytes[SEAL_KEY];
    uint64_t data_key; /* its id; 0: the message is not sealed */
    uint64_t step;
    char salt[SEAL_SALT];
};
void seal_key_wipe(struct seal_key *key);

/* A writer's data key under way. One a process. */
struct seal_writer;
struct seal_writer *seal_writer_new(void);
/* From now on new data keys are sealed to public; the next message takes a
 * new one. NULL: messages are not sealed. */
void seal_writer_use(struct seal_writer *writer,
                     const struct seal_public *public);
/* The next message's key; id is the message's, and becomes the data key's id
 * when a new one begins. *key is all zeros where nothing is sealed. */
void seal_writer_next(struct seal_writer *writer, uint64_t id, uint64_t now_ms,
                      struct seal_key *key);
/* Counts content that was sealed against SEAL_BYTES_MAX. */
void seal_writer_count(struct seal_writer *writer, uint64_t bytes);
/* For a SUBMIT: the encoded struct data_key of that id as long as no SUBMIT
 * with it is known to be stored; empty afterwards. Several may be under way
 * (an old one whose SUBMIT is not answered, and the current one). */
struct view seal_writer_data_key(const struct seal_writer *writer,
                                 uint64_t data_key);
/* A SUBMIT that carried it was answered SUBMIT_DONE. */
void seal_writer_stored(struct seal_writer *writer, uint64_t data_key);
void seal_writer_free(struct seal_writer **writer);

/* --- who reads ------------------------------------------------------------ */

/* The pairs a process was given, and data keys opened lately. */
struct seal_reader;
struct seal_reader *seal_reader_new(void);
/* Takes copies; in place of those given before. */
void seal_reader_use(struct seal_reader *reader, const struct seal_pair *pairs,
                     size_t n);
bool seal_reader_has(const struct seal_reader *reader, struct view pair_id);
/* The message key of a message whose row says so. data_key is the row of the
 * table key (its id is message->key). -1: no secret for that pair ("the
 * secret of key pair 0123456789abcdef is not here ..."), or damaged. */
int seal_reader_key(struct seal_reader *reader, const struct message *message,
                    const struct data_key *data_key, char bytes[SEAL_KEY],
                    struct why *why);
/* The same data key sealed to another pair: *sealed is SEAL_SEALED bytes. */
int seal_reader_reseal(struct seal_reader *reader,
                       const struct data_key *data_key,
                       const struct seal_public *to, char sealed[SEAL_SEALED],
                       struct why *why);
void seal_reader_free(struct seal_reader **reader);

/* --- pieces --------------------------------------------------------------- */

/* Appends plain, sealed, to out. */
void seal_piece(const char key[SEAL_KEY], uint64_t id, uint64_t n, bool last,
                struct view plain, struct buf *out);
/* Appends what sealed holds to out; -1: damaged, or not that piece. */
int seal_open_piece(const char key[SEAL_KEY], uint64_t id, uint64_t n,
                    bool last, struct view sealed, struct buf *out,
                    struct why *why);

#endif
