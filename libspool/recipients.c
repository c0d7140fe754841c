/* SPDX-License-Identifier: ISC */
/*
 * The local parts stand one after the other in one block, each behind its
 * length, and a table of offsets into it is probed linearly: about 8 bytes a
 * recipient besides its text, and three allocations in all, so that a list of
 * a million costs the listener some 30 MB and loads in under a second.
 *
 * The hash is SipHash with a key of our own: who sends RCPT chooses the
 * names that are looked up, and must not be able to choose collisions.
 */
#include "recipients.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "addr.h"
#include "buf.h"
#include "file.h"
#include "mem.h"

_Static_assert(ADDR_LOCAL_MAX <= UINT8_MAX, "a length is one byte");
_Static_assert(RECIPIENTS_FILE_MAX < UINT32_MAX, "an offset is four bytes");

struct recipients {
    struct buf names; /* length, bytes, length, bytes, ... */
    uint32_t *slots;  /* offset + 1 of a length in names; 0: free */
    size_t n_slots;   /* a power of two, at least twice the count */
    size_t count;
    unsigned char key[crypto_shorthash_KEYBYTES];
};

/* The slot that holds name, or the free one where it belongs. */
static uint32_t *
slot_of(const struct recipients *recipients, struct view name)
{
    unsigned char hash[crypto_shorthash_BYTES];
    uint64_t at;

    crypto_shorthash(hash, (const unsigned char *)name.data, name.len,
                     recipients->key);
    memcpy(&at, hash, sizeof(at));
    for (;; at++) {
        uint32_t *slot = &recipients->slots[at & (recipients->n_slots - 1)];
        const char *entry;

        if (*slot == 0)
            return slot;
        entry = recipients->names.data + *slot - 1;
        if (view_equal(name, (struct view){entry + 1, (uint8_t)entry[0]}))
            return slot;
    }
}

static void
add_name(struct recipients *recipients, struct view name)
{
    uint32_t *slot = slot_of(recipients, name);

    if (*slot != 0)
        return; /* listed twice: no harm */
    *slot = (uint32_t)recipients->names.len + 1;
    buf_add_byte(&recipients->names, (uint8_t)name.len);
    buf_add_view(&recipients->names, name);
    recipients->count++;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The line without its comment and the blanks around it. A "#" or a blank
 * within quotes belongs to the address. */
static struct view
strip(struct view line)
{
    bool quoted = false;
    size_t end = 0;

    while (line.len > 0 && is_blank(line.data[0]))
        line = view_skip(line, 1);
    for (size_t i = 0; i < line.len; i++) {
        char c = line.data[i];

        if (!quoted && c == '#' && (i == 0 || is_blank(line.data[i - 1])))
            break;
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        if (i < line.len && (quoted || !is_blank(line.data[i])))
            end = i + 1;
    }
    return (struct view){line.data, end};
}

/* Does text end in an unquoted "@domain"? */
static bool
has_domain(struct view text)
{
    bool quoted = false;

    for (size_t i = 0; i < text.len; i++) {
        if (quoted && text.data[i] == '\\')
            i++;
        else if (text.data[i] == '"')
            quoted = !quoted;
        else if (text.data[i] == '@' && !quoted)
            return true;
    }
    return false;
}

static int
add_entry(struct recipients *recipients, struct view entry, struct view domain,
          struct why *why)
{
    char text[ADDR_TEXT_MAX + 1], name[ADDR_LOCAL_MAX];
    struct view whole = entry;
    struct addr addr;
    size_t len;

    if (!has_domain(entry)) {
        if (entry.len > ADDR_LOCAL_MAX)
            return why_text(why, "a local part of %zu bytes", entry.len);
        memcpy(text, entry.data, entry.len);
        text[entry.len] = '@';
        memcpy(text + entry.len + 1, domain.data, domain.len);
        whole = (struct view){text, entry.len + 1 + domain.len};
    }
    if (addr_parse_mailbox(whole, &addr, why) != 0)
        return -1;
    if (!view_equal_nocase(addr.domain, domain))
        return why_text(why, "\"%.*s\" is not in the domain %.*s",
                        (int)whole.len, whole.data, (int)domain.len,
                        domain.data);
    len = addr_unquote(addr.local, name);
    addr_lower((struct view){name, len}, name);
    add_name(recipients, (struct view){name, len});
    return 0;
}

static size_t
count_lines(struct view bytes)
{
    size_t n = 1;

    for (const char *p = bytes.data;
         (p = memchr(p, '\n', (size_t)(bytes.data + bytes.len - p))) != NULL;
         p++)
        n++;
    return n;
}

static struct recipients *
new_for(size_t lines)
{
    struct recipients *recipients = mem_alloc(sizeof(*recipients));

    recipients->n_slots = 16;
    while (recipients->n_slots < lines * 2)
        recipients->n_slots *= 2;
    recipients->slots =
        mem_alloc(recipients->n_slots * sizeof(recipients->slots[0]));
    crypto_shorthash_keygen(recipients->key);
    return recipients;
}

static struct view
take_line(struct view *bytes)
{
    const char *end = memchr(bytes->data, '\n', bytes->len);
    struct view line = *bytes;

    if (end != NULL)
        line.len = (size_t)(end - bytes->data);
    *bytes = view_skip(*bytes, line.len + 1);
    return line;
}

struct recipients *
recipients_parse(struct view bytes, const char *name, struct view domain,
                 struct why *why)
{
    struct recipients *recipients;
    struct why bad = {0};

    if (bytes.len >= 3 && memcmp(bytes.data, "\xef\xbb\xbf", 3) == 0)
        bytes = view_skip(bytes, 3); /* lists often come from Windows */
    if (domain.len > ADDR_DOMAIN_MAX) {
        why_text(why, "%s: the domain is too long", name);
        return NULL;
    }
    recipients = new_for(bytes.len > 0 ? count_lines(bytes) : 0);
    buf_reserve(&recipients->names, bytes.len + 1); /* no copy while growing */
    for (size_t line = 1; bytes.len > 0; line++) {
        struct view entry = strip(take_line(&bytes));

        if (entry.len == 0 || add_entry(recipients, entry, domain, &bad) == 0)
            continue;
        why_text(why, "%s:%zu: %s", name, line, bad.text);
        recipients_free(&recipients);
        return NULL;
    }
    return recipients;
}

struct recipients *
recipients_load(int fd, const char *name, struct view domain, struct why *why)
{
    struct recipients *recipients = NULL;
    struct buf bytes = {0};
    struct why bad = {0};

    if (file_read_fd(fd, RECIPIENTS_FILE_MAX, &bytes, &bad) != 0)
        why_text(why, "%s: %s", name, bad.text);
    else
        recipients = recipients_parse(buf_view(&bytes), name, domain, why);
    buf_free(&bytes);
    return recipients;
}

void
recipients_free(struct recipients **recipients)
{
    if (*recipients == NULL)
        return;
    buf_free(&(*recipients)->names);
    free((*recipients)->slots);
    free(*recipients);
    *recipients = NULL;
}

bool
recipients_has(const struct recipients *recipients, struct view local_part)
{
    char name[ADDR_LOCAL_MAX];
    struct view whole = {name, 0}, user;
    const char *plus;

    if (local_part.len == 0 || local_part.len > ADDR_LOCAL_MAX)
        return false;
    whole.len = addr_unquote(local_part, name);
    addr_lower(whole, name);
    if (view_equal(whole, VIEW("postmaster")) ||
        *slot_of(recipients, whole) != 0)
        return true;
    plus = memchr(name, '+', whole.len);
    if (plus == NULL || plus == name)
        return false;
    user = (struct view){name, (size_t)(plus - name)};
    return *slot_of(recipients, user) != 0;
}

size_t
recipients_count(const struct recipients *recipients)
{
    return recipients->count;
}
