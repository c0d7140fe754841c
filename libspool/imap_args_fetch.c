/* SPDX-License-Identifier: ISC */
/*
 * Arguments of FETCH, STORE, COPY and MOVE.
 */
#include <stdlib.h>

#include "imap_args.h"
#include "mem.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- FETCH ---------------------------------------------------------------- */

static const struct {
    const char *word;
    enum imap_item_kind kind;
} plain_items[] = {
    {"FLAGS", IMAP_ITEM_FLAGS},
    {"UID", IMAP_ITEM_UID},
    {"MODSEQ", IMAP_ITEM_MODSEQ},
    {"INTERNALDATE", IMAP_ITEM_INTERNALDATE},
    {"RFC822.SIZE", IMAP_ITEM_SIZE},
    {"ENVELOPE", IMAP_ITEM_ENVELOPE},
    {"BODYSTRUCTURE", IMAP_ITEM_BODYSTRUCTURE},
};

/* RFC 3501's names for sections. */
static const struct {
    const char *word;
    const char *section;
    bool peek;
} old_items[] = {
    {"RFC822", "", false},
    {"RFC822.HEADER", "HEADER", true},
    {"RFC822.TEXT", "TEXT", false},
};

static struct imap_item *
add_item(struct imap_command *command, enum imap_item_kind kind)
{
    struct imap_item *item;

    if (command->n_items == IMAP_ITEMS_MAX)
        return NULL;
    command->items =
        mem_grow(command->items, command->n_items + 1, sizeof(*command->items));
    item = &command->items[command->n_items++];
    *item = (struct imap_item){.kind = kind};
    return item;
}

/* The name of a header field (RFC 5322 2.2). */
static int
take_field(struct imap_in *in, struct view *name, struct why *why)
{
    if (imap_take_astring(in, name, why) != 0)
        return -1;
    for (size_t i = 0; i < name->len; i++)
        if (name->data[i] <= ' ' || name->data[i] > '~' || name->data[i] == ':')
            return why_text(why, "no field has such a name");
    return name->len > 0 ? 0 : why_text(why, "a field's name is missing");
}

/* "(From To)" */
static int
take_fields(struct imap_in *in, struct imap_item *item, struct why *why)
{
    int more;

    if (imap_take_char(in, ' ', why) != 0 || imap_take_char(in, '(', why) != 0)
        return -1;
    do {
        if (item->n_fields == IMAP_FIELDS_MAX)
            return why_text(why, "more than %d fields", IMAP_FIELDS_MAX);
        item->fields =
            mem_grow(item->fields, item->n_fields + 1, sizeof(*item->fields));
        if (take_field(in, &item->fields[item->n_fields++], why) != 0)
            return -1;
    } while ((more = args_more(in, why)) == 1);
    return more;
}

/* "<at.length>" */
static int
take_partial(struct imap_in *in, struct imap_item *item, struct why *why)
{
    uint64_t at, length;

    in->at++;
    if (imap_take_number(in, UINT32_MAX, &at, why) != 0 ||
        imap_take_char(in, '.', why) != 0 ||
        imap_take_number(in, UINT32_MAX, &length, why) != 0)
        return -1;
    if (length == 0)
        return why_text(why, "a part of 0 bytes");
    item->partial = true;
    item->at = (uint32_t)at;
    item->length = (uint32_t)length;
    return imap_take_char(in, '>', why);
}

/* From "[" on. */
static int
take_section(struct imap_in *in, struct imap_item *item, struct why *why)
{
    const char *from = ++in->at;

    while (in->at < in->end && *in->at != ']' && *in->at != ' ')
        in->at++;
    item->text = (struct view){from, (size_t)(in->at - from)};
    if (mime_section_parse(item->text, &item->section) != 0 ||
        (item->kind != IMAP_ITEM_SECTION || item->binary
             ? item->section.what != MIME_SECTION_ALL
             : false))
        return why_text(why, "there is no section \"%.*s\"",
                        (int)(item->text.len < 60 ? item->text.len : 60),
                        item->text.data);
    if ((item->section.what == MIME_SECTION_FIELDS ||
         item->section.what == MIME_SECTION_FIELDS_NOT) &&
        take_fields(in, item, why) != 0)
        return -1;
    if (imap_take_char(in, ']', why) != 0)
        return -1;
    if (imap_sees(in, '<') && item->kind == IMAP_ITEM_SECTION)
        return take_partial(in, item, why);
    return 0;
}

/* BODY[, BODY.PEEK[, BINARY[, BINARY.PEEK[, BINARY.SIZE[; or BODY alone. */
static int
take_body(struct imap_in *in, struct imap_command *command, struct view word,
          struct why *why)
{
    static const struct {
        const char *word;
        enum imap_item_kind kind;
        bool peek, binary;
    } forms[] = {
        {"BODY", IMAP_ITEM_SECTION, false, false},
        {"BODY.PEEK", IMAP_ITEM_SECTION, true, false},
        {"BINARY", IMAP_ITEM_SECTION, false, true},
        {"BINARY.PEEK", IMAP_ITEM_SECTION, true, true},
        {"BINARY.SIZE", IMAP_ITEM_BINARY_SIZE, true, true},
    };
    struct imap_item *item;

    for (size_t i = 0; i < COUNT(forms); i++) {
        if (!view_equal_nocase(word, view_of(forms[i].word)))
            continue;
        item = add_item(command, forms[i].kind);
        if (item == NULL)
            return why_text(why, "more than %d items", IMAP_ITEMS_MAX);
        item->peek = forms[i].peek;
        item->binary = forms[i].binary;
        return take_section(in, item, why);
    }
    return why_text(why, "there is no item \"%.*s[\"", (int)word.len,
                    word.data);
}

static int
take_item(struct imap_in *in, struct imap_command *command, struct why *why)
{
    struct imap_item *item = NULL;
    const char *from = in->at;
    struct view word;

    /* "[" is an atom's character, but it begins a section here. */
    while (in->at < in->end && imap_is_atom_char(*in->at) && *in->at != '[')
        in->at++;
    word = (struct view){from, (size_t)(in->at - from)};
    if (imap_sees(in, '['))
        return take_body(in, command, word, why);
    if (view_equal_nocase(word, VIEW("BODY")))
        item = add_item(command, IMAP_ITEM_BODY);
    for (size_t i = 0; item == NULL && i < COUNT(plain_items); i++)
        if (view_equal_nocase(word, view_of(plain_items[i].word)))
            item = add_item(command, plain_items[i].kind);
    for (size_t i = 0; item == NULL && i < COUNT(old_items); i++)
        if (view_equal_nocase(word, view_of(old_items[i].word)) &&
            (item = add_item(command, IMAP_ITEM_SECTION)) != NULL) {
            mime_section_parse(view_of(old_items[i].section), &item->section);
            item->alias = old_items[i].word;
            item->peek = old_items[i].peek;
        }
    if (item != NULL)
        return 0;
    if (command->n_items == IMAP_ITEMS_MAX)
        return why_text(why, "more than %d items", IMAP_ITEMS_MAX);
    return why_text(why, "there is no item \"%.*s\"",
                    (int)(word.len < 40 ? word.len : 40), word.data);
}

static bool
take_macro(struct imap_in *in, struct imap_command *command)
{
    size_t n; /* of the items each has more than the one before */
    static const enum imap_item_kind kinds[] = {
        IMAP_ITEM_FLAGS, IMAP_ITEM_INTERNALDATE, IMAP_ITEM_SIZE,
        IMAP_ITEM_ENVELOPE, IMAP_ITEM_BODY};

    if (imap_take_word(in, "FAST"))
        n = 3;
    else if (imap_take_word(in, "ALL"))
        n = 4;
    else if (imap_take_word(in, "FULL"))
        n = 5;
    else
        return false;
    for (size_t i = 0; i < n; i++)
        add_item(command, kinds[i]);
    return true;
}

/* "(CHANGEDSINCE n VANISHED)" (RFC 7162) */
static int
take_fetch_modifiers(struct imap_in *in, struct imap_command *command,
                     struct why *why)
{
    int more;

    if (imap_take_char(in, ' ', why) != 0 || imap_take_char(in, '(', why) != 0)
        return -1;
    do {
        if (imap_take_word(in, "VANISHED")) {
            command->vanished = true;
        } else if (imap_take_word(in, "CHANGEDSINCE")) {
            command->has_changed_since = true;
            if (imap_take_char(in, ' ', why) != 0 ||
                imap_take_number(in, INT64_MAX, &command->modseq, why) != 0)
                return -1;
        } else {
            return why_text(why, "CHANGEDSINCE is missing");
        }
    } while ((more = args_more(in, why)) == 1);
    if (more == 0 && command->vanished &&
        (!command->uid || !command->has_changed_since))
        return why_text(why, "VANISHED goes with UID and CHANGEDSINCE");
    return more;
}

int
args_fetch(struct imap_in *in, struct imap_command *command, struct why *why)
{
    int more = 0;

    if (args_take_set(in, &command->set, why) != 0 ||
        imap_take_char(in, ' ', why) != 0)
        return -1;
    if (imap_sees(in, '(')) {
        in->at++;
        do {
            if (take_item(in, command, why) != 0)
                return -1;
        } while ((more = args_more(in, why)) == 1);
        if (more < 0)
            return -1;
    } else if (!take_macro(in, command) && take_item(in, command, why) != 0) {
        return -1;
    }
    return in->at == in->end ? 0 : take_fetch_modifiers(in, command, why);
}

/* --- the others ----------------------------------------------------------- */

static int
take_unchanged_since(struct imap_in *in, struct imap_command *command,
                     struct why *why)
{
    in->at++;
    if (!imap_take_word(in, "UNCHANGEDSINCE"))
        return why_text(why, "UNCHANGEDSINCE is missing");
    command->has_unchanged_since = true;
    if (imap_take_char(in, ' ', why) != 0 ||
        imap_take_number(in, INT64_MAX, &command->modseq, why) != 0 ||
        imap_take_char(in, ')', why) != 0)
        return -1;
    return imap_take_char(in, ' ', why);
}

int
args_store(struct imap_in *in, struct imap_command *command, struct why *why)
{
    if (args_take_set(in, &command->set, why) != 0 ||
        imap_take_char(in, ' ', why) != 0)
        return -1;
    if (imap_sees(in, '(') && take_unchanged_since(in, command, why) != 0)
        return -1;
    command->store = '=';
    if (imap_sees(in, '+') || imap_sees(in, '-'))
        command->store = *in->at++;
    command->silent = imap_take_word(in, "FLAGS.SILENT");
    if (!command->silent && !imap_take_word(in, "FLAGS"))
        return why_text(why, "FLAGS is missing");
    if (imap_take_char(in, ' ', why) != 0)
        return -1;
    return args_take_flags(in, true, &command->flags, why);
}

int
args_copy(struct imap_in *in, struct imap_command *command, struct why *why)
{
    if (args_take_set(in, &command->set, why) != 0)
        return -1;
    return args_take_mailbox(in, &command->first, why);
}

int
args_set(struct imap_in *in, struct imap_command *command, struct why *why)
{
    return args_take_set(in, &command->set, why);
}
