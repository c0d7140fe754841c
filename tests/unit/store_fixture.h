/* SPDX-License-Identifier: ISC */
/*
 * A store in a directory of its own, records applied to it one by one, and
 * the small messages that tests of the ledger are made of.
 */
#ifndef SPOOL_TEST_STORE_FIXTURE_H
#define SPOOL_TEST_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "db_read.h"
#include "store.h"

#define T0    UINT64_C(1750000000000)
#define ID(n) ((uint64_t)(n) << 21)

struct fixture {
    char dir[64];
    struct db *db;
    uint64_t count; /* of the last record */
};

static inline int
fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct why why;

    strcpy(f->dir, "/tmp/spoold-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->db = db_open_writer(f->dir, &why);
    assert_non_null(f->db);
    *state = f;
    return 0;
}

static inline int
fixture_teardown(void **state)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    struct fixture *f = *state;
    char path[128];

    db_close(&f->db);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
        unlink(path);
    }
    rmdir(f->dir);
    free(f);
    return 0;
}

static inline enum apply_result
fixture_apply(struct fixture *f, enum store_kind kind, uint64_t keep_ms,
              const struct record_type *type, const void *payload)
{
    struct buf bytes = {0};
    struct store_record record = {
        .kind = kind, .when_ms = T0, .keep_ms = keep_ms, .fd = -1};
    struct store_apply apply = {0};
    struct db_txn *txn;
    struct why why;
    enum apply_result result;

    record_encode(type, payload, &bytes);
    record.payload = buf_view(&bytes);
    assert_int_equal(db_begin(f->db, &txn), DB_OK);
    assert_int_equal(store_apply_begin(&apply, txn), APPLY_OK);
    result = store_apply_record(&apply, &record);
    f->count = apply.count;
    if (result == APPLY_OK) {
        assert_int_equal(store_apply_end(&apply), APPLY_OK);
        assert_int_equal(db_commit(&txn, &why), DB_OK);
    } else {
        db_abort(&txn);
    }
    store_apply_free(&apply);
    buf_free(&bytes);
    return result;
}

/* A message with n recipients and one small piece. */
static inline void
fixture_submit(struct fixture *f, uint64_t id, size_t n)
{
    char content[4 + 6] = "\0\0\0\6"
                          "0hello";
    struct message message = {.arrived_ms = T0,
                              .origin = ORIGIN_SMTP,
                              .sender = VIEW("anna@client.example"),
                              .flow = VIEW("client.example"),
                              .size = 5};
    struct delivery *deliveries = calloc(n, sizeof(*deliveries));
    struct proto_submit payload = {.id = id,
                                   .deliveries = {deliveries, n},
                                   .content = {content, sizeof(content)},
                                   .content_len = sizeof(content)};
    struct buf row = {0};

    for (size_t i = 0; i < n; i++)
        deliveries[i] = (struct delivery){.recipient = VIEW("b@example.com"),
                                          .target = VIEW("office")};
    record_encode(&message_record, &message, &row);
    payload.message = buf_view(&row);
    assert_int_equal(
        fixture_apply(f, STORE_SUBMIT, 0, &proto_submit_record, &payload),
        APPLY_OK);
    buf_free(&row);
    free(deliveries);
}

static inline void
fixture_deliver(struct fixture *f, uint64_t id, uint64_t n, uint64_t keep_ms)
{
    struct proto_result result = {
        .n = n, .state = DELIVERY_DELIVERED, .code = 250, .reply = VIEW("ok")};
    struct proto_outcome outcome = {
        .id = id, .when_ms = T0, .results = {&result, 1}};

    assert_int_equal(fixture_apply(f, STORE_OUTCOME, keep_ms,
                                   &proto_outcome_record, &outcome),
                     APPLY_OK);
}

#endif
