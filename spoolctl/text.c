/* SPDX-License-Identifier: ISC */
#include "text.h"

#include <sys/ioctl.h>

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wchar.h>

#include "utf8.h"

#define COLUMNS_USUAL 80
#define COLUMNS_MIN   40

static struct {
    bool terminal;
    bool utf8;
    bool colour;
    size_t columns;
} text;

void
text_init(void)
{
    const char *term = getenv("TERM");
    struct winsize size;

    setlocale(LC_CTYPE, "");
    text.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    text.terminal = isatty(STDOUT_FILENO) == 1;
    text.colour = false;
    text.columns = 0;
    if (!text.terminal)
        return;
    text.columns = COLUMNS_USUAL;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        text.columns = size.ws_col > COLUMNS_MIN ? size.ws_col : COLUMNS_MIN;
    text.colour =
        term != NULL && strcmp(term, "dumb") != 0 && getenv("NO_COLOR") == NULL;
}

bool
text_on_terminal(void)
{
    return text.terminal;
}

size_t
text_columns(void)
{
    return text.columns;
}

/* --- characters ---------------------------------------------------------- */

/* Marks that turn the direction of the text after them, and separators that
 * some terminals take for line ends. */
static bool
is_treacherous(uint32_t c)
{
    return (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0x061c || c == 0xfeff;
}

/* The character to show in its place, and its columns. */
static uint32_t
shown_as(uint32_t c, size_t *width)
{
    int columns;

    *width = 1;
    if (c < 0x80)
        return c >= ' ' && c < 0x7f ? c : c == '\t' || c == '\n' ? ' ' : '?';
    columns = text.utf8 && !is_treacherous(c) ? wcwidth((wchar_t)c) : -1;
    if (columns < 0)
        return text.utf8 && c == UTF8_REPLACEMENT ? c : '?';
    *width = (size_t)columns;
    return c;
}

void
text_clean(struct view v, struct buf *out)
{
    size_t width;

    while (v.len > 0)
        utf8_put(out, shown_as(utf8_take(&v), &width));
}

size_t
text_width(struct view clean)
{
    size_t sum = 0, width;

    while (clean.len > 0) {
        shown_as(utf8_take(&clean), &width);
        sum += width;
    }
    return sum;
}

void
text_cut(struct view clean, size_t width, struct buf *out)
{
    size_t used = 0;

    if (text_width(clean) <= width) {
        buf_add_view(out, clean);
        return;
    }
    while (clean.len > 0) {
        size_t one;
        uint32_t c = shown_as(utf8_take(&clean), &one);

        if (used + one + 1 > width)
            break;
        utf8_put(out, c);
        used += one;
    }
    if (width > 0)
        buf_add_text(out, text.utf8 ? "\xe2\x80\xa6" : "~");
    for (used++; used < width; used++) /* a wide character did not fit */
        buf_add_byte(out, ' ');
}

void
text_look(enum text_look look, struct buf *out)
{
    static const char *const codes[] = {
        [TEXT_PLAIN] = "\033[0m",
        [TEXT_TROUBLE] = "\033[1;31m",
        [TEXT_HEADING] = "\033[1m",
    };

    if (text.colour)
        buf_add_text(out, codes[look]);
}

/* --- paragraphs ---------------------------------------------------------- */

/* Bytes of the line that fits into width: up to the last blank that does, or
 * what fits of a word that is longer than a line. */
static size_t
line_length(struct view rest, size_t width)
{
    size_t len = 0, used = 0;
    struct view ahead = rest;

    while (ahead.len > 0) {
        size_t before = rest.len - ahead.len;
        size_t one;
        uint32_t c = shown_as(utf8_take(&ahead), &one);

        used += one;
        if (used > width && c != ' ' && before > 0)
            return len > 0 ? len : before;
        if (c == ' ')
            len = before + 1;
    }
    return rest.len;
}

static void
print_lines(struct view rest, const char *prefix, size_t indent,
            enum text_look look)
{
    struct buf line = {0};
    bool first = true;

    do {
        size_t len = text.columns > indent
                         ? line_length(rest, text.columns - indent)
                         : rest.len;

        buf_reset(&line);
        if (look != TEXT_PLAIN)
            text_look(look, &line);
        buf_add(&line, rest.data, len);
        if (len < rest.len && line.data[line.len - 1] == ' ')
            line.len--;
        if (look != TEXT_PLAIN)
            text_look(TEXT_PLAIN, &line);
        printf("%-*s%.*s\n", (int)indent, first ? prefix : "", (int)line.len,
               line.data);
        first = false;
        rest = view_skip(rest, len);
    } while (rest.len > 0);
    buf_free(&line);
}

void
text_paragraph(const char *prefix, size_t width, enum text_look look,
               const char *format, ...)
{
    struct buf clean = {0};
    char *words = NULL;
    va_list ap;

    va_start(ap, format);
    if (vasprintf(&words, format, ap) < 0)
        abort();
    va_end(ap);
    text_clean(view_of(words), &clean);
    print_lines(buf_view(&clean), prefix, width, look);
    buf_free(&clean);
    free(words);
}

/* --- content ------------------------------------------------------------- */

/* Is this the beginning of a character whose end is yet to come? */
static bool
is_cut(struct view rest)
{
    unsigned char first = (unsigned char)rest.data[0];
    size_t whole = first >= 0xf0   ? 4
                   : first >= 0xe0 ? 3
                   : first >= 0xc0 ? 2
                                   : 1;

    for (size_t i = 1; i < rest.len; i++)
        if (((unsigned char)rest.data[i] & 0xc0) != 0x80)
            return false;
    return rest.len < whole;
}

static void
stream_print(struct view rest)
{
    struct buf out = {0};

    while (rest.len > 0) {
        uint32_t c = utf8_take(&rest);
        size_t width;

        if (c == '\n' || c == '\t')
            buf_add_byte(&out, (uint8_t)c);
        else if (c != '\r') /* of CRLF; alone it would overwrite the line */
            utf8_put(&out, shown_as(c, &width));
    }
    if (out.len > 0)
        fwrite(out.data, 1, out.len, stdout);
    buf_free(&out);
}

void
text_stream_put(struct text_stream *stream, struct view bytes)
{
    struct buf in = {0};
    size_t keep = 0;

    buf_add(&in, stream->held, stream->n_held);
    buf_add_view(&in, bytes);
    for (size_t n = 1; n < 4 && n <= in.len; n++)
        if (is_cut(view_skip(buf_view(&in), in.len - n)))
            keep = n;
    stream_print((struct view){in.data, in.len - keep});
    stream->n_held = keep;
    if (keep > 0)
        memcpy(stream->held, in.data + in.len - keep, keep);
    buf_free(&in);
}

void
text_stream_end(struct text_stream *stream)
{
    stream_print((struct view){stream->held, stream->n_held});
    stream->n_held = 0;
}
