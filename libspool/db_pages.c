/* SPDX-License-Identifier: ISC */
/*
 * LMDB's file, as far as reading needs it. Numbers are those of the machine.
 *
 *     page    number (8), 2 bytes of nothing, flags (2), and where the gap
 *             between the offsets and the entries begins and ends (2, 2), or
 *             how many pages belong together (4); offsets of entries, 2 each
 *     entry   low and high 16 bits of the value's length, flags, the key's
 *             length, 2 each; key; value. In a branch page the first six
 *             bytes are the number of the page below, and there is no value.
 *             A long value is elsewhere: its first page's number stands here.
 *     head    pages 0 and 1: magic, version (4, 4), address, size of the map
 *             (8, 8), the trees of the free list and of the tables, the last
 *             page, the number of the commit (8, 8). Commit n writes head
 *             n mod 2, and the later one counts.
 *     tree    pad (4), flags, depth (2, 2), how many pages of each kind
 *             (3 x 8), entries (8), root (8; all ones: it is empty)
 *
 * After: db_rescue.c
 */
#include "db_pages.h"

#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "mem.h"

#define PAGE_HEAD    16
#define PAGE_MIN     512
#define PAGE_MAX     32768
#define ENTRY_HEAD   8
#define KEY_MAX      511 /* LMDB's longest */
#define TREE_BYTES   48
#define META_MAGIC   0xbeefc0deu
#define META_VERSION 1
#define META_TREES   (PAGE_HEAD + 24)
#define META_TABLES  (META_TREES + TREE_BYTES)
#define META_COMMIT  (META_TABLES + TREE_BYTES + 8)
#define META_BYTES   (META_COMMIT + 8)
#define FREE_NAME    "(free pages)"
#define NO_PAGE      UINT64_MAX
#define VALUE_MAX    (UINT64_C(256) << 20) /* far above what we write */

enum page_flag {
    PAGE_BRANCH = 0x01,
    PAGE_LEAF = 0x02,
    PAGE_OVERFLOW = 0x04,
    PAGE_META = 0x08,
    PAGE_DIRTY = 0x10, /* means nothing on disk */
};
enum entry_flag {
    ENTRY_BIG = 0x01,  /* the value has pages of its own */
    ENTRY_TREE = 0x02, /* the value is a tree: a table */
};

struct tree {
    uint64_t rows;
    uint64_t root;
};

struct head {
    bool is_good;
    uint64_t commit;
    uint32_t page_size;
    uint64_t last_page;
    struct tree free;
    struct tree tables;
};

struct table {
    struct view name; /* empty: the table of tables */
    uint64_t found;
    struct buf last; /* the key that came last: keys rise */
    bool any;
    bool is_free; /* the list of free pages: keys are numbers */
};

struct pages {
    int fd;
    const struct db_pages_reader *reader;
    uint32_t page_size;
    uint64_t n_pages; /* that are in the file */
    uint64_t last_page;
    char *seen; /* a bit a page */
    /* A page for each level, of the tables and of the table of them. */
    char *levels[DB_PAGES_DEPTH + 1][2];
    struct buf value;
};

/* What a subtree may hold: from <= key < to. */
struct range {
    struct view from, to;
};
static const struct range all = {{NULL, 0}, {NULL, 0}};

static uint16_t
get16(const char *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static uint32_t
get32(const char *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static uint64_t
get64(const char *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* Keys of the list of free pages are numbers of this machine. */
static int
compare(const struct table *table, struct view a, struct view b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order;

    if (table->is_free && a.len == 8 && b.len == 8)
        return (get64(a.data) > get64(b.data)) -
               (get64(a.data) < get64(b.data));
    order = len > 0 ? memcmp(a.data, b.data, len) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static bool
read_all(int fd, char *to, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t n = pread(fd, to, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        to += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

/* NULL, or what is wrong with the head of a branch or a leaf. */
static const char *
check_page(uint32_t page_size, const char *page, uint64_t number)
{
    uint16_t flags = get16(page + 10) & (uint16_t)~PAGE_DIRTY;
    uint16_t lower = get16(page + 12), upper = get16(page + 14);

    if (get64(page) != number)
        return "it has another page's number";
    if (flags != PAGE_BRANCH && flags != PAGE_LEAF)
        return "it is neither a branch nor a leaf";
    if (lower < PAGE_HEAD || lower % 2 != 0 || upper < lower ||
        upper > page_size)
        return "what it says of its own room cannot be";
    return NULL;
}

/* --- the heads --------------------------------------------------------------
 */

static struct tree
tree_of(const char *at)
{
    return (struct tree){.rows = get64(at + 32), .root = get64(at + 40)};
}

static bool
is_size(uint32_t size)
{
    return size >= PAGE_MIN && size <= PAGE_MAX && (size & (size - 1)) == 0;
}

/* Does the tree of the tables begin where it says? */
static bool
root_is_there(int fd, const struct head *head)
{
    uint64_t root = head->tables.root;
    char page[PAGE_HEAD];

    return root == NO_PAGE ||
           (root > 1 && root < (uint64_t)INT64_MAX / PAGE_MAX &&
            read_all(fd, page, sizeof(page), root * head->page_size) &&
            check_page(head->page_size, page, root) == NULL);
}

static struct head
read_head(int fd, uint64_t number, uint64_t offset)
{
    struct head head = {0};
    char page[META_BYTES];

    if (!read_all(fd, page, sizeof(page), offset))
        return head;
    /* The size of a page stands where the tree of the free list has its pad. */
    head.page_size = get32(page + META_TREES);
    head.free = tree_of(page + META_TREES);
    head.tables = tree_of(page + META_TABLES);
    head.last_page = get64(page + META_COMMIT - 8);
    head.commit = get64(page + META_COMMIT);
    head.is_good = get64(page) == number && get16(page + 10) & PAGE_META &&
                   get32(page + PAGE_HEAD) == META_MAGIC &&
                   get32(page + PAGE_HEAD + 4) == META_VERSION &&
                   is_size(head.page_size) &&
                   (head.commit == 0 || head.commit % 2 == number) &&
                   root_is_there(fd, &head);
    return head;
}

/* Where the second one is says the first; if that cannot be read, it is
 * looked for where it would be at each size a page can have. */
static void
read_heads(int fd, struct head heads[2])
{
    heads[0] = read_head(fd, 0, 0);
    heads[1] = (struct head){0};
    for (uint32_t size = PAGE_MIN; size <= PAGE_MAX; size *= 2) {
        if (heads[0].is_good && heads[0].page_size != size)
            continue;
        heads[1] = read_head(fd, 1, size);
        if (heads[1].is_good && heads[1].page_size == size)
            return;
        heads[1].is_good = false;
    }
}

static int
check_heads(const struct head heads[2], struct why *why)
{
    uint64_t a = heads[0].commit, b = heads[1].commit;

    if (!heads[0].is_good || !heads[1].is_good)
        return why_text(why,
                        "head %d of data.mdb is damaged: with the other alone "
                        "the store may be one commit older",
                        heads[0].is_good ? 1 : 0);
    if (a != b + 1 && b != a + 1 && (a != 0 || b != 0))
        return why_text(why, "the heads of data.mdb are not those of two "
                             "commits in a row: one is damaged, and the store "
                             "may be an older one");
    return 0;
}

int
db_pages_heads(int fd, struct why *why)
{
    struct head heads[2];

    read_heads(fd, heads);
    return check_heads(heads, why);
}

/* --- pages ------------------------------------------------------------------
 */

static void
tell(struct pages *pages, struct view table, uint64_t page, struct range range,
     const char *text)
{
    struct db_pages_damage damage = {.table = table,
                                     .page = page,
                                     .from = range.from,
                                     .to = range.to,
                                     .text = text};

    pages->reader->damage(pages->reader->arg, &damage);
}

/* Takes pages from first on for one use. NULL, or why they cannot be. */
static const char *
take_pages(struct pages *pages, uint64_t first, uint64_t n)
{
    if (first < 2 || first >= pages->n_pages || n > pages->n_pages - first)
        return "it lies outside of the file";
    for (uint64_t p = first; p < first + n; p++)
        if (pages->seen[p / 8] & 1 << p % 8)
            return "something else has it already";
    for (uint64_t p = first; p < first + n; p++)
        pages->seen[p / 8] |= (char)(1 << p % 8);
    return NULL;
}

struct entry {
    uint16_t flags;
    struct view key;
    uint64_t size;  /* leaf: of the value */
    uint64_t below; /* branch: the page */
    const char *data;
};

static size_t
n_entries(const char *page)
{
    return (size_t)(get16(page + 12) - PAGE_HEAD) / 2;
}

/* Entry i of a page; false: it cannot be one. */
static bool
get_entry(const struct pages *pages, const char *page, size_t i, bool branch,
          struct entry *entry)
{
    size_t offset = get16(page + PAGE_HEAD + 2 * i);
    size_t room, need;
    const char *at = page + offset;

    if (offset < get16(page + 14) || offset % 2 != 0 ||
        offset + ENTRY_HEAD > pages->page_size)
        return false;
    room = pages->page_size - offset - ENTRY_HEAD;
    entry->flags = get16(at + 4);
    entry->key = (struct view){at + ENTRY_HEAD, get16(at + 6)};
    if (entry->key.len > KEY_MAX || entry->key.len > room)
        return false;
    if (branch) {
        entry->below = get16(at) | (uint64_t)get16(at + 2) << 16 |
                       (uint64_t)entry->flags << 32;
        return true;
    }
    entry->size = get16(at) | (uint64_t)get16(at + 2) << 16;
    entry->data = at + ENTRY_HEAD + entry->key.len;
    if (entry->key.len == 0 || entry->flags & ~(ENTRY_BIG | ENTRY_TREE))
        return false;
    need = entry->flags & ENTRY_BIG ? sizeof(uint64_t) : (size_t)entry->size;
    return entry->size <= VALUE_MAX && need <= room - entry->key.len;
}

/* --- leaves -----------------------------------------------------------------
 */

/* NULL and *value, or what is wrong. */
static const char *
read_big(struct pages *pages, const struct entry *entry, uint64_t *number,
         struct view *value)
{
    uint64_t size = pages->page_size;
    uint64_t need = (PAGE_HEAD + entry->size + size - 1) / size;
    char head[PAGE_HEAD];
    const char *wrong;

    *number = get64(entry->data);
    if ((wrong = take_pages(pages, *number, need)) != NULL)
        return wrong;
    if (!read_all(pages->fd, head, sizeof(head), *number * size))
        return "it cannot be read";
    if (get64(head) != *number)
        return "it has another page's number";
    if (!(get16(head + 10) & PAGE_OVERFLOW) || get32(head + 12) < need)
        return "it is not the value's";
    buf_reset(&pages->value);
    buf_reserve(&pages->value, (size_t)entry->size + 1);
    if (!read_all(pages->fd, pages->value.data, (size_t)entry->size,
                  *number * size + PAGE_HEAD))
        return "it cannot be read";
    pages->value.len = (size_t)entry->size;
    *value = buf_view(&pages->value);
    return NULL;
}

static int walk_table(struct pages *pages, struct view name, const char *tree);

/* A row of the list of free pages: how many, and their numbers, which fall.
 * What is in use must not be among them: LMDB would write over it. */
static const char *
take_free(struct pages *pages, struct view key, struct view value)
{
    uint64_t n = value.len >= 8 ? get64(value.data) : 0;
    uint64_t before = UINT64_MAX;

    if (key.len != 8 || value.len < 8 || n != value.len / 8 - 1)
        return "a row of free pages that is none";
    for (uint64_t i = 1; i <= n; i++) {
        uint64_t page = get64(value.data + 8 * i);

        if (page < 2 || page > pages->last_page || page >= before)
            return "a free page that can be none";
        if (page < pages->n_pages && pages->seen[page / 8] & 1 << page % 8)
            return "a page is in use and free";
        if (page < pages->n_pages)
            pages->seen[page / 8] |= (char)(1 << page % 8);
        before = page;
    }
    return NULL;
}

/* An entry of a leaf. 0, 1: the reader has enough. */
static int
take_entry(struct pages *pages, struct table *table, const struct entry *entry,
           uint64_t page)
{
    struct range this_one = {entry->key, entry->key};
    struct view value = {entry->data, (size_t)entry->size};
    const char *wrong = NULL;

    if (table->name.len == 0 && !table->is_free) {
        if (entry->flags == ENTRY_TREE && entry->size == TREE_BYTES)
            return walk_table(pages, entry->key, entry->data);
        wrong = "an entry that is no table";
    } else if (entry->flags & ENTRY_TREE) {
        wrong = "a table inside a table";
    } else if (entry->flags & ENTRY_BIG) {
        wrong = read_big(pages, entry, &page, &value);
    }
    if (wrong == NULL && table->is_free)
        wrong = take_free(pages, entry->key, value);
    if (wrong != NULL) {
        tell(pages, table->name, page, this_one, wrong);
        return 0;
    }
    table->found++;
    if (table->is_free)
        return 0;
    return pages->reader->row(pages->reader->arg, table->name, entry->key,
                              value)
               ? 0
               : 1;
}

static bool
fits(const struct table *table, struct view key, struct range range)
{
    return (!table->any || compare(table, key, buf_view(&table->last)) > 0) &&
           (range.from.len == 0 || compare(table, key, range.from) >= 0) &&
           (range.to.len == 0 || compare(table, key, range.to) < 0);
}

static int
walk_leaf(struct pages *pages, struct table *table, const char *page,
          uint64_t number, struct range range)
{
    for (size_t i = 0; i < n_entries(page); i++) {
        struct entry entry;

        if (!get_entry(pages, page, i, false, &entry)) {
            tell(pages, table->name, number, range, "an entry that is none");
            continue;
        }
        if (!fits(table, entry.key, range)) {
            tell(pages, table->name, number, range,
                 "an entry that is not in its order");
            continue;
        }
        table->any = true;
        buf_reset(&table->last);
        buf_add_view(&table->last, entry.key);
        if (take_entry(pages, table, &entry, number) != 0)
            return 1;
    }
    return 0;
}

/* --- trees ------------------------------------------------------------------
 */

static int walk_page(struct pages *pages, struct table *table, uint64_t number,
                     unsigned level, struct range range);

static bool
lies_in(const struct table *table, struct view key, struct range range)
{
    return key.len > 0 &&
           (range.from.len == 0 || compare(table, key, range.from) >= 0) &&
           (range.to.len == 0 || compare(table, key, range.to) <= 0);
}

/* Entry i of a branch, and the keys below it. false: it can be none. */
static bool
branch_entry(const struct pages *pages, const struct table *table,
             const char *page, size_t i, struct range within,
             struct entry *entry, struct range *range)
{
    struct entry next;

    if (!get_entry(pages, page, i, true, entry))
        return false;
    *range = within;
    if (i > 0) { /* the first one's key stands for all that are smaller */
        if (!lies_in(table, entry->key, within))
            return false;
        range->from = entry->key;
    }
    if (i + 1 < n_entries(page) && get_entry(pages, page, i + 1, true, &next) &&
        lies_in(table, next.key, *range))
        range->to = next.key;
    return true;
}

static int
walk_branch(struct pages *pages, struct table *table, const char *page,
            uint64_t number, unsigned level, struct range within)
{
    for (size_t i = 0; i < n_entries(page); i++) {
        struct entry entry;
        struct range range;

        if (!branch_entry(pages, table, page, i, within, &entry, &range)) {
            tell(pages, table->name, number, within,
                 "an entry of a branch that is none");
            continue;
        }
        if (walk_page(pages, table, entry.below, level + 1, range) != 0)
            return 1;
    }
    return 0;
}

/* Tables hang on the table of tables, whose pages are still in use then. */
static char *
level_page(struct pages *pages, const struct table *table, unsigned level)
{
    char **page =
        &pages->levels[level][table->name.len == 0 && !table->is_free];

    if (*page == NULL)
        *page = mem_alloc(pages->page_size);
    return *page;
}

static int
walk_page(struct pages *pages, struct table *table, uint64_t number,
          unsigned level, struct range range)
{
    const char *wrong = level > DB_PAGES_DEPTH ? "it lies too deep"
                                               : take_pages(pages, number, 1);
    char *page = NULL;

    if (wrong == NULL) {
        page = level_page(pages, table, level);
        wrong = read_all(pages->fd, page, pages->page_size,
                         number * pages->page_size)
                    ? check_page(pages->page_size, page, number)
                    : "it cannot be read";
    }
    if (wrong != NULL) {
        tell(pages, table->name, number, range, wrong);
        return 0;
    }
    if (get16(page + 10) & PAGE_BRANCH)
        return walk_branch(pages, table, page, number, level, range);
    return walk_leaf(pages, table, page, number, range);
}

static int
walk_tree(struct pages *pages, struct table *table, const struct tree *tree)
{
    return tree->root == NO_PAGE ? 0
                                 : walk_page(pages, table, tree->root, 0, all);
}

static int
walk_table(struct pages *pages, struct view name, const char *at)
{
    struct table table = {.name = name};
    struct tree tree = tree_of(at);
    int rc = walk_tree(pages, &table, &tree);

    if (rc == 0 && pages->reader->table != NULL)
        pages->reader->table(pages->reader->arg, name, tree.rows, table.found);
    buf_free(&table.last);
    return rc;
}

/* --- all of it --------------------------------------------------------------
 */

/* The later of the heads that are good. -1: there is none. */
static int
choose_head(struct pages *pages, struct head *chosen, struct why *why)
{
    struct head heads[2];
    struct why doubt;

    read_heads(pages->fd, heads);
    if (!heads[0].is_good && !heads[1].is_good)
        return why_text(why, "neither of the two heads of data.mdb can be "
                             "used: nothing says where the rows are");
    *chosen = !heads[1].is_good ||
                      (heads[0].is_good && heads[0].commit >= heads[1].commit)
                  ? heads[0]
                  : heads[1];
    if (check_heads(heads, &doubt) != 0)
        tell(pages, (struct view){NULL, 0}, heads[0].is_good, all, doubt.text);
    return 0;
}

static void
pages_free(struct pages *pages)
{
    for (size_t i = 0; i <= DB_PAGES_DEPTH; i++) {
        free(pages->levels[i][0]);
        free(pages->levels[i][1]);
    }
    free(pages->seen);
    buf_free(&pages->value);
}

int
db_pages_read(int fd, const struct db_pages_reader *reader, struct why *why)
{
    struct pages pages = {.fd = fd, .reader = reader};
    struct table tables = {0};
    struct table free_pages = {.name = VIEW(FREE_NAME), .is_free = true};
    struct head head = {0};
    struct stat st;
    int rc;

    if (fstat(fd, &st) != 0)
        return why_text(why, "the data file: %s", strerror(errno));
    if (choose_head(&pages, &head, why) != 0)
        return -1;
    pages.page_size = head.page_size;
    pages.n_pages = (uint64_t)st.st_size / head.page_size;
    pages.last_page = head.last_page;
    pages.seen = mem_alloc((size_t)(pages.n_pages / 8) + 1);
    rc = walk_tree(&pages, &tables, &head.tables);
    if (rc == 0) /* after all that is in use is known */
        rc = walk_tree(&pages, &free_pages, &head.free);
    buf_free(&tables.last);
    buf_free(&free_pages.last);
    pages_free(&pages);
    return rc;
}
