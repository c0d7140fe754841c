/* SPDX-License-Identifier: ISC */
#include "mbox.h"

static const char from[] = "From ";
#define FROM_LEN (sizeof(from) - 1)

void
mbox_init(struct mbox *mbox, bool inside)
{
    *mbox = (struct mbox){.inside = inside, .may_be_from = !inside};
}

/* --- reading ------------------------------------------------------------- */

static void
give(const struct mbox *mbox, struct view text, struct buf *out)
{
    if (mbox->inside)
        buf_add_view(out, text);
}

static void
give_empty(struct mbox *mbox, struct buf *out)
{
    if (mbox->empty)
        give(mbox, mbox->empty_cr ? VIEW("\r\n") : VIEW("\n"), out);
    mbox->empty = false;
}

/* The line is one of text, and so is the empty one before it. */
static void
give_kept(struct mbox *mbox, struct buf *out)
{
    give_empty(mbox, out);
    if (mbox->quote)
        give(mbox, VIEW(">"), out);
    if (mbox->cr)
        give(mbox, VIEW("\r"), out);
    give(mbox, (struct view){from, mbox->matched}, out);
    mbox->quote = mbox->cr = false;
    mbox->matched = 0;
    mbox->state = MBOX_REST;
}

static void
line_ended(struct mbox *mbox, bool empty, bool empty_cr)
{
    mbox->state = MBOX_START;
    mbox->empty = mbox->may_be_from = empty;
    mbox->empty_cr = empty_cr;
    mbox->quote = mbox->cr = false;
    mbox->matched = 0;
}

/* "From " is whole. */
static void
on_from(struct mbox *mbox, struct buf *out)
{
    if (mbox->may_be_from && !mbox->quote) {
        mbox->state = MBOX_IN_FROM;
        mbox->from_len = 0;
        return;
    }
    mbox->quote = false; /* it was one */
    give_kept(mbox, out);
}

/* One byte at the start of a line; false: it is to be looked at again. */
static bool
start_byte(struct mbox *mbox, char c, struct buf *out)
{
    if (c == '\n' && !mbox->quote && mbox->matched == 0) {
        bool empty_cr = mbox->cr;

        give_empty(mbox, out);
        line_ended(mbox, true, empty_cr);
    } else if (c == from[mbox->matched] && !mbox->cr) {
        if (++mbox->matched == FROM_LEN)
            on_from(mbox, out);
    } else if (c == '>' && mbox->matched == 0 && !mbox->cr) {
        give_empty(mbox, out); /* cannot be a "From " line any more */
        if (mbox->quote)
            give(mbox, VIEW(">"), out);
        mbox->quote = true;
    } else if (c == '\r' && !mbox->quote && mbox->matched == 0 && !mbox->cr) {
        mbox->cr = true;
    } else {
        give_kept(mbox, out);
        return false;
    }
    return true;
}

/* Up to the end of the line, or of the input. */
static struct view
take_rest(struct view *input, bool *ended)
{
    const char *lf = memchr(input->data, '\n', input->len);
    size_t len = lf != NULL ? (size_t)(lf - input->data) + 1 : input->len;
    struct view text = {input->data, len};

    *ended = lf != NULL;
    *input = view_skip(*input, len);
    return text;
}

static void
keep_from(struct mbox *mbox, struct view text)
{
    size_t room = sizeof(mbox->from) - mbox->from_len;

    if (text.len > room)
        text.len = room;
    memcpy(mbox->from + mbox->from_len, text.data, text.len);
    mbox->from_len += text.len;
}

static void
trim_from(struct mbox *mbox)
{
    while (mbox->from_len > 0 && (mbox->from[mbox->from_len - 1] == '\n' ||
                                  mbox->from[mbox->from_len - 1] == '\r'))
        mbox->from_len--;
}

enum mbox_part
mbox_take(struct mbox *mbox, struct view *input, struct buf *out)
{
    struct view text;
    bool ended;

    while (input->len > 0) {
        if (mbox->state == MBOX_START) {
            if (start_byte(mbox, input->data[0], out))
                *input = view_skip(*input, 1);
            continue;
        }
        text = take_rest(input, &ended);
        if (mbox->state == MBOX_REST) {
            give(mbox, text, out);
            if (ended)
                line_ended(mbox, false, false);
            continue;
        }
        keep_from(mbox, text);
        if (!ended)
            continue;
        trim_from(mbox);
        line_ended(mbox, false, false);
        mbox->inside = true;
        return MBOX_FROM;
    }
    return MBOX_MORE;
}

void
mbox_end(struct mbox *mbox, struct buf *out)
{
    if (mbox->state == MBOX_START &&
        (mbox->quote || mbox->cr || mbox->matched > 0))
        give_kept(mbox, out);
}

/* --- writing ------------------------------------------------------------- */

static void
line_start(struct mbox_writer *writer)
{
    *writer = (struct mbox_writer){0};
}

/* One byte of a line that may still be a "From " line. */
static bool
judge_byte(struct mbox_writer *writer, char c, struct buf *out)
{
    writer->in_line = true;
    if (c == '>' && writer->matched == 0) {
        buf_add_byte(out, '>');
        return true;
    }
    if (c == from[writer->matched] && ++writer->matched < FROM_LEN)
        return true;
    writer->judged = true;
    if (writer->matched == FROM_LEN) {
        buf_add_text(out, ">From "); /* behind other ">" or not: the same */
        return true;
    }
    buf_add(out, from, writer->matched);
    return false;
}

void
mbox_write(struct mbox_writer *writer, struct view content, struct buf *out)
{
    const char *at = content.data;
    const char *end = at + content.len;

    while (at < end) {
        const char *stop;

        if (!writer->judged) {
            at += judge_byte(writer, *at, out);
            continue;
        }
        if (writer->cr && *at != '\n')
            buf_add_byte(out, '\r');
        writer->cr = false;
        stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) {
            writer->cr = end[-1] == '\r';
            buf_add(out, at, (size_t)(end - at) - writer->cr);
            return;
        }
        buf_add(out, at, (size_t)(stop - at) - (stop > at && stop[-1] == '\r'));
        buf_add_byte(out, '\n');
        line_start(writer);
        at = stop + 1;
    }
}

void
mbox_write_end(struct mbox_writer *writer, struct buf *out)
{
    if (!writer->judged)
        buf_add(out, from, writer->matched);
    if (writer->cr)
        buf_add_byte(out, '\r');
    if (writer->in_line)
        buf_add_byte(out, '\n');
    buf_add_byte(out, '\n');
    line_start(writer);
}
