/* SPDX-License-Identifier: ISC */
/*
 * The end-of-data automaton. Rows are states (dot.h), columns what comes
 * next, cells what is given out and the next state; "" gives out nothing.
 *
 *                   CR              LF               "."              other
 *   LINE            CR, TEXT_CR     CRLF, TEXT (1)   "", LINE_DOT     c, TEXT
 *   LINE_DOT        "", LINE_DOT_CR CRLF, TEXT (1)   ".", TEXT        c, TEXT
 *   LINE_DOT_CR     CR CR, TEXT_CR  end              CR ".", TEXT (2) CR c,
 * TEXT TEXT            CR, TEXT_CR     CRLF, TEXT (1)   ".", TEXT        c,
 * TEXT TEXT_CR         CR, TEXT_CR     LF, LINE         ".", TEXT (2)    c,
 * TEXT
 *
 *   (1) a bare LF: a line end, after which a dot is only a dot
 *   (2) a bare CR before a dot: the message is refused at its end
 *
 * LINE, TEXT and TEXT_CR give out what they read, so they are walked with
 * memchr in runs over many lines; the rest is rare.
 */
#include "dot.h"

void
dot_decoder_init(struct dot_decoder *decoder)
{
    *decoder = (struct dot_decoder){.state = DOT_LINE};
}

/* Walks bytes given out as they are. Returns the end of the run: the end of
 * the input, a dot at the start of a line, or a bare LF. */
static const char *
walk(struct dot_decoder *decoder, const char *at, const char *end)
{
    const char *lf = at; /* the next LF, or end; looked for when passed */
    bool known = false;

    while (at < end) {
        const char *cr;

        if (decoder->state == DOT_TEXT_CR) {
            decoder->state = *at == '\n' ? DOT_LINE : DOT_TEXT;
            decoder->bad |= *at == '.';
            at += *at == '\n' ? 1 : 0;
            continue;
        }
        if (decoder->state == DOT_LINE && *at == '.')
            return at;
        if (!known || lf < at) {
            lf = memchr(at, '\n', (size_t)(end - at));
            lf = lf != NULL ? lf : end;
            known = true;
        }
        cr = memchr(at, '\r', (size_t)(lf - at));
        if (cr != NULL) {
            decoder->state = DOT_TEXT_CR;
            at = cr + 1;
            continue;
        }
        decoder->state = DOT_TEXT;
        return lf;
    }
    return at;
}

/* DOT_LINE_DOT: the dot is taken out, whatever follows. */
static struct view
after_dot(struct dot_decoder *decoder, struct view *input)
{
    char c = input->data[0];

    decoder->state = c == '\r' ? DOT_LINE_DOT_CR : DOT_TEXT;
    if (c != '\r' && c != '\n')
        return (struct view){0}; /* looked at again as text */
    *input = view_skip(*input, 1);
    return c == '\n' ? VIEW("\r\n") : (struct view){0};
}

/* A run of text, or one byte of meaning. */
static struct view
in_text(struct dot_decoder *decoder, struct view *input)
{
    const char *start = input->data;
    const char *stop = walk(decoder, start, start + input->len);
    size_t len = (size_t)(stop - start);

    if (len > 0) {
        *input = view_skip(*input, len);
        return (struct view){start, len};
    }
    *input = view_skip(*input, 1);
    if (*stop == '\n')
        return VIEW("\r\n");
    decoder->state = DOT_LINE_DOT;
    return (struct view){0};
}

enum got
dot_decode(struct dot_decoder *decoder, struct view *input,
           struct view *content)
{
    *content = (struct view){0};
    while (decoder->state != DOT_END) {
        if (input->len == 0 || content->len > 0)
            return GOT_MORE;
        switch (decoder->state) {
        case DOT_LINE:
        case DOT_TEXT:
        case DOT_TEXT_CR:
            *content = in_text(decoder, input);
            break;
        case DOT_LINE_DOT:
            *content = after_dot(decoder, input);
            break;
        case DOT_LINE_DOT_CR:
            if (input->data[0] == '\n') {
                *input = view_skip(*input, 1);
                decoder->state = DOT_END;
                break;
            }
            decoder->state = DOT_TEXT_CR; /* that CR was a bare one */
            *content = VIEW("\r");
            break;
        case DOT_END:
            break;
        }
    }
    return decoder->bad ? GOT_BAD : GOT_ONE;
}

void
dot_encoder_init(struct dot_encoder *encoder)
{
    *encoder = (struct dot_encoder){.state = DOT_LINE};
}

/* Copies up to the next LF, or all, and says what comes after it. */
static const char *
copy_line(struct dot_encoder *encoder, const char *at, const char *end,
          struct buf *out)
{
    const char *lf = memchr(at, '\n', (size_t)(end - at));
    const char *stop = lf != NULL ? lf : end;
    bool after_cr =
        stop > at ? stop[-1] == '\r' : encoder->state == DOT_TEXT_CR;

    buf_add(out, at, (size_t)(stop - at));
    if (lf == NULL) {
        encoder->state = after_cr ? DOT_TEXT_CR : DOT_TEXT;
        return end;
    }
    buf_add_text(out, after_cr ? "\n" : "\r\n");
    encoder->state = DOT_LINE;
    return lf + 1;
}

void
dot_encode(struct dot_encoder *encoder, struct view content, struct buf *out)
{
    const char *at = content.data;
    const char *end = at + content.len;

    while (at < end) {
        if (encoder->state == DOT_LINE && *at == '.')
            buf_add_byte(out, '.');
        at = copy_line(encoder, at, end, out);
    }
}

void
dot_encode_end(struct dot_encoder *encoder, struct buf *out)
{
    if (encoder->state == DOT_TEXT_CR)
        buf_add_text(out, "\n");
    else if (encoder->state != DOT_LINE)
        buf_add_text(out, "\r\n");
    buf_add_text(out, ".\r\n");
    encoder->state = DOT_END;
}
