/* SPDX-License-Identifier: ISC */
#include "sealing.h"

#include <string.h>

#include "dictionary.h"
#include "log.h"
#include "peer.h"

static struct {
    struct seal_writer *writer;
    bool seals;
    struct seal_public public; /* in use, where it seals */
} sealing;

static void
use_dictionary(uint64_t id, struct view bytes)
{
    struct why why;

    if (body_use_dictionary(id, bytes, &why) != 0)
        log_warn("dictionary %llu is not used: %s", (unsigned long long)id,
                 why.text);
}

static struct seal_writer *
the_writer(void)
{
    if (sealing.writer != NULL)
        return sealing.writer;
    sealing.writer = seal_writer_new();
    use_dictionary(DICTIONARY_SHIPPED_ID, dictionary_shipped());
    return sealing.writer;
}

void
sealing_on_pairs(struct peer_message *message)
{
    const struct proto_pairs *pairs = message->payload;
    const struct proto_pair *current = pairs->pairs.items;
    struct seal_public public;

    if (!pairs->seal || pairs->pairs.count == 0 ||
        current->public.len != SEAL_PUBLIC) {
        sealing.seals = false;
        seal_writer_use(the_writer(), NULL);
        return;
    }
    memcpy(public.key, current->public.data, SEAL_PUBLIC);
    seal_public_id(public.key, public.id);
    if (sealing.seals &&
        memcmp(public.key, sealing.public.key, SEAL_PUBLIC) == 0)
        return; /* as before: the data key under way goes on */
    sealing.seals = true;
    sealing.public = public;
    seal_writer_use(the_writer(), &sealing.public);
}

void
sealing_on_dictionary(struct peer_message *message)
{
    const struct dictionary_row *row = message->payload;

    the_writer(); /* or it would put the shipped one in its place */
    use_dictionary(row->id, row->bytes);
}

struct body_writer *
sealing_writer(int level, size_t inline_max, uint64_t id, uint64_t now_ms,
               struct seal_key *key)
{
    struct body_writer *writer;

    seal_writer_next(the_writer(), id, now_ms, key);
    writer = body_writer_new(level, inline_max, key, id);
    explicit_bzero(key->bytes, sizeof(key->bytes));
    return writer;
}

struct view
sealing_describe(struct message *message, const struct body_writer *writer,
                 const struct seal_key *key)
{
    message->dictionary = body_dictionary(writer);
    if (key->data_key == 0)
        return (struct view){NULL, 0};
    seal_writer_count(the_writer(), body_written(writer));
    message->key = key->data_key;
    message->step = key->step;
    message->salt = (struct view){key->salt, SEAL_SALT};
    return seal_writer_data_key(the_writer(), key->data_key);
}

void
sealing_answered(const struct seal_key *key, bool done)
{
    if (key->data_key == 0)
        return;
    if (done)
        seal_writer_stored(the_writer(), key->data_key);
    else
        seal_writer_use(the_writer(), sealing.seals ? &sealing.public : NULL);
}
