/* SPDX-License-Identifier: ISC */
#include "mime_header.h"

enum filter_state {
    FILTER_LINE,  /* a line begins */
    FILTER_NAME,  /* before the colon */
    FILTER_VALUE, /* in a line of which it is known whether it is kept */
    FILTER_CR,    /* a line began with a CR: it may be the empty one */
    FILTER_END,   /* the empty line has come */
};

void
mime_header_filter_init(struct mime_header_filter *filter,
                        const struct view *names, size_t n_names, bool others)
{
    filter->names = names;
    filter->n_names = n_names;
    filter->others = others;
    filter->state = FILTER_LINE;
    filter->keep = false;
    filter->last = '\n';
    filter->name_len = 0;
}

/* The name is whole: is the field one of those that are wanted? */
static bool
is_wanted(const struct mime_header_filter *filter)
{
    struct view name = {filter->name, filter->name_len};

    while (name.len > 0 &&
           (name.data[name.len - 1] == ' ' || name.data[name.len - 1] == '\t'))
        name.len--;
    for (size_t i = 0; i < filter->n_names; i++)
        if (view_equal_nocase(filter->names[i], name))
            return !filter->others;
    return filter->others;
}

/* Keeps the line so far, if it is of a field that is. */
static void
decide(struct mime_header_filter *filter, bool keep, struct buf *out)
{
    filter->keep = keep;
    filter->state = FILTER_VALUE;
    filter->last = ' ';
    if (keep)
        buf_add(out, filter->name, filter->name_len);
}

static void
take_name(struct mime_header_filter *filter, struct view *bytes,
          struct buf *out)
{
    while (bytes->len > 0) {
        char c = bytes->data[0];

        if (c == ':') {
            decide(filter, is_wanted(filter), out);
            return;
        }
        /* A line without a colon is no field, and one with a longer name
         * none that was asked for. */
        if (c == '\n' || filter->name_len == MIME_HEADER_NAME_MAX) {
            decide(filter, filter->others && c != '\n', out);
            return;
        }
        filter->name[filter->name_len++] = c;
        *bytes = view_skip(*bytes, 1);
    }
}

static void
take_value(struct mime_header_filter *filter, struct view *bytes,
           struct buf *out)
{
    const char *lf = memchr(bytes->data, '\n', bytes->len);
    size_t n = lf != NULL ? (size_t)(lf - bytes->data) + 1 : bytes->len;

    if (filter->keep) {
        buf_add(out, bytes->data, n);
        filter->last = bytes->data[n - 1];
    }
    *bytes = view_skip(*bytes, n);
    if (lf != NULL)
        filter->state = FILTER_LINE;
}

static void
take_line(struct mime_header_filter *filter, struct view *bytes)
{
    char c = bytes->data[0];

    filter->name_len = 0;
    filter->state = FILTER_NAME;
    if (c == ' ' || c == '\t') {
        filter->state = FILTER_VALUE; /* goes on with the field before */
    } else if (c == '\r') {
        filter->state = FILTER_CR;
        *bytes = view_skip(*bytes, 1);
    } else if (c == '\n') {
        filter->state = FILTER_END;
    }
}

static void
take_after_cr(struct mime_header_filter *filter, struct view bytes)
{
    filter->state = FILTER_NAME;
    if (bytes.data[0] == '\n')
        filter->state = FILTER_END;
    else
        filter->name[filter->name_len++] = '\r';
}

void
mime_header_filter_feed(struct mime_header_filter *filter, struct view bytes,
                        struct buf *out)
{
    while (bytes.len > 0) {
        switch (filter->state) {
        case FILTER_LINE:
            take_line(filter, &bytes);
            break;
        case FILTER_CR:
            take_after_cr(filter, bytes);
            break;
        case FILTER_NAME:
            take_name(filter, &bytes, out);
            break;
        case FILTER_VALUE:
            take_value(filter, &bytes, out);
            break;
        default:
            return;
        }
    }
}

void
mime_header_filter_end(struct mime_header_filter *filter, struct buf *out)
{
    /* A header may end in the middle of a line. */
    if (filter->keep && filter->state == FILTER_VALUE && filter->last != '\n')
        buf_add_text(out, filter->last == '\r' ? "\n" : "\r\n");
    filter->state = FILTER_END;
    buf_add_text(out, "\r\n");
}
