/* SPDX-License-Identifier: ISC */
/* A data.mdb: whatever is in it, reading ends, and rows are in their order,
 * inside of their limits. */
#include <sys/mman.h>

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "db_pages.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

struct seen {
    struct buf key; /* of the row before */
    uint64_t rows;
    uint64_t bytes;
    uint64_t in_table;
};

static bool
on_row(void *arg, struct view table, struct view key, struct view value)
{
    struct seen *seen = arg;
    size_t len;
    int order;

    assert(table.len > 0 && key.len > 0 && key.len <= 511);
    len = key.len < seen->key.len ? key.len : seen->key.len;
    order = len > 0 ? memcmp(key.data, seen->key.data, len) : 0;
    if (seen->in_table > 0)
        assert(order > 0 || (order == 0 && key.len > seen->key.len));
    buf_reset(&seen->key);
    buf_add_view(&seen->key, key);
    for (size_t i = 0; i < value.len; i++) /* all of it can be read */
        seen->bytes += (unsigned char)value.data[i];
    seen->in_table++;
    return ++seen->rows < 1000000;
}

static void
on_damage(void *arg, const struct db_pages_damage *damage)
{
    struct seen *seen = arg;

    for (size_t i = 0; i < damage->from.len; i++)
        seen->bytes += (unsigned char)damage->from.data[i];
    for (size_t i = 0; i < damage->to.len; i++)
        seen->bytes += (unsigned char)damage->to.data[i];
    assert(damage->text != NULL && damage->text[0] != '\0');
}

static void
on_table(void *arg, struct view table, uint64_t rows, uint64_t found)
{
    struct seen *seen = arg;

    (void)table;
    (void)rows;
    assert(found == seen->in_table);
    seen->in_table = 0;
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
    static int fd = -1;
    struct seen seen = {0};
    const struct db_pages_reader reader = {on_row, on_damage, on_table, &seen};
    struct why why = {0};
    int rc;

    if (fd < 0)
        fd = memfd_create("pages", 0);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, len, 0) != (ssize_t)len)
        abort();
    rc = db_pages_read(fd, &reader, &why);
    assert(rc == 0 || rc == 1 || why.text[0] != '\0');
    if (db_pages_heads(fd, &why) == 0)
        assert(rc != -1);
    buf_free(&seen.key);
    return 0;
}
