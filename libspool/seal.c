/* SPDX-License-Identifier: ISC */
/*
 * Key pairs, data keys and their chains, message keys, pieces: seal.h says
 * what each is. Nothing here knows where keys are kept.
 *
 * Long-lived secrets are in memory of sodium_malloc: not swapped, not in core
 * dumps, between guard pages.
 */
#include "seal.h"

#include <sodium.h>

#include "bytes.h"
#include "log.h"
#include "mem.h"
#include "msgid.h"

_Static_assert(SEAL_PUBLIC == crypto_box_PUBLICKEYBYTES, "X25519");
_Static_assert(SEAL_SECRET == crypto_box_SECRETKEYBYTES, "X25519");
_Static_assert(SEAL_SEALED == SEAL_KEY + crypto_box_SEALBYTES, "sealed box");
_Static_assert(SEAL_TAG == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
_Static_assert(SEAL_KEY == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");

/* Data keys whose first SUBMIT is not answered yet. */
#define PENDING_MAX 16
/* Data keys a reader keeps open. */
#define OPEN_MAX 32

void
seal_init(void)
{
    if (sodium_init() < 0)
        fatal("libsodium does not work on this machine");
}

void
seal_public_id(const char key[SEAL_PUBLIC], char id[SEAL_PAIR_ID])
{
    unsigned char hash[32];

    crypto_generichash(hash, sizeof(hash), (const unsigned char *)key,
                       SEAL_PUBLIC, NULL, 0);
    memcpy(id, hash, SEAL_PAIR_ID);
}

void
seal_pair_new(struct seal_pair *pair)
{
    crypto_box_keypair((unsigned char *)pair->public.key,
                       (unsigned char *)pair->secret);
    seal_public_id(pair->public.key, pair->public.id);
}

void
seal_pair_of(struct seal_pair *pair, const char secret[SEAL_SECRET])
{
    memcpy(pair->secret, secret, SEAL_SECRET);
    crypto_scalarmult_base((unsigned char *)pair->public.key,
                           (const unsigned char *)pair->secret);
    seal_public_id(pair->public.key, pair->public.id);
}

/* --- the chain ------------------------------------------------------------ */

/* More than BLAKE2b has on the stack. */
#define STACK_BYTES 4096

/* out = BLAKE2b-256(key, text); out may be key, which is then gone: the hash
 * leaves its key on the stack. */
static void
derive(const char key[SEAL_KEY], struct view text, char out[SEAL_KEY])
{
    unsigned char hash[SEAL_KEY];

    crypto_generichash(hash, sizeof(hash), (const unsigned char *)text.data,
                       text.len, (const unsigned char *)key, SEAL_KEY);
    memcpy(out, hash, SEAL_KEY);
    sodium_memzero(hash, sizeof(hash));
    sodium_stackzero(STACK_BYTES);
}

/* The key of the message at this step of the chain. */
static void
message_key(const char chain[SEAL_KEY], struct view salt, char out[SEAL_KEY])
{
    derive(chain, VIEW("message"), out);
    derive(out, salt, out);
}

void
seal_key_wipe(struct seal_key *key)
{
    sodium_memzero(key, sizeof(*key));
}

/* --- who writes ----------------------------------------------------------- */

struct pending {
    uint64_t id; /* 0: free */
    size_t len;
    char row[160]; /* the encoded struct data_key */
};

struct seal_writer {
    bool seals;
    struct seal_public public;
    uint64_t data_key; /* its id, 0: the next message takes a new one */
    uint64_t made_ms;
    uint64_t step;
    uint64_t bytes;
    char chain[SEAL_KEY];
    struct pending pending[PENDING_MAX];
};

struct seal_writer *
seal_writer_new(void)
{
    struct seal_writer *writer;

    seal_init();
    writer = sodium_malloc(sizeof(*writer));
    if (writer == NULL)
        fatal("no memory that can be locked (ulimit -l)");
    memset(writer, 0, sizeof(*writer));
    return writer;
}

static void
writer_forget(struct seal_writer *writer)
{
    writer->data_key = 0;
    sodium_memzero(writer->chain, SEAL_KEY);
}

void
seal_writer_use(struct seal_writer *writer, const struct seal_public *public)
{
    writer_forget(writer);
    writer->seals = public != NULL;
    if (public != NULL)
        writer->public = *public;
}

/* Room for one more; the oldest gives way: its messages, should they be the
 * first to arrive, are refused as stale and made again. */
static struct pending *
pending_new(struct seal_writer *writer)
{
    struct pending *oldest = &writer->pending[0];

    for (size_t i = 0; i < PENDING_MAX; i++) {
        struct pending *p = &writer->pending[i];

        if (p->id == 0)
            return p;
        if (p->id < oldest->id)
            oldest = p;
    }
    return oldest;
}

static void
writer_begin(struct seal_writer *writer, uint64_t id, uint64_t now_ms)
{
    char sealed[SEAL_SEALED];
    uint64_t rest;
    struct data_key row = {.made_ms = now_ms,
                           .pair = {writer->public.id, SEAL_PAIR_ID},
                           .sealed = {sealed, SEAL_SEALED}};
    struct pending *pending = pending_new(writer);
    struct buf encoded = {0};

    /* Its number rises with time, and meets no other, whatever became of the
     * numbers of messages. */
    randombytes_buf(&rest, sizeof(rest));
    row.id = id = msgid_make(msgid_ms(id), rest);
    randombytes_buf(writer->chain, SEAL_KEY);
    if (crypto_box_seal((unsigned char *)sealed,
                        (const unsigned char *)writer->chain, SEAL_KEY,
                        (const unsigned char *)writer->public.key) != 0)
        fatal("the spool's public key is none");
    writer->data_key = id;
    writer->made_ms = now_ms;
    writer->step = 0;
    writer->bytes = 0;
    record_encode(&data_key_record, &row, &encoded);
    if (encoded.len > sizeof(pending->row))
        bug("a data key's row of %zu bytes", encoded.len);
    pending->id = id;
    pending->len = encoded.len;
    memcpy(pending->row, encoded.data, encoded.len);
    buf_free(&encoded);
}

static bool
writer_is_used_up(const struct seal_writer *writer, uint64_t now_ms)
{
    return writer->data_key == 0 || writer->step >= SEAL_MESSAGES_MAX ||
           writer->bytes >= SEAL_BYTES_MAX || now_ms < writer->made_ms ||
           now_ms - writer->made_ms >= SEAL_AGE_MS;
}

void
seal_writer_next(struct seal_writer *writer, uint64_t id, uint64_t now_ms,
                 struct seal_key *key)
{
    *key = (struct seal_key){.data_key = 0};
    if (!writer->seals)
        return;
    if (writer_is_used_up(writer, now_ms))
        writer_begin(writer, id, now_ms);
    key->data_key = writer->data_key;
    key->step = writer->step++;
    randombytes_buf(key->salt, SEAL_SALT);
    message_key(writer->chain, (struct view){key->salt, SEAL_SALT}, key->bytes);
    derive(writer->chain, VIEW("chain"), writer->chain);
}

void
seal_writer_count(struct seal_writer *writer, uint64_t bytes)
{
    writer->bytes += bytes;
}

static struct pending *
pending_of(const struct seal_writer *writer, uint64_t data_key)
{
    for (size_t i = 0; data_key != 0 && i < PENDING_MAX; i++)
        if (writer->pending[i].id == data_key)
            return (struct pending *)(uintptr_t)&writer->pending[i];
    return NULL;
}

struct view
seal_writer_data_key(const struct seal_writer *writer, uint64_t data_key)
{
    const struct pending *pending = pending_of(writer, data_key);

    if (pending == NULL)
        return (struct view){NULL, 0};
    return (struct view){pending->row, pending->len};
}

void
seal_writer_stored(struct seal_writer *writer, uint64_t data_key)
{
    struct pending *pending = pending_of(writer, data_key);

    if (pending != NULL)
        pending->id = 0;
}

void
seal_writer_free(struct seal_writer **writer)
{
    sodium_free(*writer); /* wipes */
    *writer = NULL;
}

/* --- who reads ------------------------------------------------------------ */

/* Every so many steps of a chain one is remembered. Messages are mostly read
 * in the order they came, but those of connections at the same time took their
 * steps in another. */
#define MARK_STEPS 4

/* A data key that was opened, with the steps of its chain so far. */
struct open_key {
    uint64_t id; /* 0: free */
    uint64_t used;
    char sealed[SEAL_SEALED]; /* what it was opened from */
    size_t n_marks;
    char marks[SEAL_MESSAGES_MAX / MARK_STEPS][SEAL_KEY]; /* [0]: the key */
};

struct seal_reader {
    struct seal_pair *pairs; /* sodium_malloc */
    size_t n_pairs;
    uint64_t uses;
    struct open_key open[OPEN_MAX];
};

struct seal_reader *
seal_reader_new(void)
{
    struct seal_reader *reader;

    seal_init();
    reader = sodium_malloc(sizeof(*reader));
    if (reader == NULL)
        fatal("no memory that can be locked (ulimit -l)");
    memset(reader, 0, sizeof(*reader));
    return reader;
}

void
seal_reader_use(struct seal_reader *reader, const struct seal_pair *pairs,
                size_t n)
{
    sodium_free(reader->pairs);
    reader->pairs = NULL;
    reader->n_pairs = n;
    sodium_memzero(reader->open, sizeof(reader->open));
    if (n > 0 && (reader->pairs = sodium_allocarray(n, sizeof(*pairs))) == NULL)
        fatal("no memory that can be locked (ulimit -l)");
    if (n > 0)
        memcpy(reader->pairs, pairs, n * sizeof(*pairs));
}

static const struct seal_pair *
pair_of(const struct seal_reader *reader, struct view id)
{
    for (size_t i = 0; i < reader->n_pairs; i++)
        if (view_equal(id,
                       (struct view){reader->pairs[i].public.id, SEAL_PAIR_ID}))
            return &reader->pairs[i];
    return NULL;
}

bool
seal_reader_has(const struct seal_reader *reader, struct view pair_id)
{
    return pair_of(reader, pair_id) != NULL;
}

static int
open_sealed(const struct seal_reader *reader, const struct data_key *row,
            char key[SEAL_KEY], struct why *why)
{
    const struct seal_pair *pair = pair_of(reader, row->pair);

    if (row->sealed.len != SEAL_SEALED || row->pair.len != SEAL_PAIR_ID)
        return why_text(why, "a data key that is none");
    if (pair == NULL)
        return why_text(why,
                        "the secret of key pair %016llx is not here: put it "
                        "back into the key file",
                        (unsigned long long)bytes_get64(row->pair.data));
    if (crypto_box_seal_open(
            (unsigned char *)key, (const unsigned char *)row->sealed.data,
            SEAL_SEALED, (const unsigned char *)pair->public.key,
            (const unsigned char *)pair->secret) != 0)
        return why_text(why, "a damaged data key");
    return 0;
}

/* The open key of that row; the one unused for longest gives way. */
static struct open_key *
reader_open(struct seal_reader *reader, const struct data_key *row,
            struct why *why)
{
    struct open_key *found = &reader->open[0];

    for (size_t i = 0; i < OPEN_MAX; i++) {
        struct open_key *one = &reader->open[i];

        if (one->id == row->id &&
            view_equal(row->sealed, (struct view){one->sealed, SEAL_SEALED}))
            return one;
        if (one->used < found->used)
            found = one;
    }
    sodium_memzero(found, sizeof(*found));
    if (open_sealed(reader, row, found->marks[0], why) != 0)
        return NULL;
    found->id = row->id;
    found->n_marks = 1;
    memcpy(found->sealed, row->sealed.data, SEAL_SEALED);
    return found;
}

/* C(step), from the last mark before it. */
static void
walk_chain(struct open_key *open, uint64_t step, char chain[SEAL_KEY])
{
    size_t mark = step / MARK_STEPS;

    if (mark >= open->n_marks)
        mark = open->n_marks - 1;
    memcpy(chain, open->marks[mark], SEAL_KEY);
    for (uint64_t at = mark * MARK_STEPS; at < step;) {
        derive(chain, VIEW("chain"), chain);
        at++;
        if (at == open->n_marks * MARK_STEPS)
            memcpy(open->marks[open->n_marks++], chain, SEAL_KEY);
    }
}

int
seal_reader_key(struct seal_reader *reader, const struct message *message,
                const struct data_key *data_key, char bytes[SEAL_KEY],
                struct why *why)
{
    struct open_key *open;
    char chain[SEAL_KEY];

    if (message->salt.len != SEAL_SALT || message->step >= SEAL_MESSAGES_MAX)
        return why_text(why, "a message whose key cannot be");
    if ((open = reader_open(reader, data_key, why)) == NULL)
        return -1;
    open->used = ++reader->uses;
    walk_chain(open, message->step, chain);
    message_key(chain, message->salt, bytes);
    sodium_memzero(chain, sizeof(chain));
    return 0;
}

int
seal_reader_reseal(struct seal_reader *reader, const struct data_key *data_key,
                   const struct seal_public *to, char sealed[SEAL_SEALED],
                   struct why *why)
{
    char key[SEAL_KEY];
    int rc = open_sealed(reader, data_key, key, why);

    if (rc == 0 &&
        crypto_box_seal((unsigned char *)sealed, (const unsigned char *)key,
                        SEAL_KEY, (const unsigned char *)to->key) != 0)
        rc = why_text(why, "the spool's public key is none");
    sodium_memzero(key, sizeof(key));
    return rc;
}

void
seal_reader_free(struct seal_reader **reader)
{
    if (*reader != NULL)
        sodium_free((*reader)->pairs);
    sodium_free(*reader);
    *reader = NULL;
}

/* --- pieces --------------------------------------------------------------- */

#define PLACE_BYTES 17

static void
place_of(uint64_t id, uint64_t n, bool last, char place[PLACE_BYTES],
         char nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES])
{
    bytes_put64(place, id);
    bytes_put64(place + 8, n);
    place[16] = last;
    memset(nonce, 0, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
    bytes_put64(nonce, n);
}

void
seal_piece(const char key[SEAL_KEY], uint64_t id, uint64_t n, bool last,
           struct view plain, struct buf *out)
{
    char place[PLACE_BYTES],
        nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];

    place_of(id, n, last, place, nonce);
    buf_reserve(out, plain.len + SEAL_TAG);
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        (unsigned char *)out->data + out->len, NULL,
        (const unsigned char *)plain.data, plain.len,
        (const unsigned char *)place, sizeof(place), NULL,
        (const unsigned char *)nonce, (const unsigned char *)key);
    out->len += plain.len + SEAL_TAG;
}

int
seal_open_piece(const char key[SEAL_KEY], uint64_t id, uint64_t n, bool last,
                struct view sealed, struct buf *out, struct why *why)
{
    char place[PLACE_BYTES],
        nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];

    if (sealed.len < SEAL_TAG)
        return why_text(why, "damaged piece: too short");
    place_of(id, n, last, place, nonce);
    buf_reserve(out, sealed.len - SEAL_TAG + 1);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            (unsigned char *)out->data + out->len, NULL, NULL,
            (const unsigned char *)sealed.data, sealed.len,
            (const unsigned char *)place, sizeof(place),
            (const unsigned char *)nonce, (const unsigned char *)key) != 0)
        return why_text(why, "damaged piece: it is not what was sealed");
    out->len += sealed.len - SEAL_TAG;
    return 0;
}
