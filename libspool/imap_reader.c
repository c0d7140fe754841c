/* SPDX-License-Identifier: ISC */
#include "imap_reader.h"

/* Before anybody has signed in nothing is large. */
#define SMALL_MAX 8192

struct literal {
    uint64_t length;
    bool unasked; /* "{n+}" (RFC 7888): it comes without being asked for */
};

/* Does the line end in a literal's length? */
static bool
find_literal(struct view line, struct literal *literal)
{
    size_t end = line.len, at;
    uint64_t value = 0;

    *literal = (struct literal){0};
    if (end < 3 || line.data[--end] != '}')
        return false;
    if (line.data[end - 1] == '+') {
        literal->unasked = true;
        end--;
    }
    for (at = end; at > 0 && line.data[at - 1] >= '0' &&
                   line.data[at - 1] <= '9' && end - at < 19;
         at--)
        ;
    if (at == end || at == 0 || line.data[at - 1] != '{')
        return false;
    for (; at < end; at++)
        value = value * 10 + (uint64_t)(line.data[at] - '0');
    literal->length = value;
    return true;
}

/* "TAG APPEND ...": its last argument is the message. */
static bool
is_append(struct view command)
{
    const char *blank =
        command.len > 0 ? memchr(command.data, ' ', command.len) : NULL;
    struct view rest;

    if (blank == NULL)
        return false;
    rest = view_skip(command, (size_t)(blank + 1 - command.data));
    return rest.len > 7 &&
           view_equal_nocase((struct view){rest.data, 7}, VIEW("APPEND "));
}

/* The mailbox of APPEND may be a literal as well; the message is what comes
 * after a mailbox: after a blank that is not the command's own. */
static bool
is_message_of_append(const struct imap_reader *reader)
{
    struct view command = buf_view(&reader->command);
    struct view line = view_skip(command, reader->line);
    size_t blanks = 0, brace = line.len;

    if (!is_append(command))
        return false;
    if (reader->line > 0) /* the mailbox was a literal */
        return true;
    while (brace > 0 && line.data[brace - 1] != '{')
        brace--;
    for (size_t i = 0; i < brace; i++)
        blanks += line.data[i] == ' ';
    return blanks >= 3;
}

static enum imap_read
refuse(struct imap_reader *reader, const struct literal *literal,
       struct why *why)
{
    why_text(why, "a literal that is too large");
    reader->is_new = true;
    if (!literal->unasked)
        return IMAP_READ_BAD; /* the client waits to be asked */
    if (literal->length > IMAP_DROP_MAX)
        return IMAP_READ_END;
    reader->dropping = literal->length;
    reader->drops_line = true;
    return IMAP_READ_BAD;
}

/* A line of the command is whole, without its CRLF. */
static enum imap_read
line_is_there(struct imap_reader *reader, struct why *why)
{
    struct view line = view_skip(buf_view(&reader->command), reader->line);
    size_t max = reader->small ? SMALL_MAX : IMAP_LITERAL_MAX;
    struct literal literal;

    if (!find_literal(line, &literal)) {
        reader->is_new = true;
        return IMAP_READ_ONE;
    }
    if (!reader->small && is_message_of_append(reader)) {
        reader->big = literal.length;
        reader->unasked = literal.unasked;
        return IMAP_READ_APPEND;
    }
    if (literal.length > max ||
        reader->command.len + literal.length > IMAP_COMMAND_MAX)
        return refuse(reader, &literal, why);
    buf_add_text(&reader->command, "\r\n");
    reader->literal = literal.length;
    reader->line = reader->command.len + (size_t)literal.length;
    return literal.unasked ? IMAP_READ_MORE : IMAP_READ_CONTINUE;
}

/* The line is bad: what follows up to its CRLF goes with it. */
static enum imap_read
line_is_bad(struct imap_reader *reader, struct view input, size_t *taken,
            const char *reason, struct why *why)
{
    size_t keep = input.len < 128 ? input.len : 128;

    if (reader->line == 0) /* it has the tag */
        buf_add(&reader->command, input.data, keep);
    *taken = input.len;
    reader->is_new = true;
    reader->drops_line = true;
    why_text(why, "%s", reason);
    return IMAP_READ_BAD;
}

/* The next line of the command, up to its CRLF. */
static enum imap_read
read_line(struct imap_reader *reader, struct view input, size_t *taken,
          struct why *why)
{
    size_t max = reader->small ? SMALL_MAX : IMAP_LINE_MAX;
    const char *lf = NULL;
    size_t len;

    if (input.len > reader->seen)
        lf = memchr(input.data + reader->seen, '\n', input.len - reader->seen);
    len = lf != NULL ? (size_t)(lf - input.data) : input.len;
    if (len > max || reader->command.len + len > IMAP_COMMAND_MAX) {
        input.len = lf != NULL ? len - 1 : len; /* its CRLF ends the drop */
        return line_is_bad(reader, input, taken, "a line that is too long",
                           why);
    }
    if (lf == NULL) {
        reader->seen = input.len;
        return IMAP_READ_MORE;
    }
    reader->seen = 0;
    if (len == 0 || lf[-1] != '\r') {
        buf_add(&reader->command, input.data, len);
        reader->is_new = true;
        *taken = len + 1;
        why_text(why, "a line ends in CRLF");
        return IMAP_READ_BAD;
    }
    buf_add(&reader->command, input.data, len - 1);
    *taken = len + 1;
    return line_is_there(reader, why);
}

/* Bytes at the end of a dropped line that are kept: a literal's length. */
#define TAIL_MAX 32

/* A line that is dropped may end in a literal, which goes with it, and the
 * line after that. reader->command, of no use any more, holds its end. */
static enum imap_read
drop_line(struct imap_reader *reader, struct view *input, size_t *taken)
{
    const char *lf =
        input->len > 0 ? memchr(input->data, '\n', input->len) : NULL;
    size_t n = lf != NULL ? (size_t)(lf + 1 - input->data) : input->len;
    size_t kept = n < TAIL_MAX ? n : TAIL_MAX;
    struct buf *tail = &reader->command;
    struct literal literal;

    buf_add(tail, input->data + n - kept, kept);
    if (tail->len > TAIL_MAX)
        buf_consume(tail, tail->len - TAIL_MAX);
    *input = view_skip(*input, n);
    *taken += n;
    if (lf == NULL)
        return IMAP_READ_MORE;
    tail->len -= tail->len > 1 && tail->data[tail->len - 2] == '\r' ? 2 : 1;
    reader->drops_line =
        find_literal(buf_view(tail), &literal) && literal.unasked;
    buf_reset(tail);
    if (!reader->drops_line)
        return IMAP_READ_ONE;
    reader->dropping = literal.length;
    return literal.length > IMAP_DROP_MAX ? IMAP_READ_END : IMAP_READ_MORE;
}

/* What belongs to a command that was refused. ONE: all of it is gone. */
static enum imap_read
drop(struct imap_reader *reader, struct view *input, size_t *taken)
{
    enum imap_read read = IMAP_READ_MORE;

    if (!reader->drops)
        buf_reset(&reader->command);
    reader->drops = true;
    while (read == IMAP_READ_MORE && input->len > 0) {
        size_t n = input->len < reader->dropping ? input->len
                                                 : (size_t)reader->dropping;

        reader->dropping -= n;
        *input = view_skip(*input, n);
        *taken += n;
        if (reader->dropping > 0)
            break;
        read = reader->drops_line ? drop_line(reader, input, taken)
                                  : IMAP_READ_ONE;
    }
    reader->drops = read == IMAP_READ_MORE;
    return read;
}

enum imap_read
imap_reader_feed(struct imap_reader *reader, struct view input, size_t *taken,
                 struct why *why)
{
    enum imap_read read = IMAP_READ_MORE;
    size_t used = 0;

    *taken = 0;
    if (reader->dropping > 0 || reader->drops_line) {
        read = drop(reader, &input, taken);
        if (read == IMAP_READ_END)
            why_text(why, "a literal that is too large");
        if (read != IMAP_READ_ONE)
            return read;
        read = IMAP_READ_MORE;
    }
    while (read == IMAP_READ_MORE && input.len > 0) {
        if (reader->is_new) {
            buf_reset(&reader->command);
            reader->line = 0;
            reader->seen = 0;
            reader->big = 0;
            reader->is_new = false;
        }
        used = 0;
        if (reader->literal > 0) {
            used = input.len < reader->literal ? input.len
                                               : (size_t)reader->literal;
            buf_add(&reader->command, input.data, used);
            reader->literal -= used;
        } else {
            read = read_line(reader, input, &used, why);
            if (used == 0)
                break;
        }
        input = view_skip(input, used);
        *taken += used;
    }
    return read;
}

void
imap_reader_go_on(struct imap_reader *reader)
{
    buf_reset(&reader->command);
    reader->line = 0;
    reader->seen = 0;
}

int
imap_reader_refuse(struct imap_reader *reader)
{
    reader->is_new = true;
    if (reader->unasked && reader->big > IMAP_DROP_MAX)
        return -1;
    reader->dropping = reader->unasked ? reader->big : 0;
    reader->drops_line = reader->unasked;
    return 0;
}

void
imap_reader_idle(struct imap_reader *reader)
{
    if (reader->is_new && !reader->drops)
        buf_free(&reader->command);
}

void
imap_reader_free(struct imap_reader *reader)
{
    buf_free(&reader->command);
    *reader = (struct imap_reader){0};
}
