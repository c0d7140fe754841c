/* SPDX-License-Identifier: ISC */
/*
 * Runs of DICTIONARY_RUN bytes are hashed and sorted, one part of the hashes
 * at a time, so that memory stays small. Each group of equal runs is counted:
 * messages, senders' domains, recipients. Where both halves of a run of twice
 * the length are common, it is looked at in the same way, and so on. So a
 * piece is never put together from short common runs: "Dear Mr Miller," and
 * "is HIV positive" may be common, and that they follow each other is not.
 */
#include "dictionary_common.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "dictionary.h"
#include "mem.h"

/* So many runs at most are looked at together, more or less. */
#define RUNS_A_PART (1u << 19)
/* The longest run is DICTIONARY_RUN << LEVELS - 1. */
#define LEVELS 7

struct run {
    uint64_t hash;
    uint32_t at;
    uint32_t sample;
};

/* One part of the hashes of many. */
struct part {
    uint32_t n;
    uint32_t of;
};

struct search {
    struct view bytes;
    const struct dictionary_sample *samples;
    size_t n;
    unsigned char *level; /* of each byte: how many lengths are common here */
    struct run *runs;
    size_t n_runs;
    size_t room;
};

/* --- runs ----------------------------------------------------------------- */

static uint32_t
run_len(unsigned level)
{
    return (uint32_t)DICTIONARY_RUN << level;
}

static uint64_t
hash_of(const char *bytes, size_t len, uint64_t hash)
{
    _Static_assert(DICTIONARY_RUN % sizeof(uint32_t) == 0, "whole words");
    for (size_t i = 0; i < len; i += sizeof(uint32_t)) {
        uint32_t word;

        memcpy(&word, bytes + i, sizeof(word));
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return hash;
}

/* By hash, then as they lie. */
static int
compare_runs(const void *a, const void *b)
{
    const struct run *left = a, *right = b;

    if (left->hash != right->hash)
        return left->hash < right->hash ? -1 : 1;
    return left->at < right->at ? -1 : left->at > right->at;
}

static void
add_run(struct search *search, const struct run *run)
{
    if (search->n_runs == search->room) {
        search->room = search->room > 0 ? search->room / 2 * 3 : 1 << 16;
        search->runs =
            mem_grow(search->runs, search->room, sizeof(*search->runs));
    }
    search->runs[search->n_runs++] = *run;
}

/* May the run be common? Its two halves are. */
static bool
may_be(const struct search *search, uint32_t at, unsigned level)
{
    return level == 0 || (search->level[at] == level &&
                          search->level[at + run_len(level - 1)] >= level);
}

/* How many there are, more or less. */
static size_t
count_runs(const struct search *search, unsigned level)
{
    size_t n = 0;

    for (uint32_t at = 0; at + run_len(level) <= search->bytes.len; at++)
        n += may_be(search, at, level);
    return n;
}

static void
collect_of(struct search *search, uint32_t s, unsigned level,
           const struct part *part)
{
    const struct dictionary_sample *sample = &search->samples[s];
    uint32_t len = run_len(level);

    if (sample->len < len)
        return;
    for (uint32_t at = sample->start; at <= sample->start + sample->len - len;
         at++) {
        uint64_t hash;

        if (!may_be(search, at, level))
            continue;
        hash = hash_of(search->bytes.data + at, DICTIONARY_RUN, 0);
        if ((hash >> 32) % part->of != part->n)
            continue;
        hash = hash_of(search->bytes.data + at + DICTIONARY_RUN,
                       len - DICTIONARY_RUN, hash);
        add_run(search, &(struct run){hash, at, s});
    }
}

static void
collect(struct search *search, unsigned level, const struct part *part)
{
    search->n_runs = 0;
    for (uint32_t s = 0; s < search->n; s++)
        collect_of(search, s, level, part);
    if (search->n_runs > 0)
        qsort(search->runs, search->n_runs, sizeof(*search->runs),
              compare_runs);
}

/* --- counting ------------------------------------------------------------- */

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

/* Same hashes: only those that are the same as the first count. */
static bool
is_same(const struct search *search, const struct run *runs, size_t i,
        uint32_t len)
{
    return memcmp(search->bytes.data + runs[i].at,
                  search->bytes.data + runs[0].at, len) == 0;
}

static bool
is_common(const struct search *search, const struct run *runs, size_t n,
          uint32_t len)
{
    struct seen senders = {.n = 0}, recipients = {.n = 0};
    uint32_t last = UINT32_MAX;
    size_t messages = 0;

    for (size_t i = 0; i < n; i++) {
        const struct dictionary_sample *sample =
            &search->samples[runs[i].sample];

        if (runs[i].sample == last || !is_same(search, runs, i, len))
            continue;
        last = runs[i].sample;
        messages++;
        seen_add(&senders, sample->sender);
        seen_add(&recipients, sample->recipient);
        if (messages >= DICTIONARY_MESSAGES &&
            senders.n == DICTIONARY_SENDERS &&
            recipients.n == DICTIONARY_SENDERS)
            return true;
    }
    return false;
}

/* Marks the common ones among the runs collected. */
static void
mark_common(struct search *search, unsigned level)
{
    const struct run *runs = search->runs;
    uint32_t len = run_len(level);

    for (size_t i = 0, same; i < search->n_runs; i += same) {
        for (same = 1;
             i + same < search->n_runs && runs[i + same].hash == runs[i].hash;)
            same++;
        if (same < DICTIONARY_MESSAGES ||
            !is_common(search, runs + i, same, len))
            continue;
        for (size_t k = 0; k < same; k++)
            if (is_same(search, runs + i, k, len))
                search->level[runs[i + k].at] = (unsigned char)(level + 1);
    }
}

static void
mark_level(struct search *search, unsigned level)
{
    struct part part = {
        .of = (uint32_t)(count_runs(search, level) / RUNS_A_PART) + 1};

    for (; part.n < part.of; part.n++) {
        collect(search, level, &part);
        mark_common(search, level);
    }
}

/* --- pieces --------------------------------------------------------------- */

/* The end of the longest common run that starts there; at: there is none. */
static uint32_t
reach(const struct search *search, uint32_t at)
{
    unsigned level = search->level[at];

    return level > 0 ? at + run_len(level - 1) : at;
}

/* As few pieces as cover what is common: the next one is the one of those
 * that start inside the last which reaches furthest. */
static void
cut_pieces(const struct search *search, uint32_t s,
           struct dictionary_pieces *out)
{
    const struct dictionary_sample *sample = &search->samples[s];
    uint32_t stop = sample->start + sample->len, covered = sample->start;

    for (uint32_t at = sample->start; at < stop;) {
        uint32_t best = at;

        for (uint32_t k = at; k <= covered && k < stop; k++)
            if (reach(search, k) > reach(search, best))
                best = k;
        at = best + 1;
        if (reach(search, best) <= covered) {
            at = ++covered;
            continue;
        }
        covered = reach(search, best);
        if (out->n == out->room) {
            out->room = out->room > 0 ? out->room / 2 * 3 : 1 << 12;
            out->items = mem_grow(out->items, out->room, sizeof(*out->items));
        }
        out->items[out->n++] =
            (struct dictionary_piece){best, covered - best, s};
    }
}

void
dictionary_common_find(struct view bytes,
                       const struct dictionary_sample *samples, size_t n,
                       struct dictionary_pieces *out)
{
    struct search search = {.bytes = bytes,
                            .samples = samples,
                            .n = n,
                            .level = mem_alloc(bytes.len + 1)};

    for (unsigned level = 0; level < LEVELS; level++)
        mark_level(&search, level);
    free(search.runs);
    for (uint32_t s = 0; s < n; s++)
        cut_pieces(&search, s, out);
    free(search.level);
}
