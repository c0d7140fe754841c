/* SPDX-License-Identifier: ISC */
/*
 * Training: which bytes of the samples are common to many, then zstd's own
 * trainer on those alone.
 *
 * Every run of DICTIONARY_RUN bytes is hashed; runs are sorted by hash, one
 * part of the hashes at a time, so that memory stays small, and each group of
 * equal runs is counted: messages, senders' domains, recipients. The bytes of
 * runs that are common enough are marked, all others are left out. Only the
 * frequencies of single bytes and lengths in the dictionary's head come from
 * whole samples.
 */
#include "dictionary.h"

#include <stdlib.h>
#include <string.h>
#include <zdict.h>

#include "bytes.h"
#include "log.h"
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

/* Parts of the hashes looked at one after the other. */
#define PARTS 16
/* Fewer samples than this say nothing of what is common. */
#define SAMPLES_MIN 100
/* Fewer common bytes than this make no dictionary. */
#define COMMON_MIN 4096
/* Samples the frequencies are taken from. */
#define STATISTICS_BYTES (4u << 20)

struct sample {
    size_t start;
    size_t len;
    uint64_t sender;
    uint64_t recipient;
};

struct run {
    uint64_t hash;
    uint32_t at; /* in the samples' bytes */
    uint32_t sample;
};

struct dictionary_trainer {
    struct buf bytes;
    struct sample *samples;
    size_t n;
    size_t room;
    unsigned char *common; /* one bit a byte of bytes */
    struct run *runs;
    size_t runs_room;
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
    free((*trainer)->common);
    free((*trainer)->runs);
    free(*trainer);
    *trainer = NULL;
}

/* FNV-1a with a last mix: names, not secrets, are told apart. */
static uint64_t
hash_name(struct view name)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)name.data[i]) * UINT64_C(1099511628211);
    return hash ^ hash >> 32;
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
    trainer->samples[trainer->n++] =
        (struct sample){trainer->bytes.len, content.len,
                        hash_name(sender_domain), hash_name(recipient)};
    buf_add_view(&trainer->bytes, content);
    return true;
}

/* --- what is common ---------------------------------------------------------
 */

static uint64_t
hash_run(const char *bytes)
{
    uint64_t a, b;

    _Static_assert(DICTIONARY_RUN == 16, "two words");
    memcpy(&a, bytes, 8);
    memcpy(&b, bytes + 8, 8);
    a *= UINT64_C(0x9e3779b97f4a7c15);
    b *= UINT64_C(0xc2b2ae3d27d4eb4f);
    a ^= b ^ a >> 29 ^ b >> 31;
    a *= UINT64_C(0xbf58476d1ce4e5b9);
    return a ^ a >> 32;
}

static int
compare_runs(const void *a, const void *b)
{
    const struct run *left = a, *right = b;

    if (left->hash != right->hash)
        return left->hash < right->hash ? -1 : 1;
    return left->at < right->at ? -1 : left->at > right->at;
}

/* Runs of one part of the hashes; how many. */
static size_t
collect_runs(struct dictionary_trainer *trainer, unsigned part)
{
    size_t n = 0;

    for (size_t s = 0; s < trainer->n; s++) {
        const struct sample *sample = &trainer->samples[s];

        for (size_t i = 0; i + DICTIONARY_RUN <= sample->len; i++) {
            uint64_t hash = hash_run(trainer->bytes.data + sample->start + i);

            if (hash % PARTS != part)
                continue;
            if (n == trainer->runs_room) {
                trainer->runs_room = n > 0 ? n * 3 / 2 : 1 << 16;
                trainer->runs = mem_grow(trainer->runs, trainer->runs_room,
                                         sizeof(*trainer->runs));
            }
            trainer->runs[n++] =
                (struct run){hash, (uint32_t)(sample->start + i), (uint32_t)s};
        }
    }
    return n;
}

/* Different values seen, as far as they matter. */
struct seen {
    uint64_t values[DICTIONARY_SENDERS];
    size_t n;
};

static void
seen_add(struct seen *seen, uint64_t value)
{
    for (size_t i = 0; i < seen->n; i++)
        if (seen->values[i] == value)
            return;
    if (seen->n < DICTIONARY_SENDERS)
        seen->values[seen->n++] = value;
}

/* Equal hashes, and the same bytes: a collision must not make a run common. */
static bool
is_common(const struct dictionary_trainer *trainer, const struct run *runs,
          size_t n)
{
    struct seen senders = {.n = 0}, recipients = {.n = 0};
    const char *first = trainer->bytes.data + runs[0].at;
    size_t messages = 0;

    for (size_t i = 0; i < n; i++) {
        const struct sample *sample = &trainer->samples[runs[i].sample];

        if (memcmp(trainer->bytes.data + runs[i].at, first, DICTIONARY_RUN) !=
            0)
            return false;
        messages += i == 0 || runs[i].sample != runs[i - 1].sample;
        seen_add(&senders, sample->sender);
        seen_add(&recipients, sample->recipient);
        if (messages >= DICTIONARY_MESSAGES &&
            senders.n == DICTIONARY_SENDERS &&
            recipients.n == DICTIONARY_SENDERS)
            return true;
    }
    return false;
}

static void
mark_runs(struct dictionary_trainer *trainer, const struct run *runs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t at = runs[i].at; at < runs[i].at + DICTIONARY_RUN; at++)
            trainer->common[at / 8] |= (unsigned char)(1u << at % 8);
}

static void
mark_part(struct dictionary_trainer *trainer, unsigned part)
{
    size_t n = collect_runs(trainer, part);

    qsort(trainer->runs, n, sizeof(*trainer->runs), compare_runs);
    for (size_t i = 0, same; i < n; i += same) {
        for (same = 1; i + same < n &&
                       trainer->runs[i + same].hash == trainer->runs[i].hash;)
            same++;
        if (same >= DICTIONARY_MESSAGES &&
            is_common(trainer, trainer->runs + i, same))
            mark_runs(trainer, trainer->runs + i, same);
    }
}

static bool
is_marked(const struct dictionary_trainer *trainer, size_t at)
{
    return (trainer->common[at / 8] >> at % 8 & 1) != 0;
}

/* --- the dictionary
 * ------------------------------------------------------------ */

struct samples {
    struct buf bytes;
    size_t *sizes;
    unsigned n;
};

static void
samples_add(struct samples *samples, struct view bytes)
{
    buf_add_view(&samples->bytes, bytes);
    samples->sizes[samples->n++] = bytes.len;
}

/* What is common of each sample, as one. */
static void
take_common(const struct dictionary_trainer *trainer, struct samples *out)
{
    for (size_t s = 0; s < trainer->n; s++) {
        const struct sample *sample = &trainer->samples[s];
        size_t start = out->bytes.len;

        for (size_t i = 0; i < sample->len; i++)
            if (is_marked(trainer, sample->start + i))
                buf_add_byte(&out->bytes,
                             trainer->bytes.data[sample->start + i]);
        if (out->bytes.len - start >= DICTIONARY_RUN)
            out->sizes[out->n++] = out->bytes.len - start;
        else
            out->bytes.len = start;
    }
}

static void
take_statistics(const struct dictionary_trainer *trainer, struct samples *out)
{
    size_t every = trainer->bytes.len / STATISTICS_BYTES + 1;

    for (size_t s = 0; s < trainer->n; s += every)
        samples_add(
            out, (struct view){trainer->bytes.data + trainer->samples[s].start,
                               trainer->samples[s].len});
}

static int
make_dictionary(const struct samples *common, const struct samples *statistics,
                uint32_t id, struct buf *out, struct why *why)
{
    ZDICT_params_t params = {.compressionLevel = 3, .dictID = id};
    char *trained = mem_alloc(DICTIONARY_BYTES_MAX);
    size_t len =
        ZDICT_trainFromBuffer(trained, DICTIONARY_BYTES_MAX, common->bytes.data,
                              common->sizes, common->n);
    size_t head =
        ZDICT_isError(len) ? 0 : ZDICT_getDictHeaderSize(trained, len);

    if (ZDICT_isError(len) || ZDICT_isError(head)) {
        why_text(why, "too little is common to what is held: %s",
                 ZDICT_getErrorName(ZDICT_isError(len) ? len : head));
        free(trained);
        return -1;
    }
    buf_reserve(out, DICTIONARY_BYTES_MAX);
    len = ZDICT_finalizeDictionary(
        out->data + out->len, DICTIONARY_BYTES_MAX, trained + head, len - head,
        statistics->bytes.data, statistics->sizes, statistics->n, params);
    free(trained);
    if (ZDICT_isError(len))
        return why_text(why, "the dictionary could not be made: %s",
                        ZDICT_getErrorName(len));
    out->len += len;
    return 0;
}

int
dictionary_trainer_finish(struct dictionary_trainer *trainer, uint32_t id,
                          struct buf *out, struct why *why)
{
    struct samples common = {.n = 0}, statistics = {.n = 0};
    int rc = -1;

    if (trainer->n < SAMPLES_MIN)
        return why_text(why,
                        "%zu messages are too few to learn from: %d are "
                        "needed",
                        trainer->n, SAMPLES_MIN);
    trainer->common = mem_alloc(trainer->bytes.len / 8 + 1);
    for (unsigned part = 0; part < PARTS; part++)
        mark_part(trainer, part);
    common.sizes = mem_alloc((trainer->n + 1) * sizeof(*common.sizes));
    statistics.sizes = mem_alloc((trainer->n + 1) * sizeof(*common.sizes));
    take_common(trainer, &common);
    take_statistics(trainer, &statistics);
    if (common.bytes.len < COMMON_MIN)
        why_text(why, "too little is common to what is held: it is from too "
                      "few senders, or to too few recipients");
    else
        rc = make_dictionary(&common, &statistics, id, out, why);
    buf_free(&common.bytes);
    buf_free(&statistics.bytes);
    free(common.sizes);
    free(statistics.sizes);
    return rc;
}
