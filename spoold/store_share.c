/* SPDX-License-Identifier: ISC */
/*
 * No domain's mail may take the whole spool: above its share, mail for it is
 * answered 452, until deliveries have made room. What its messages take is
 * counted with their rows (store_refs.c) and read from there, a bounded
 * number of domains a turn; in between what comes in is added.
 *
 * The share is of the room there is: the data file and what is free beside
 * it, less the reserve. Finished messages that are kept go first when their
 * domain is full.
 */
#include <stdlib.h>

#include "addr.h"
#include "clock.h"
#include "conf.h"
#include "db_read.h"
#include "event.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "store.h"

#define CHECK_MS      1000
#define CHECK_SOON_MS 100 /* while some domain is near its share */
#define NEAR_PERCENT  70  /* of the share */
#define OK_PERCENT    95  /* of the share: full no longer */
/* Rows of a message besides its content: envelope, ledger, signature. */
#define ROW_BYTES   1024
#define DOMAINS_MAX 500 /* looked at in one turn */
#define PURGES_MAX  20000
#define PURGES_LOOK 200 /* kept messages looked at in one turn */

/* Of one configured domain. */
struct domain_use {
    uint64_t bytes; /* as of its row, and what came in since */
    bool full;
    bool seen; /* it has a row, in this round */
};

static struct {
    const struct conf *conf;
    struct domain_use *uses; /* by position in conf->domains */
    size_t n_full;
    void (*changed)(void);
    struct loop_timer *timer;
    struct buf after; /* where the round stands; empty: at its start */
    uint64_t room;    /* of this round, 0: not known yet */
    bool near;        /* some domain is near its share, in this round */
    size_t purge_at;  /* how many of the oldest purges were looked at */
} share;

/* --- one domain ----------------------------------------------------------- */

static const struct conf_domain *
domain_at(size_t i)
{
    return (const struct conf_domain *)share.conf->domains.items + i;
}

/* NULL: the domain is none of ours. */
static struct domain_use *
find_use(struct view name)
{
    const struct conf_domain *domain = conf_domain_by_name(share.conf, name);

    return domain != NULL ? &share.uses[domain - domain_at(0)] : NULL;
}

static struct domain_use *
find_use_of(struct view address)
{
    return find_use(sieve_domain(address));
}

/* Bytes it may take; UINT64_MAX: all there is. */
static uint64_t
limit_of(size_t i)
{
    uint64_t percent = domain_at(i)->share;

    if (percent == 0)
        percent =
            share.conf->domains.count > 1 ? share.conf->domain_share : 100;
    if (percent >= 100 || share.room == 0)
        return UINT64_MAX;
    return share.room / 100 * percent;
}

static void
tell(enum event_kind kind, size_t i)
{
    struct event event;
    struct buf payload = {0};
    struct view name = domain_at(i)->name;
    struct ledger_entry entry = {
        .when_ms = (uint64_t)clock_wall_ms(), .event = kind, .text = name};
    struct store_record record = {
        .kind = STORE_NOTE, .when_ms = entry.when_ms, .fd = -1};

    event_begin(&event, kind);
    event_view(&event, "domain", name);
    event_num(&event, "used", share.uses[i].bytes);
    event_num(&event, "share", limit_of(i));
    event_end(&event);
    record_encode(&ledger_entry_record, &entry, &payload);
    record.payload = buf_view(&payload);
    store_batch_add(&record, ROLE_STORE, 0, 0, NULL);
    buf_free(&payload);
}

static void
judge(struct domain_use *use)
{
    size_t i = (size_t)(use - share.uses);
    uint64_t limit = limit_of(i);
    bool full = use->bytes >= limit;

    share.near = share.near || use->bytes >= limit / 100 * NEAR_PERCENT;
    if (use->full && !full)
        full = limit != UINT64_MAX && use->bytes > limit / 100 * OK_PERCENT;
    if (full == use->full)
        return;
    use->full = full;
    share.n_full += full ? 1 : (size_t)-1;
    share.purge_at = 0;
    tell(full ? EVENT_SHARE_FULL : EVENT_SHARE_OK, i);
    share.changed();
}

/* --- rounds --------------------------------------------------------------- */

static void
begin_round(void)
{
    struct db_counts counts;
    struct why why;
    uint64_t total;

    for (size_t i = 0; i < share.conf->domains.count; i++)
        share.uses[i].seen = false;
    share.near = false;
    if (db_read_counts(store_batch_db(), &counts, &why) != 1)
        return; /* the room is what it was */
    total = counts.file_bytes + db_free_bytes(store_batch_db());
    share.room = total > share.conf->reserve ? total - share.conf->reserve : 1;
}

/* Domains without a row have no messages. */
static void
end_round(void)
{
    for (size_t i = 0; i < share.conf->domains.count; i++) {
        if (share.uses[i].seen)
            continue;
        share.uses[i].bytes = 0;
        judge(&share.uses[i]);
    }
}

static void
look_at(struct view name, const struct domain_share *row)
{
    struct domain_use *use = find_use(name);

    if (use == NULL)
        return;
    use->seen = true;
    use->bytes = row->stored + row->messages * ROW_BYTES;
    judge(use);
}

/* --- room in a domain that is full ---------------------------------------- */

static bool
is_of_full(uint64_t id)
{
    struct db_message message;
    bool found = false;

    if (db_read_message(store_batch_db(), id, &message, NULL) != 1)
        return false;
    for (size_t i = 0; i < message.n_deliveries && !found; i++) {
        const struct domain_use *use =
            find_use_of(message.deliveries[i].delivery.recipient);

        found = use != NULL && use->full;
    }
    db_message_free(&message);
    return found;
}

/* Some of the oldest that are kept: those of a full domain go now. */
static void
make_room(void)
{
    struct db_later *rows = mem_alloc(PURGES_MAX * sizeof(*rows));
    int n = db_purges(store_batch_db(), rows, PURGES_MAX);
    int found = 0;

    for (size_t i = 0; n > 0 && i < PURGES_LOOK; i++) {
        if (share.purge_at >= (size_t)n) {
            share.purge_at = 0;
            break;
        }
        if (is_of_full(rows[share.purge_at].id))
            rows[found++] = rows[share.purge_at];
        share.purge_at++;
    }
    /* These are gone then, and the next ones move up. */
    share.purge_at -=
        share.purge_at < (size_t)found ? share.purge_at : (size_t)found;
    store_due_add(rows, found);
    free(rows);
}

/* --- turns ---------------------------------------------------------------- */

/* 1: the round goes on in another turn, 0: it is over. */
static int
look(void)
{
    struct domain_share row;
    struct why why;

    if (share.after.len == 0)
        begin_round();
    for (size_t i = 0; i < DOMAINS_MAX; i++) {
        struct buf name = {0};
        int found = db_read_share_after(
            store_batch_db(), buf_view(&share.after), &name, &row, &why);

        if (found == 1)
            look_at(buf_view(&name), &row);
        else if (found < 0)
            log_warn("what the domains take: %s", why.text);
        buf_reset(&share.after);
        buf_add_view(&share.after, buf_view(&name));
        buf_free(&name);
        if (found == 1)
            continue;
        buf_reset(&share.after);
        if (found == 0)
            end_round();
        return 0;
    }
    return 1;
}

static void
on_turn(void *arg)
{
    (void)arg;
    if (look() == 1) {
        loop_timer_set(share.timer, 1);
        return;
    }
    if (share.n_full > 0)
        make_room();
    loop_timer_set(share.timer, share.near ? CHECK_SOON_MS : CHECK_MS);
}

/* --- for store.c ---------------------------------------------------------- */

void
store_share_configure(const struct conf *conf)
{
    share.conf = conf;
    free(share.uses);
    share.uses = mem_alloc((conf->domains.count + 1) * sizeof(*share.uses));
    share.n_full = 0;
    buf_reset(&share.after);
    if (share.timer != NULL)
        loop_timer_set(share.timer, 0);
}

void
store_share_start(void (*changed)(void))
{
    share.changed = changed;
    share.timer = loop_timer_new(on_turn, NULL);
    loop_timer_set(share.timer, 0);
}

size_t
store_share_list(struct proto_name *names, size_t max)
{
    size_t n = 0;

    if (share.n_full == 0)
        return 0;
    for (size_t i = 0; i < share.conf->domains.count && n < max; i++)
        if (share.uses[i].full)
            names[n++].name = domain_at(i)->name;
    return n;
}

bool
store_share_takes(const struct proto_submit *submit)
{
    const struct delivery *deliveries = submit->deliveries.items;
    const struct domain_use *last = NULL;

    for (size_t i = 0; i < submit->deliveries.count; i++) {
        struct domain_use *use = find_use_of(deliveries[i].recipient);

        if (use != NULL && use->full)
            return false;
    }
    for (size_t i = 0; i < submit->deliveries.count; i++) {
        struct domain_use *use = find_use_of(deliveries[i].recipient);

        if (use == NULL || use == last)
            continue;
        use->bytes += submit->content_len + ROW_BYTES;
        judge(use);
        last = use;
    }
    return true;
}
