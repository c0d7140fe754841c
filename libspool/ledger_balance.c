/* SPDX-License-Identifier: ISC */
#include "ledger_balance.h"

#include <stdlib.h>

#include "event.h"
#include "mem.h"

/* --- slots ---------------------------------------------------------------- */

#define FLAG_MARK   (UINT64_C(1) << 63)
#define FLAG_MANY   (UINT64_C(1) << 62)
#define FLAG_DIGEST (UINT64_C(1) << 61)
/* Opened by again before all is known: other deliveries may be open, too. */
#define FLAG_PARTLY (UINT64_C(1) << 60)
#define SEQ_MASK    (FLAG_PARTLY - 1)

#define FEW_MAX  64 /* deliveries whose bits are in the slot */
#define PART_MIN 16

struct many {
    size_t words;
    uint64_t bits[];
};

struct slot {
    uint64_t id;  /* 0: free */
    uint64_t seq; /* of the acceptance, with flags */
    union {
        uint64_t few;
        struct many *many; /* FLAG_MANY */
    } open;
    char digest[LEDGER_DIGEST];
};
_Static_assert(sizeof(struct slot) == 32, "a million slots in 64 MB");

/* Linear probing; a slot that is emptied is filled from behind it. */
struct part {
    struct slot *slots;
    uint32_t cap;
    uint32_t used;
};

struct ledger_balance {
    enum ledger_start start;
    uint64_t cut;
    bool whole;
    uint64_t carrying; /* the message that is being carried, 0: none */
    ledger_fault_fn *fault;
    void *arg;
    struct ledger_counts counts;
    struct part parts[LEDGER_PARTS];
};

static uint64_t
hash_of(uint64_t id)
{
    id ^= id >> 31;
    id *= UINT64_C(0x9e3779b97f4a7c15);
    id ^= id >> 29;
    id *= UINT64_C(0xbf58476d1ce4e5b9);
    return id ^ id >> 32;
}

static struct part *
part_of(const struct ledger_balance *balance, uint64_t id)
{
    struct part *parts = (struct part *)(uintptr_t)balance->parts;

    return &parts[hash_of(id) % LEDGER_PARTS];
}

static uint32_t
home_of(const struct part *part, uint64_t id)
{
    return (uint32_t)((hash_of(id) >> 32) * part->cap >> 32);
}

static uint32_t
after(const struct part *part, uint32_t at)
{
    return at + 1 < part->cap ? at + 1 : 0;
}

static struct slot *
part_find(const struct part *part, uint64_t id)
{
    if (part->cap == 0)
        return NULL;
    for (uint32_t at = home_of(part, id); part->slots[at].id != 0;
         at = after(part, at))
        if (part->slots[at].id == id)
            return &part->slots[at];
    return NULL;
}

static struct slot *
part_place(struct part *part, uint64_t id)
{
    uint32_t at = home_of(part, id);

    while (part->slots[at].id != 0)
        at = after(part, at);
    return &part->slots[at];
}

static void
part_grow(struct part *part)
{
    struct part old = *part;

    part->cap = old.cap > 0 ? old.cap + old.cap / 2 : PART_MIN;
    part->slots = mem_alloc(part->cap * sizeof(*part->slots));
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.slots[i].id != 0)
            *part_place(part, old.slots[i].id) = old.slots[i];
    free(old.slots);
}

static struct slot *
slot_find(const struct ledger_balance *balance, uint64_t id)
{
    return part_find(part_of(balance, id), id);
}

static struct slot *
slot_add(struct ledger_balance *balance, uint64_t id, uint64_t seq)
{
    struct part *part = part_of(balance, id);
    struct slot *slot;

    if (part->used + 1 > part->cap / 8 * 7)
        part_grow(part);
    part->used++;
    balance->counts.messages++;
    slot = part_place(part, id);
    *slot = (struct slot){.id = id, .seq = seq & SEQ_MASK};
    return slot;
}

/* Is at on the way from home to hole, going round? */
static bool
may_fill(const struct part *part, uint32_t hole, uint32_t at)
{
    uint32_t home = home_of(part, part->slots[at].id);

    return hole <= at ? home <= hole || home > at : home <= hole && home > at;
}

static void
slot_drop(struct ledger_balance *balance, struct slot *slot)
{
    struct part *part = part_of(balance, slot->id);
    uint32_t hole = (uint32_t)(slot - part->slots);

    if (slot->seq & FLAG_MANY)
        free(slot->open.many);
    for (uint32_t at = after(part, hole); part->slots[at].id != 0;
         at = after(part, at))
        if (may_fill(part, hole, at)) {
            part->slots[hole] = part->slots[at];
            hole = at;
        }
    part->slots[hole] = (struct slot){0};
    part->used--;
    balance->counts.messages--;
}

/* --- bits ----------------------------------------------------------------- */

static const uint64_t *
bits_of(const struct slot *slot, size_t *words)
{
    bool many = (slot->seq & FLAG_MANY) != 0;

    *words = many ? slot->open.many->words : 1;
    return many ? slot->open.many->bits : &slot->open.few;
}

static bool
bit_is_set(const struct slot *slot, uint64_t n)
{
    size_t words;
    const uint64_t *bits = bits_of(slot, &words);

    return n / 64 < words && (bits[n / 64] >> n % 64 & 1) != 0;
}

static uint64_t
bits_count(const struct slot *slot)
{
    size_t words;
    const uint64_t *bits = bits_of(slot, &words);
    uint64_t count = 0;

    for (size_t i = 0; i < words; i++)
        count += (uint64_t)__builtin_popcountll(bits[i]);
    return count;
}

/* Room for deliveries 0 .. n - 1. */
static void
bits_reserve(struct slot *slot, uint64_t n)
{
    size_t have, words = (size_t)(n + 63) / 64;
    const uint64_t *bits = bits_of(slot, &have);
    struct many *many;

    if (words <= have)
        return;
    many = mem_alloc(sizeof(*many) + words * sizeof(many->bits[0]));
    many->words = words;
    memcpy(many->bits, bits, have * sizeof(many->bits[0]));
    if (slot->seq & FLAG_MANY)
        free(slot->open.many);
    slot->seq |= FLAG_MANY;
    slot->open.many = many;
}

static uint64_t *
bits_word(struct slot *slot, uint64_t n)
{
    return slot->seq & FLAG_MANY ? &slot->open.many->bits[n / 64]
                                 : &slot->open.few;
}

static void
bit_set(struct slot *slot, uint64_t n)
{
    bits_reserve(slot, n + 1);
    *bits_word(slot, n) |= UINT64_C(1) << n % 64;
}

/* --- entries -------------------------------------------------------------- */

static void
tell(struct ledger_balance *balance, enum ledger_fault fault, uint64_t seq,
     const struct ledger_entry *entry)
{
    balance->fault(balance->arg, fault, seq, entry);
}

/* An entry about a delivery that is not known to be open. */
static void
tell_unknown(struct ledger_balance *balance, enum ledger_fault fault,
             uint64_t seq, const struct ledger_entry *entry,
             const struct slot *slot)
{
    bool known = slot != NULL && (slot->seq & FLAG_PARTLY) == 0;

    if (!known && !balance->whole)
        balance->counts.earlier++;
    else
        tell(balance, fault, seq, entry);
}

/* Deliveries 0 .. code - 1 are open; slot is NULL or known in part. */
static void
open_message(struct ledger_balance *balance, uint64_t seq,
             const struct ledger_entry *entry, struct slot *slot)
{
    if (slot == NULL)
        slot = slot_add(balance, entry->id, seq);
    slot->seq = (slot->seq & ~(SEQ_MASK | FLAG_PARTLY)) | (seq & SEQ_MASK);
    bits_reserve(slot, entry->code);
    for (uint64_t n = 0; n < entry->code; n++) {
        if (bit_is_set(slot, n))
            continue;
        bit_set(slot, n);
        balance->counts.accepted++;
        balance->counts.open++;
    }
    if (entry->digest.len >= LEDGER_DIGEST) {
        slot->seq |= FLAG_DIGEST;
        memcpy(slot->digest, entry->digest.data, LEDGER_DIGEST);
    }
}

static void
close_delivery(struct ledger_balance *balance, struct slot *slot, uint64_t n)
{
    *bits_word(slot, n) &= ~(UINT64_C(1) << n % 64);
    balance->counts.open--;
    if (bits_count(slot) == 0)
        slot_drop(balance, slot);
}

static void
add_accepted(struct ledger_balance *balance, uint64_t seq,
             const struct ledger_entry *entry)
{
    if (entry->id == 0 || entry->code == 0 ||
        entry->code > LEDGER_DELIVERIES_MAX)
        tell(balance, LEDGER_NO_SENSE, seq, entry);
    else if (slot_find(balance, entry->id) != NULL)
        tell(balance, LEDGER_ACCEPTED_TWICE, seq, entry);
    else
        open_message(balance, seq, entry, NULL);
}

/* Said again: of a message that is known, nothing new. With id 0: all that
 * was open at entry number code has been said, so what is known in part has
 * no other open deliveries. */
static void
add_carried(struct ledger_balance *balance, uint64_t seq,
            const struct ledger_entry *entry)
{
    struct slot *slot = entry->id != 0 ? slot_find(balance, entry->id) : NULL;

    if (entry->id == 0) {
        if (balance->start == LEDGER_FROM_CUT && entry->code >= balance->cut)
            balance->whole = true;
    } else if (entry->n == 0) {
        balance->carrying = 0;
        if ((slot != NULL && (slot->seq & FLAG_PARTLY) == 0) ||
            balance->whole || balance->start != LEDGER_FROM_CUT ||
            entry->code == 0 || entry->code > LEDGER_DELIVERIES_MAX)
            return;
        balance->carrying = entry->id;
        open_message(balance, seq, entry, slot);
    } else if (slot != NULL && balance->carrying == entry->id &&
               bit_is_set(slot, entry->n - 1)) {
        /* It had ended before: no delivery of this account. */
        balance->counts.accepted--;
        close_delivery(balance, slot, entry->n - 1);
    }
}

static void
add_end(struct ledger_balance *balance, uint64_t seq,
        const struct ledger_entry *entry, uint64_t *count)
{
    struct slot *slot = slot_find(balance, entry->id);

    if (slot == NULL || entry->n == 0 || !bit_is_set(slot, entry->n - 1)) {
        tell_unknown(balance, LEDGER_NOT_OPEN, seq, entry, slot);
        return;
    }
    (*count)++;
    close_delivery(balance, slot, entry->n - 1);
}

/* What happens to an open delivery and leaves it open. */
static void
add_step(struct ledger_balance *balance, uint64_t seq,
         const struct ledger_entry *entry)
{
    const struct slot *slot = slot_find(balance, entry->id);

    if (slot == NULL || entry->n == 0 || !bit_is_set(slot, entry->n - 1))
        tell_unknown(balance, LEDGER_NOT_OPEN, seq, entry, slot);
}

static void
add_again(struct ledger_balance *balance, uint64_t seq,
          const struct ledger_entry *entry)
{
    struct slot *slot = slot_find(balance, entry->id);

    if (entry->id == 0 || entry->n == 0 || entry->n > LEDGER_DELIVERIES_MAX) {
        tell(balance, LEDGER_NO_SENSE, seq, entry);
        return;
    }
    if (slot == NULL && balance->start == LEDGER_FROM_MIDDLE) {
        balance->counts.earlier++;
        return;
    }
    if (slot == NULL) {
        slot = slot_add(balance, entry->id, seq);
        slot->seq |= balance->whole ? 0 : FLAG_PARTLY;
    }
    if (bit_is_set(slot, entry->n - 1)) {
        tell(balance, LEDGER_STILL_OPEN, seq, entry);
        return;
    }
    bit_set(slot, entry->n - 1);
    balance->counts.again++;
    balance->counts.open++;
}

/* The whole message goes: by then all has ended, unless it is erased. */
static void
add_gone(struct ledger_balance *balance, uint64_t seq,
         const struct ledger_entry *entry)
{
    struct slot *slot = slot_find(balance, entry->id);
    bool erased = entry->event == EVENT_ERASED;
    uint64_t open = slot != NULL ? bits_count(slot) : 0;

    if (erased && open != entry->code)
        tell_unknown(balance, LEDGER_ERASED_OTHER, seq, entry, slot);
    else if (!erased && open > 0)
        tell(balance, LEDGER_GONE_OPEN, seq, entry);
    if (!erased || slot == NULL)
        return;
    balance->counts.erased += open;
    balance->counts.open -= open;
    slot_drop(balance, slot);
}

void
ledger_balance_add(struct ledger_balance *balance, uint64_t seq,
                   const struct ledger_entry *entry)
{
    struct ledger_counts *counts = &balance->counts;

    counts->entries++;
    switch (entry->event) {
    case EVENT_ACCEPTED:
        add_accepted(balance, seq, entry);
        break;
    case EVENT_CARRIED:
        add_carried(balance, seq, entry);
        break;
    case EVENT_DELIVERED:
        add_end(balance, seq, entry, &counts->delivered);
        break;
    case EVENT_RETURNED:
        add_end(balance, seq, entry, &counts->returned);
        break;
    case EVENT_EXPIRED:
        add_end(balance, seq, entry, &counts->expired);
        break;
    case EVENT_DROPPED:
        add_end(balance, seq, entry, &counts->dropped);
        break;
    case EVENT_DISCARDED:
        add_end(balance, seq, entry, &counts->discarded);
        break;
    case EVENT_DEFERRED:
    case EVENT_UNKNOWN:
    case EVENT_WARNED:
    case EVENT_RETRIED:
    case EVENT_DUE:
    case EVENT_HELD:
    case EVENT_RELEASED:
    case EVENT_REDIRECTED:
    case EVENT_UNDONE:
        add_step(balance, seq, entry);
        break;
    case EVENT_AGAIN:
        add_again(balance, seq, entry);
        break;
    case EVENT_PURGED:
    case EVENT_ERASED:
        add_gone(balance, seq, entry);
        break;
    default:
        break; /* says nothing of a delivery */
    }
}

void
ledger_entry_count(const struct ledger_entry *entry, uint64_t *accepted,
                   uint64_t *ended)
{
    switch (entry->event) {
    case EVENT_ACCEPTED:
    case EVENT_ERASED:
        *(entry->event == EVENT_ACCEPTED ? accepted : ended) += entry->code;
        break;
    case EVENT_AGAIN:
        ++*accepted;
        break;
    case EVENT_DELIVERED:
    case EVENT_RETURNED:
    case EVENT_EXPIRED:
    case EVENT_DROPPED:
    case EVENT_DISCARDED:
        ++*ended;
        break;
    default:
        break;
    }
}

void
ledger_signed_bytes(const struct checkpoint *row, struct buf *out)
{
    struct checkpoint said = *row;

    said.public = (struct view){0};
    said.signature = (struct view){0};
    record_encode(&checkpoint_record, &said, out);
}

/* --- questions ------------------------------------------------------------ */

bool
ledger_balance_find(const struct ledger_balance *balance, uint64_t id,
                    struct ledger_open *open)
{
    const struct slot *slot = slot_find(balance, id);

    if (slot == NULL)
        return false;
    *open = (struct ledger_open){
        .id = id,
        .seq = slot->seq & SEQ_MASK,
        .n = bits_count(slot),
        .has_digest = (slot->seq & FLAG_DIGEST) != 0,
    };
    memcpy(open->digest, slot->digest, LEDGER_DIGEST);
    return true;
}

bool
ledger_balance_next(const struct ledger_balance *balance, uint64_t id,
                    uint64_t *n)
{
    const struct slot *slot = slot_find(balance, id);
    size_t words = 0;

    if (slot == NULL)
        return false;
    for (bits_of(slot, &words); *n < words * 64; ++*n)
        if (bit_is_set(slot, *n))
            return true;
    return false;
}

bool
ledger_balance_is_open(const struct ledger_balance *balance, uint64_t id,
                       uint64_t n)
{
    const struct slot *slot = slot_find(balance, id);

    return slot != NULL && bit_is_set(slot, n);
}

void
ledger_balance_mark(struct ledger_balance *balance, uint64_t id)
{
    struct slot *slot = slot_find(balance, id);

    if (slot != NULL)
        slot->seq |= FLAG_MARK;
}

void
ledger_balance_unmarked(const struct ledger_balance *balance, unsigned part,
                        struct buf *ids)
{
    const struct part *from = &balance->parts[part];

    for (uint32_t i = 0; i < from->cap; i++)
        if (from->slots[i].id != 0 && (from->slots[i].seq & FLAG_MARK) == 0)
            buf_add(ids, (const char *)&from->slots[i].id, sizeof(uint64_t));
}

const struct ledger_counts *
ledger_balance_counts(const struct ledger_balance *balance)
{
    return &balance->counts;
}

bool
ledger_balance_is_whole(const struct ledger_balance *balance)
{
    return balance->whole;
}

struct ledger_balance *
ledger_balance_new(enum ledger_start start, uint64_t cut, ledger_fault_fn *fn,
                   void *arg)
{
    struct ledger_balance *balance = mem_alloc(sizeof(*balance));

    balance->start = start;
    balance->cut = cut;
    balance->whole = start == LEDGER_FROM_FIRST;
    balance->fault = fn;
    balance->arg = arg;
    return balance;
}

void
ledger_balance_free(struct ledger_balance **balance)
{
    if (*balance == NULL)
        return;
    for (unsigned p = 0; p < LEDGER_PARTS; p++) {
        struct part *part = &(*balance)->parts[p];

        for (uint32_t i = 0; i < part->cap; i++)
            if (part->slots[i].id != 0 && (part->slots[i].seq & FLAG_MANY))
                free(part->slots[i].open.many);
        free(part->slots);
    }
    free(*balance);
    *balance = NULL;
}
