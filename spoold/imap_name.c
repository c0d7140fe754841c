/* SPDX-License-Identifier: ISC */
/*
 * The names of mailboxes. Everybody has the same: INBOX, with what is held
 * for all addresses he reads, Delivered, his own Drafts, Sent and Trash; and
 * who reads several addresses has each alone as well:
 *
 *     Addresses/anna@example.com            held
 *     Addresses/anna@example.com/Delivered  given back, and still kept
 */
#include <stdlib.h>

#include "glob.h"
#include "imap_token.h"
#include "imap_utf7.h"
#include "imap_view.h"
#include "utf8.h"

#define ADDRESSES      "Addresses"
#define DELIVERED      "Delivered"
#define ADDRESSES_MAX  10000 /* shown by LIST */
#define PATTERN_MAX    1024
#define NAME_MAX_BYTES 512

static const struct {
    const char *name;
    enum mailbox_box box;
    unsigned attributes;
} fixed[] = {
    {"INBOX", BOX_INBOX, 0},
    {DELIVERED, BOX_DELIVERED, 0},
    {"Drafts", BOX_DRAFTS, IMAP_NAME_DRAFTS},
    {"Sent", BOX_SENT, IMAP_NAME_SENT},
    {"Trash", BOX_TRASH, IMAP_NAME_TRASH},
};
#define N_FIXED (sizeof(fixed) / sizeof(fixed[0]))

/* Does he read more than one address? */
static bool
has_many(const struct imap_session *session)
{
    const struct record_list *patterns = &session->user->patterns;
    const struct account_text *items = patterns->items;

    return patterns->count > 1 ||
           (patterns->count == 1 && account_pattern_is_wild(items[0].text));
}

/* --- one name ------------------------------------------------------------- */

int
imap_name_decode(const struct imap_session *session, struct view name,
                 struct buf *out)
{
    if (name.len > NAME_MAX_BYTES)
        return -1;
    if (!(session->enabled & IMAP_UTF8) && utf8_is_ascii(name))
        return imap_utf7_decode(name, out);
    for (struct view rest = name; rest.len > 0;)
        if (utf8_take(&rest) == UTF8_REPLACEMENT)
            return -1;
    buf_add_view(out, name);
    return 0;
}

void
imap_name_put(const struct imap_session *session, struct view name,
              struct buf *out)
{
    imap_put_mailbox(name, (session->enabled & IMAP_UTF8) != 0, out);
}

/* What is behind "Addresses/". */
static int
find_address(const struct imap_session *session, struct view text,
             struct imap_place *place)
{
    static const struct view suffix = VIEW("/" DELIVERED);
    struct view found;

    place->box = BOX_INBOX;
    if (text.len > suffix.len &&
        view_equal(view_skip(text, text.len - suffix.len), suffix)) {
        place->box = BOX_DELIVERED;
        text.len -= suffix.len;
    }
    place->address_len = mailbox_address(text, place->address);
    found = (struct view){place->address, place->address_len};
    return found.len > 0 && view_equal(found, text) &&
                   account_reads(&session->user->patterns, found)
               ? 0
               : -1;
}

int
imap_name_find_utf8(const struct imap_session *session, struct view name,
                    struct imap_place *place)
{
    static const struct view prefix = VIEW(ADDRESSES "/");

    *place = (struct imap_place){0};
    for (size_t i = 0; i < N_FIXED; i++)
        if (view_equal(name, view_of(fixed[i].name))) {
            place->box = fixed[i].box;
            return 0;
        }
    if (!has_many(session) || name.len <= prefix.len ||
        !view_equal((struct view){name.data, prefix.len}, prefix))
        return -1;
    return find_address(session, view_skip(name, prefix.len), place);
}

int
imap_name_find(const struct imap_session *session, struct view name,
               struct imap_place *place)
{
    struct buf decoded = {0};
    int rc = imap_name_decode(session, name, &decoded);

    if (rc == 0)
        rc = imap_name_find_utf8(session, buf_view(&decoded), place);
    buf_free(&decoded);
    return rc;
}

int
imap_name_numbers(const struct imap_session *session,
                  const struct imap_place *place, struct db_numbers *out,
                  struct why *why)
{
    if (place->address_len > 0)
        return db_mailbox_numbers_of(
            imap.db, (struct view){place->address, place->address_len}, out,
            why);
    return db_mailbox_numbers(imap.db, session->user->number,
                              &session->user->patterns, out, why);
}

unsigned
imap_name_attributes(const struct imap_session *session, struct view name)
{
    struct imap_place place;

    for (size_t i = 0; i < N_FIXED; i++)
        if (view_equal(name, view_of(fixed[i].name)))
            return fixed[i].attributes;
    if (view_equal(name, VIEW(ADDRESSES)))
        return IMAP_NAME_NOSELECT | IMAP_NAME_CHILDREN;
    if (imap_name_find_utf8(session, name, &place) == 0 &&
        place.box == BOX_INBOX)
        return IMAP_NAME_CHILDREN;
    return 0;
}

/* --- all names ------------------------------------------------------------ */

static void
add_name(struct imap_names *names, struct view name)
{
    buf_add_view(&names->text, name);
    buf_add_byte(&names->text, '\0');
    names->count++;
}

static int
by_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;

    return strcmp(*x, *y);
}

/* text: addresses, a NUL behind each, in any order, some twice. One with a
 * "/" would look like a level of names; such mail is in INBOX alone. */
static void
add_addresses(struct imap_names *names, const struct buf *text, size_t count)
{
    const char **items = calloc(count + 1, sizeof(*items));
    const char *at = text->data;
    struct buf name = {0};
    size_t n = 0;

    for (size_t i = 0; items != NULL && i < count; i++) {
        if (strchr(at, '/') == NULL)
            items[n++] = at;
        at += strlen(at) + 1;
    }
    if (n > 1)
        qsort(items, n, sizeof(*items), by_text);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && strcmp(items[i - 1], items[i]) == 0)
            continue;
        buf_reset(&name);
        buf_addf(&name, ADDRESSES "/%s", items[i]);
        add_name(names, buf_view(&name));
        buf_add_text(&name, "/" DELIVERED);
        add_name(names, buf_view(&name));
    }
    buf_free(&name);
    free(items);
}

int
imap_names_all(const struct imap_session *session, struct imap_names *names,
               struct why *why)
{
    const struct record_list *patterns = &session->user->patterns;
    const struct account_text *items = patterns->items;
    struct buf text = {0};
    size_t count = 0;
    int rc = 0;

    for (size_t i = 0; i < N_FIXED; i++)
        add_name(names, view_of(fixed[i].name));
    if (!has_many(session))
        return 0;
    add_name(names, VIEW(ADDRESSES));
    for (size_t i = 0; rc >= 0 && i < patterns->count; i++) {
        if (account_pattern_is_wild(items[i].text)) {
            rc = db_mailbox_addresses(imap.db, items[i].text, ADDRESSES_MAX,
                                      &text, why);
        } else {
            buf_add_view(&text, items[i].text);
            buf_add_byte(&text, '\0');
        }
    }
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '\0';
    if (rc >= 0)
        add_addresses(names, &text, count);
    buf_free(&text);
    return rc < 0 ? -1 : 0;
}

/* --- patterns ------------------------------------------------------------- */

/* Which prefixes of the name the pattern so far can be: one pass over the
 * pattern, so that no pattern takes longer than pattern times name. */
bool
imap_name_matches(struct view pattern, struct view name)
{
    bool can[NAME_MAX_BYTES + 1] = {true};

    if (pattern.len > PATTERN_MAX || name.len > NAME_MAX_BYTES)
        return false;
    for (size_t p = 0; p < pattern.len; p++) {
        char c = pattern.data[p];

        if (c == '*' || c == '%') {
            for (size_t i = 0; i < name.len; i++)
                if (can[i] && (c == '*' || name.data[i] != '/'))
                    can[i + 1] = true;
            continue;
        }
        for (size_t i = name.len; i > 0; i--)
            can[i] = can[i - 1] && name.data[i - 1] == c;
        can[0] = false;
    }
    return can[name.len];
}
