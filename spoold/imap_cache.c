/* SPDX-License-Identifier: ISC */
/*
 * What was lately asked of messages. All entries stand in a hash by message
 * and delivery, and in one list in the order of their last use.
 *
 * Before: imap_content.c
 */
#include "imap_cache.h"

#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "mem.h"

#include <uthash.h>

/* A structure that is longer is made of an odd message; it is in the store. */
#define ENTRY_MAX (64 * 1024)

struct entry_key {
    uint64_t id;
    uint64_t n;
};
struct entry {
    struct entry_key key;
    uint64_t number, uid, box; /* its place */
    uint64_t size, arrived_ms, pieces;
    int64_t used_ms;
    size_t len;
    TAILQ_ENTRY(entry) link;
    UT_hash_handle hh;
    char structure[];
};
TAILQ_HEAD(entries, entry);

static struct {
    struct entry *by_key;
    struct entries by_use; /* the last used is the first */
    size_t bytes;
    struct loop_timer *timer; /* runs while there is an entry */
} cache = {.by_use = TAILQ_HEAD_INITIALIZER(cache.by_use)};

static size_t
bytes_of(const struct entry *entry)
{
    return sizeof(*entry) + entry->len;
}

static void
forget(struct entry *entry)
{
    HASH_DEL(cache.by_key, entry);
    TAILQ_REMOVE(&cache.by_use, entry, link);
    cache.bytes -= bytes_of(entry);
    explicit_bzero(entry->structure, entry->len);
    free(entry);
}

static void
forget_old(void *arg)
{
    int64_t limit_ms = loop_now_ms() - IMAP_CACHE_MS;
    struct entry *last;

    (void)arg;
    while ((last = TAILQ_LAST(&cache.by_use, entries)) != NULL &&
           last->used_ms <= limit_ms)
        forget(last);
    if (last != NULL)
        loop_timer_set(cache.timer, (uint64_t)(last->used_ms - limit_ms));
}

static struct entry *
find(const struct db_mail *mail)
{
    struct entry_key key = {mail->id, mail->n};
    struct entry *entry;

    HASH_FIND(hh, cache.by_key, &key, sizeof(key), entry);
    return entry;
}

bool
imap_cache_find(const struct db_mail *mail, uint64_t box,
                struct imap_cached *out)
{
    struct entry *entry = find(mail);

    if (entry == NULL || entry->number != mail->number ||
        entry->uid != mail->uid || entry->box != box)
        return false;
    entry->used_ms = loop_now_ms();
    TAILQ_REMOVE(&cache.by_use, entry, link);
    TAILQ_INSERT_HEAD(&cache.by_use, entry, link);
    *out = (struct imap_cached){entry->size,
                                entry->arrived_ms,
                                entry->pieces,
                                {entry->structure, entry->len}};
    return true;
}

void
imap_cache_put(const struct db_mail *mail, uint64_t box,
               const struct imap_cached *what)
{
    struct entry *entry = find(mail);

    if (entry != NULL)
        forget(entry);
    if (what->structure.len > ENTRY_MAX)
        return;
    entry = mem_alloc(sizeof(*entry) + what->structure.len);
    entry->key = (struct entry_key){mail->id, mail->n};
    entry->number = mail->number;
    entry->uid = mail->uid;
    entry->box = box;
    entry->size = what->size;
    entry->arrived_ms = what->arrived_ms;
    entry->pieces = what->pieces;
    entry->used_ms = loop_now_ms();
    entry->len = what->structure.len;
    memcpy(entry->structure, what->structure.data, entry->len);
    if (cache.timer == NULL)
        cache.timer = loop_timer_new(forget_old, NULL);
    if (TAILQ_EMPTY(&cache.by_use))
        loop_timer_set(cache.timer, IMAP_CACHE_MS);
    HASH_ADD(hh, cache.by_key, key, sizeof(entry->key), entry);
    TAILQ_INSERT_HEAD(&cache.by_use, entry, link);
    cache.bytes += bytes_of(entry);
    while (cache.bytes > IMAP_CACHE_BYTES_MAX)
        forget(TAILQ_LAST(&cache.by_use, entries));
}
