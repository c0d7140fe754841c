/* SPDX-License-Identifier: ISC */
/*
 * What an IMAP client sends, cut into commands and read: the first byte says
 * in which pieces it comes. Held:
 *
 *   - what is read does not depend on the pieces;
 *   - what a command holds is within the limits of imap_command.h, its keys
 *     are a tree, and its views are inside the command;
 *   - a reason is a line of text;
 *   - a set that was resolved prints as itself.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "imap_command.h"
#include "imap_reader.h"
#include "imap_token.h"
#include "imap_utf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_reason(const struct why *why)
{
    assert(why->text[0] != '\0');
    for (const char *c = why->text; *c != '\0'; c++)
        assert(*c >= ' ' && *c <= '~');
}

static void
check_set(const struct imap_set *set)
{
    struct imap_set copy = {0}, again = {0};
    struct buf text = {0}, second = {0};
    struct why why;

    imap_set_copy(&copy, set);
    imap_set_resolve(&copy, 1000);
    for (size_t i = 0; i < copy.count; i++) {
        assert(copy.ranges[i].first >= 1 &&
               copy.ranges[i].first <= copy.ranges[i].last);
        assert(i == 0 ||
               copy.ranges[i].first > copy.ranges[i - 1].last + UINT64_C(1));
        assert(imap_set_has(&copy, copy.ranges[i].last));
    }
    imap_set_print(&copy, &text);
    if (copy.count > 0) {
        assert(imap_set_parse(&again, buf_view(&text), &why) == 0);
        imap_set_print(&again, &second);
        assert(view_equal(buf_view(&text), buf_view(&second)));
    }
    imap_set_free(&again);
    imap_set_free(&copy);
    buf_free(&text);
    buf_free(&second);
}

/* Counts the keys under one, each once: more would be a loop. */
static void
check_keys(const struct imap_search *search, uint32_t at, size_t *count)
{
    assert(at < search->n_keys && ++*count <= search->n_keys);
    for (uint32_t child = search->keys[at].first; child != IMAP_KEY_END;
         child = search->keys[child].next)
        check_keys(search, child, count);
}

static void
check_command(const struct imap_command *command, const struct buf *text)
{
    size_t count = 0;

    assert(command->tag.len > 0 && command->tag.len <= IMAP_TAG_MAX);
    assert(command->tag.data >= text->data &&
           command->tag.data + command->tag.len <= text->data + text->len);
    assert(command->n_words <= IMAP_WORDS_MAX &&
           command->n_items <= IMAP_ITEMS_MAX &&
           command->n_criteria <= IMAP_CRITERIA_MAX &&
           command->search.n_keys <= IMAP_KEYS_MAX);
    for (size_t i = 0; i < command->n_items; i++)
        assert(command->items[i].n_fields <= IMAP_FIELDS_MAX);
    if (command->search.n_keys > 0) {
        check_keys(&command->search, 0, &count);
        assert(count == command->search.n_keys);
    }
    check_set(&command->set);
    check_set(&command->known_uids);
}

static void
parse(const struct buf *gathered, struct buf *log)
{
    struct imap_command command;
    struct buf text = {0}, name = {0};
    struct why why;

    buf_add_view(&text, buf_view(gathered));
    if (imap_command_parse(&text, &command, &why) == 0) {
        check_command(&command, &text);
        buf_addf(log, "<%s %d>", imap_verb_name(command.verb), command.uid);
        if (imap_utf7_decode(command.first, &name) == 0)
            imap_put_mailbox(buf_view(&name), false, log);
    } else {
        check_reason(&why);
        buf_addf(log, "<%s>", why.text);
    }
    imap_command_free(&command);
    buf_free(&text);
    buf_free(&name);
}

/* One command, if it is there. False: not yet, or (*is_over) never. */
static bool
step(struct imap_reader *reader, struct view *input, struct buf *log,
     bool *is_over)
{
    struct why why;
    size_t taken;
    enum imap_read read = imap_reader_feed(reader, *input, &taken, &why);

    assert(taken <= input->len);
    assert(reader->command.len <= IMAP_COMMAND_MAX + IMAP_LINE_MAX);
    *input = view_skip(*input, taken);
    switch (read) {
    case IMAP_READ_MORE:
        imap_reader_idle(reader);
        return false;
    case IMAP_READ_CONTINUE:
        buf_add_byte(log, '+');
        return true;
    case IMAP_READ_ONE:
        parse(&reader->command, log);
        return true;
    case IMAP_READ_APPEND:
        parse(&reader->command, log);
        *is_over = imap_reader_refuse(reader) != 0;
        return !*is_over;
    case IMAP_READ_BAD:
        check_reason(&why);
        buf_addf(log, "<bad: %s>", why.text);
        return true;
    case IMAP_READ_END:
        *is_over = true;
        break;
    }
    return false;
}

static void
run(struct view stream, size_t piece, struct buf *log)
{
    struct imap_reader reader = {0};
    struct view input = {stream.data, 0};
    size_t left = stream.len;
    bool is_over = false;

    while (left > 0 && !is_over) {
        size_t n = piece < left ? piece : left;

        input.len += n;
        left -= n;
        while (input.len > 0 && step(&reader, &input, log, &is_over))
            ;
    }
    imap_reader_free(&reader);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = {0}, pieces = {0};
    struct view stream;

    if (size < 1)
        return 0;
    stream = (struct view){(const char *)data + 1, size - 1};
    run(stream, SIZE_MAX, &whole);
    run(stream, data[0] % 16 + 1, &pieces);
    assert(view_equal(buf_view(&whole), buf_view(&pieces)));
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
