/* SPDX-License-Identifier: ISC */
/*
 * For whom did a target take mail before? Two memories: the deliveries the
 * store still keeps (keep-delivered), and marks of what was delivered since
 * this process began, each a few bytes; a mark may be written over by another
 * one, and then only the store remembers. Neither ever says yes of somebody
 * the target did not take mail for, but for one chance in 2^64.
 *
 * Before: replay_recovery.c   After: db_read.c
 */
#include "replay.h"

#include "log.h"
#include "mailbox.h"

#define MARKS      16384 /* 128 KB, used as they are written */
#define BLOCKS_MAX 1000  /* of signatures, the oldest: a few ms */
#define FOUND_MAX  512   /* of whose signatures pass */
#define KEPT_MAX   64    /* ... so many are looked at */

static uint64_t marks[MARKS];

static uint64_t
add_text(uint64_t hash, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
    return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

/* Never 0. */
static uint64_t
mark_of(const struct replay_target *target, const char *address, size_t len)
{
    uint64_t hash = add_text(UINT64_C(0xcbf29ce484222325), target->name,
                             strlen(target->name));

    hash = add_text(hash, address, len);
    return (hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

void
replay_took_note(const struct replay_target *target, struct view recipient)
{
    char address[MAILBOX_ADDRESS_MAX];
    size_t len = mailbox_address(recipient, address);
    uint64_t mark = mark_of(target, address, len);

    if (len > 0)
        marks[mark % MARKS] = mark;
}

static bool
is_it(const struct replay_target *target, const struct delivery *row,
      struct view address)
{
    char text[MAILBOX_ADDRESS_MAX];

    return row->state == DELIVERY_DELIVERED &&
           view_equal(row->target, view_of(target->name)) &&
           view_equal(
               (struct view){text, mailbox_address(row->recipient, text)},
               address);
}

/* Has the message a delivery to this address that the target took? */
static bool
has_taken(const struct replay_target *target, uint64_t id, struct view address)
{
    struct db_message message;
    bool taken = false;

    if (db_read_message(replay_db(), id, &message, NULL) != 1)
        return false;
    for (size_t i = 0; i < message.n_deliveries; i++)
        taken |= is_it(target, &message.deliveries[i].delivery, address);
    db_message_free(&message);
    return taken;
}

static bool
is_kept(const struct replay_target *target, struct view recipient,
        struct view address)
{
    uint64_t ids[FOUND_MAX], cursor = 0;
    struct sieve mask = {0};
    size_t blocks = BLOCKS_MAX;
    struct why why;
    bool taken = false;
    int n;

    sieve_add(&mask, SIEVE_TO, recipient);
    sieve_add(&mask, SIEVE_TARGET, view_of(target->name));
    n = db_read_sieve(replay_db(), &mask, &cursor, &blocks, ids, FOUND_MAX,
                      &why);
    if (n < 0)
        log_warn("what %s took before: %s", target->name, why.text);
    for (int i = 0; i < n && i < KEPT_MAX && !taken; i++)
        taken = has_taken(target, ids[i], address);
    return taken;
}

bool
replay_took(const struct replay_target *target, struct view recipient)
{
    char address[MAILBOX_ADDRESS_MAX];
    size_t len = mailbox_address(recipient, address);
    uint64_t mark = mark_of(target, address, len);

    return len > 0 && (marks[mark % MARKS] == mark ||
                       is_kept(target, recipient, (struct view){address, len}));
}
