/* SPDX-License-Identifier: ISC */
/*
 * Training: what is common to many samples (dictionary_common.c), the best of
 * it (dictionary_pick.c), and the head zstd wants in front, with frequencies
 * of single bytes and lengths that come from whole samples.
 */
#include "dictionary.h"

#include <stdlib.h>
#include <string.h>
#include <zdict.h>

#include "dictionary_pick.h"
#include "mem.h"

/* The dictionary in the program (dictionary_shipped.py made it). */
__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        "dictionary_shipped_bytes:\n"
        ".incbin \"libspool/dictionary_shipped.bin\"\n"
        "dictionary_shipped_end:\n"
        ".byte 0\n"
        ".popsection\n");
extern const char dictionary_shipped_bytes[], dictionary_shipped_end[];

/* Fewer samples than this say nothing of what is common. */
#define SAMPLES_MIN 100
/* Fewer common bytes than this make no dictionary. */
#define COMMON_MIN 4096
/* Samples the frequencies are taken from. */
#define STATISTICS_BYTES (4u << 20)
/* zstd puts its head in front. */
#define HEAD_MAX 1024
#define TEXT_MAX (DICTIONARY_BYTES_MAX - HEAD_MAX)

struct dictionary_trainer {
    struct buf bytes;
    struct dictionary_sample *samples;
    size_t n;
    size_t room;
};

struct view
dictionary_shipped(void)
{
    return (struct view){
        dictionary_shipped_bytes,
        (size_t)(dictionary_shipped_end - dictionary_shipped_bytes)};
}

/* --- samples ----------------------------------------------------------------
 */

struct dictionary_trainer *
dictionary_trainer_new(void)
{
    return mem_alloc(sizeof(struct dictionary_trainer));
}

void
dictionary_trainer_free(struct dictionary_trainer **trainer)
{
    if (*trainer == NULL)
        return;
    if ((*trainer)->bytes.cap > 0)
        explicit_bzero((*trainer)->bytes.data, (*trainer)->bytes.len);
    buf_free(&(*trainer)->bytes);
    free((*trainer)->samples);
    free(*trainer);
    *trainer = NULL;
}

/* FNV-1a with a last mix, in lower case: names, not secrets, are told apart. */
static uint64_t
hash_name(struct view name)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < name.len; i++) {
        unsigned char byte = (unsigned char)name.data[i];

        if (byte >= 'A' && byte <= 'Z')
            byte |= 0x20;
        hash = (hash ^ byte) * UINT64_C(1099511628211);
    }
    return hash ^ hash >> 32;
}

/* The last two labels: one owner is not many by his subdomains. */
static uint64_t
hash_owner(struct view domain)
{
    size_t dots = 0;

    for (size_t i = domain.len; i > 0; i--)
        if (domain.data[i - 1] == '.' && ++dots == 2)
            return hash_name((struct view){domain.data + i, domain.len - i});
    return hash_name(domain);
}

/* Without "+detail": one person is not many by his subaddresses. */
static uint64_t
hash_person(struct view address)
{
    size_t at = address.len, local;

    while (at > 0 && address.data[at - 1] != '@')
        at--;
    if (at == 0)
        return hash_name(address);
    for (local = 0; local < at - 1 && address.data[local] != '+';)
        local++;
    return hash_name((struct view){address.data, local}) * 31 +
           hash_name((struct view){address.data + at, address.len - at});
}

bool
dictionary_trainer_add(struct dictionary_trainer *trainer, struct view content,
                       struct view sender_domain, struct view recipient)
{
    if (content.len > DICTIONARY_SAMPLE_MAX)
        content.len = DICTIONARY_SAMPLE_MAX;
    if (trainer->bytes.len + content.len > DICTIONARY_SAMPLES_BYTES)
        return false;
    if (trainer->n == trainer->room) {
        trainer->room = trainer->room > 0 ? trainer->room * 2 : 256;
        trainer->samples = mem_grow(trainer->samples, trainer->room,
                                    sizeof(*trainer->samples));
    }
    trainer->samples[trainer->n++] = (struct dictionary_sample){
        (uint32_t)trainer->bytes.len, (uint32_t)content.len,
        hash_owner(sender_domain), hash_person(recipient)};
    buf_add_view(&trainer->bytes, content);
    return true;
}

void
dictionary_trainer_thin(struct dictionary_trainer *trainer)
{
    size_t kept = 0, used = 0;

    for (size_t s = 0; s < trainer->n; s += 2) {
        struct dictionary_sample *sample = &trainer->samples[kept++];

        *sample = trainer->samples[s];
        memmove(trainer->bytes.data + used, trainer->bytes.data + sample->start,
                sample->len);
        sample->start = (uint32_t)used;
        used += sample->len;
    }
    if (trainer->bytes.len > used)
        explicit_bzero(trainer->bytes.data + used, trainer->bytes.len - used);
    trainer->bytes.len = used;
    trainer->n = kept;
}

/* --- the dictionary ------------------------------------------------------- */

/* Where the frequencies in its head come from: whole samples, all together. */
struct statistics {
    struct buf bytes;
    size_t *sizes;
    unsigned n;
};

static void
take_statistics(const struct dictionary_trainer *trainer,
                struct statistics *out)
{
    size_t every = trainer->bytes.len / STATISTICS_BYTES + 1;

    out->sizes = mem_alloc((trainer->n + 1) * sizeof(*out->sizes));
    for (size_t s = 0; s < trainer->n; s += every) {
        const struct dictionary_sample *sample = &trainer->samples[s];

        buf_add_view(
            &out->bytes,
            (struct view){trainer->bytes.data + sample->start, sample->len});
        out->sizes[out->n++] = sample->len;
    }
}

static int
make_dictionary(struct view text, const struct statistics *statistics,
                uint32_t id, struct buf *out, struct why *why)
{
    ZDICT_params_t params = {.compressionLevel = 3, .dictID = id};
    size_t len;

    buf_reserve(out, DICTIONARY_BYTES_MAX);
    len = ZDICT_finalizeDictionary(out->data + out->len, DICTIONARY_BYTES_MAX,
                                   text.data, text.len, statistics->bytes.data,
                                   statistics->sizes, statistics->n, params);
    if (ZDICT_isError(len))
        return why_text(why, "the dictionary could not be made: %s",
                        ZDICT_getErrorName(len));
    out->len += len;
    return 0;
}

/* The text of the dictionary; its length. */
static size_t
pick_text(const struct dictionary_trainer *trainer, char *text, size_t room)
{
    struct dictionary_pieces pieces = {.n = 0};
    struct view bytes = buf_view(&trainer->bytes);
    size_t len;

    dictionary_common_find(bytes, trainer->samples, trainer->n, &pieces);
    len = dictionary_pick(bytes, &pieces, text, room);
    free(pieces.items);
    return len;
}

int
dictionary_trainer_finish(struct dictionary_trainer *trainer, uint32_t id,
                          struct buf *out, struct why *why)
{
    struct statistics statistics = {.n = 0};
    struct view text;
    char *room;
    int rc;

    if (trainer->n < SAMPLES_MIN)
        return why_text(why,
                        "%zu messages are too few to learn from: %d are "
                        "needed",
                        trainer->n, SAMPLES_MIN);
    room = mem_alloc(TEXT_MAX);
    text = (struct view){room, pick_text(trainer, room, TEXT_MAX)};
    if (text.len < COMMON_MIN) {
        free(room);
        return why_text(why, "too little is common to what is held: it is "
                             "from too few senders, or to too few recipients");
    }
    take_statistics(trainer, &statistics);
    rc = make_dictionary(text, &statistics, id, out, why);
    if (statistics.bytes.cap > 0)
        explicit_bzero(statistics.bytes.data, statistics.bytes.len);
    buf_free(&statistics.bytes);
    free(statistics.sizes);
    free(room);
    return rc;
}
