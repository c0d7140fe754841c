/* SPDX-License-Identifier: ISC */
/*
 * A structure as IMAP prints it. A part is printed when the walk comes to
 * it; what IMAP wants behind a part's children, when the walk has left them:
 * open parts stand on a stack.
 */
#include "mime_structure.h"

#include "mime_envelope.h"
#include "mime_pack.h"
#include "mime_walk.h"

/* Stands in a multipart that has no part. */
#define NO_PART                                                                \
    "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0"

struct printer {
    struct buf *out;
    bool extended; /* BODYSTRUCTURE */
    int status;    /* -1 once something was found damaged */
    struct mime_part open[MIME_DEPTH_MAX + 1];
    uint32_t n_open;
};

static void
print_string(struct printer *printer, struct view text)
{
    buf_add_byte(printer->out, ' ');
    mime_pack_print(text, printer->out);
}

static bool
is_text(const struct mime_part *part)
{
    return part->type.data == NULL ||
           view_equal_nocase(part->type, VIEW("text"));
}

/* text/ has a charset, said or not. */
static void
print_params(struct printer *printer, struct mime_strings params, bool charset)
{
    struct buf *out = printer->out;
    const char *before = " (";

    if (charset) {
        struct view value;

        charset = mime_strings_find(params, VIEW("charset"), &value) == 0;
    }
    if (params.count == 0 && !charset) {
        buf_add_text(out, " NIL");
        return;
    }
    while (params.count > 0) {
        struct view text;

        if (mime_strings_take(&params, &text) != 0) {
            printer->status = -1;
            return;
        }
        buf_add_text(out, before);
        mime_pack_print(text, out);
        before = " ";
    }
    if (charset) {
        buf_add_text(out, before);
        buf_add_text(out, "\"charset\" \"us-ascii\"");
    }
    buf_add_byte(out, ')');
}

static void
print_languages(struct printer *printer, struct mime_strings languages)
{
    if (languages.count == 0)
        buf_add_text(printer->out, " NIL");
    else
        print_params(printer, languages, false);
}

/* What all parts have at the end of BODYSTRUCTURE. */
static void
print_extension(struct printer *printer, const struct mime_part *part)
{
    if (part->disposition.data == NULL) {
        buf_add_text(printer->out, " NIL");
    } else {
        buf_add_text(printer->out, " (");
        mime_pack_print(part->disposition, printer->out);
        print_params(printer, part->disposition_params, false);
        buf_add_byte(printer->out, ')');
    }
    print_languages(printer, part->languages);
    print_string(printer, part->location);
}

static void
print_fields(struct printer *printer, const struct mime_part *part)
{
    struct buf *out = printer->out;

    if (part->type.data == NULL)
        buf_add_text(out, "\"text\" \"plain\"");
    else
        mime_pack_print(part->type, out);
    if (part->type.data != NULL)
        print_string(printer, part->subtype);
    print_params(printer, part->params, is_text(part));
    print_string(printer, part->id);
    print_string(printer, part->description);
    print_string(printer,
                 part->encoding.data != NULL ? part->encoding : VIEW("7bit"));
    buf_addf(out, " %llu", (unsigned long long)part->body_len);
}

/* A part with all that is in it was printed. */
static void
close_part(struct printer *printer)
{
    const struct mime_part *part = &printer->open[--printer->n_open];
    struct buf *out = printer->out;

    if (part->kind == MIME_MULTIPART) {
        if (part->children == 0)
            buf_add_text(out, printer->extended ? NO_PART " NIL NIL NIL NIL)"
                                                : NO_PART ")");
        print_string(printer, part->subtype);
        if (printer->extended)
            print_params(printer, part->params, false);
    } else {
        if (is_text(part) || part->kind == MIME_MESSAGE)
            buf_addf(out, " %llu", (unsigned long long)part->lines);
        if (printer->extended)
            print_string(printer, part->md5);
    }
    if (printer->extended)
        print_extension(printer, part);
    buf_add_byte(out, ')');
}

static void
open_part(struct printer *printer, const struct mime_part *part)
{
    const struct mime_part *parent =
        printer->n_open > 0 ? &printer->open[printer->n_open - 1] : NULL;

    if (parent != NULL && parent->kind == MIME_MESSAGE) {
        struct view envelope = part->envelope;

        buf_add_byte(printer->out, ' ');
        if (mime_envelope_print(&envelope, printer->out) != 0)
            printer->status = -1;
        buf_add_byte(printer->out, ' ');
    }
    buf_add_byte(printer->out, '(');
    if (part->kind != MIME_MULTIPART)
        print_fields(printer, part);
    printer->open[printer->n_open++] = *part;
}

static int
print(struct view structure, bool extended, struct buf *out)
{
    struct printer printer; /* open[] is large and needs no zeros */
    struct mime_walk walk;
    struct mime_part part;
    int got;

    printer.out = out;
    printer.extended = extended;
    printer.status = 0;
    printer.n_open = 0;
    if (mime_walk_begin(&walk, structure) != 0)
        return -1;
    while ((got = mime_walk_next(&walk, &part)) == 1) {
        while (printer.n_open > part.depth)
            close_part(&printer);
        open_part(&printer, &part);
    }
    while (printer.n_open > 0)
        close_part(&printer);
    return got == 0 ? printer.status : -1;
}

int
mime_structure_print_body(struct view structure, struct buf *out)
{
    return print(structure, false, out);
}

int
mime_structure_print_bodystructure(struct view structure, struct buf *out)
{
    return print(structure, true, out);
}

int
mime_structure_print_envelope(struct view structure, struct buf *out)
{
    struct mime_walk walk;
    struct mime_part part;

    if (mime_walk_begin(&walk, structure) != 0 ||
        mime_walk_next(&walk, &part) != 1)
        return -1;
    return mime_envelope_print(&part.envelope, out);
}
