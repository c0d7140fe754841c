/* SPDX-License-Identifier: ISC */
#include "mime_charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <stdlib.h>

#include "mem.h"
#include "utf8.h"

/* Bytes of a character, or an escape sequence, that a piece may end in. */
#define CUT_MAX 16

enum how {
    HOW_UTF8,
    HOW_LATIN, /* windows-1252, which holds ISO-8859-1 */
    HOW_ASCII, /* UTF-8 or else windows-1252 */
    HOW_ICONV,
};

static const struct {
    struct view name;
    enum how how;
    const char *iconv;
} table[] = {
#define OWN(literal, how)                                                      \
    {                                                                          \
        {literal, sizeof(literal) - 1}, how, NULL                              \
    }
#define LIBC(literal, charset)                                                 \
    {                                                                          \
        {literal, sizeof(literal) - 1}, HOW_ICONV, charset                     \
    }
    OWN("us-ascii", HOW_ASCII),
    OWN("ascii", HOW_ASCII),
    OWN("utf-8", HOW_UTF8),
    OWN("utf8", HOW_UTF8),
    OWN("iso-8859-1", HOW_LATIN),
    OWN("latin1", HOW_LATIN),
    OWN("windows-1252", HOW_LATIN),
    OWN("cp1252", HOW_LATIN),
    LIBC("iso-8859-2", "ISO-8859-2"),
    LIBC("iso-8859-3", "ISO-8859-3"),
    LIBC("iso-8859-4", "ISO-8859-4"),
    LIBC("iso-8859-5", "ISO-8859-5"),
    LIBC("iso-8859-6", "ISO-8859-6"),
    LIBC("iso-8859-7", "ISO-8859-7"),
    LIBC("iso-8859-8", "ISO-8859-8"),
    LIBC("iso-8859-8-i", "ISO-8859-8"),
    LIBC("iso-8859-9", "CP1254"),
    LIBC("iso-8859-10", "ISO-8859-10"),
    LIBC("iso-8859-13", "ISO-8859-13"),
    LIBC("iso-8859-14", "ISO-8859-14"),
    LIBC("iso-8859-15", "ISO-8859-15"),
    LIBC("iso-8859-16", "ISO-8859-16"),
    LIBC("windows-1250", "CP1250"),
    LIBC("windows-1251", "CP1251"),
    LIBC("cp1251", "CP1251"),
    LIBC("windows-1253", "CP1253"),
    LIBC("windows-1254", "CP1254"),
    LIBC("windows-1255", "CP1255"),
    LIBC("windows-1256", "CP1256"),
    LIBC("windows-1257", "CP1257"),
    LIBC("windows-1258", "CP1258"),
    LIBC("koi8-r", "KOI8-R"),
    LIBC("koi8-u", "KOI8-U"),
    LIBC("ibm437", "CP437"),
    LIBC("cp437", "CP437"),
    LIBC("cp850", "CP850"),
    LIBC("ibm850", "CP850"),
    LIBC("ibm866", "CP866"),
    LIBC("cp866", "CP866"),
    LIBC("macintosh", "MACINTOSH"),
    LIBC("tis-620", "TIS-620"),
    LIBC("windows-874", "CP874"),
    LIBC("gb2312", "GB18030"),
    LIBC("gbk", "GB18030"),
    LIBC("gb18030", "GB18030"),
    LIBC("big5", "BIG5-HKSCS"),
    LIBC("big5-hkscs", "BIG5-HKSCS"),
    LIBC("euc-kr", "CP949"),
    LIBC("ks_c_5601-1987", "CP949"),
    LIBC("euc-jp", "EUC-JP"),
    LIBC("shift_jis", "CP932"),
    LIBC("iso-2022-jp", "ISO-2022-JP"),
    LIBC("utf-16", "UTF-16"),
    LIBC("utf-16le", "UTF-16LE"),
    LIBC("utf-16be", "UTF-16BE"),
#undef OWN
#undef LIBC
};

#define N_TABLE (sizeof(table) / sizeof(table[0]))

/* 0x80 to 0x9f; what is not assigned is the control character. */
static const uint16_t latin[32] = {
    0x20ac, 0x81,   0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
    0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d,   0x017d, 0x8f,
    0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d,   0x017e, 0x0178,
};

struct mime_charset {
    enum how how;
    iconv_t iconv; /* HOW_ICONV */
    size_t cut_len;
    char cut[CUT_MAX]; /* the end of the last piece */
};

static size_t
find(struct view name)
{
    size_t i = 0;

    while (i < N_TABLE && !view_equal_nocase(table[i].name, name))
        i++;
    return i;
}

bool
mime_charset_is_known(struct view name)
{
    return find(name) < N_TABLE;
}

void
mime_charset_init(void)
{
    static iconv_t kept[N_TABLE]; /* open for ever */

    for (size_t i = 0; i < N_TABLE; i++)
        if (table[i].iconv != NULL && kept[i] == NULL)
            kept[i] = iconv_open("UTF-8", table[i].iconv);
}

struct mime_charset *
mime_charset_new(struct view name)
{
    struct mime_charset *charset = mem_alloc(sizeof(*charset));
    size_t i = find(name);

    charset->how = i < N_TABLE ? table[i].how : HOW_ASCII;
    if (charset->how == HOW_ICONV) {
        charset->iconv = iconv_open("UTF-8", table[i].iconv);
        if (charset->iconv == (iconv_t)-1)
            charset->how = HOW_ASCII; /* a C library without its converters */
    }
    return charset;
}

void
mime_charset_free(struct mime_charset **charset)
{
    if (*charset == NULL)
        return;
    if ((*charset)->how == HOW_ICONV)
        iconv_close((*charset)->iconv);
    free(*charset);
    *charset = NULL;
}

/* Bytes below 128 at the front, NUL not among them. */
static size_t
ascii_run(struct view bytes)
{
    size_t n = 0;

    while (n + 8 <= bytes.len) {
        uint64_t word;

        memcpy(&word, bytes.data + n, 8);
        /* A byte over 127, or a zero byte. */
        if (((word | ((word - 0x0101010101010101u) & ~word)) &
             0x8080808080808080u) != 0)
            break;
        n += 8;
    }
    while (n < bytes.len && (uint8_t)bytes.data[n] - 1u < 127)
        n++;
    return n;
}

/* Is bytes the front of a character, but not the whole of it? */
static bool
is_cut(struct view bytes)
{
    uint8_t first = (uint8_t)bytes.data[0];
    size_t want = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 1;

    if (first > 0xf4 || bytes.len >= want)
        return false;
    for (size_t i = 1; i < bytes.len; i++)
        if (((uint8_t)bytes.data[i] & 0xc0) != 0x80)
            return false;
    return true;
}

static uint32_t
from_latin(uint8_t c)
{
    if (c == 0)
        return UTF8_REPLACEMENT;
    return c >= 0x80 && c < 0xa0 ? latin[c - 0x80] : c;
}

/* Bytes that need no converter. Returns how many at the end are cut. */
static size_t
convert(const struct mime_charset *charset, struct view bytes, bool last,
        struct buf *out)
{
    while (bytes.len > 0) {
        size_t n = ascii_run(bytes);
        struct view before;
        uint32_t c;

        buf_add(out, bytes.data, n);
        bytes = view_skip(bytes, n);
        if (bytes.len == 0)
            break;
        before = bytes;
        if (charset->how == HOW_LATIN) {
            c = from_latin((uint8_t)bytes.data[0]);
            bytes = view_skip(bytes, 1);
        } else {
            if (!last && is_cut(bytes))
                return bytes.len;
            c = utf8_take(&bytes);
            if (before.len - bytes.len == 1)
                c = charset->how == HOW_ASCII
                        ? from_latin((uint8_t)before.data[0])
                        : UTF8_REPLACEMENT;
        }
        utf8_put(out, c);
    }
    return 0;
}

/* The same by the C library. */
static size_t
convert_by_iconv(const struct mime_charset *charset, struct view bytes,
                 struct buf *out)
{
    char *in = (char *)(uintptr_t)bytes.data; /* iconv only reads it */
    size_t in_left = bytes.len;

    while (in_left > 0) {
        char *to;
        size_t room;

        buf_reserve(out, 2 * in_left + 16);
        to = out->data + out->len;
        room = out->cap - out->len;
        if (iconv(charset->iconv, &in, &in_left, &to, &room) == (size_t)-1) {
            int reason = errno;

            out->len = out->cap - room;
            if (reason == EINVAL && in_left < CUT_MAX)
                return in_left;
            if (reason == E2BIG)
                continue;
            utf8_put(out, UTF8_REPLACEMENT);
            in++;
            in_left--;
            continue;
        }
        out->len = out->cap - room;
    }
    return 0;
}

/* NUL, which UTF-16 and others make of bytes that have none. */
static void
replace_nul(struct buf *out, size_t from)
{
    struct buf copy = {0};

    if (out->len == from ||
        memchr(out->data + from, '\0', out->len - from) == NULL)
        return;
    utf8_clean((struct view){out->data + from, out->len - from}, &copy);
    out->len = from;
    buf_add_view(out, buf_view(&copy));
    buf_free(&copy);
}

static size_t
convert_piece(struct mime_charset *charset, struct view bytes, bool last,
              struct buf *out)
{
    size_t from = out->len, cut;

    if (charset->how != HOW_ICONV)
        return convert(charset, bytes, last, out);
    cut = convert_by_iconv(charset, bytes, out);
    replace_nul(out, from);
    return cut;
}

void
mime_charset_feed(struct mime_charset *charset, struct view bytes,
                  struct buf *out)
{
    size_t cut;

    /* Bytes one by one to what is cut, until it is whole. */
    while (charset->cut_len > 0 && bytes.len > 0) {
        struct view whole;

        charset->cut[charset->cut_len++] = bytes.data[0];
        bytes = view_skip(bytes, 1);
        whole = (struct view){charset->cut, charset->cut_len};
        cut = convert_piece(charset, whole, false, out);
        memmove(charset->cut, charset->cut + charset->cut_len - cut, cut);
        charset->cut_len = cut;
    }
    if (bytes.len == 0)
        return;
    cut = convert_piece(charset, bytes, false, out);
    if (cut > 0)
        memcpy(charset->cut, bytes.data + bytes.len - cut, cut);
    charset->cut_len = cut;
}

void
mime_charset_end(struct mime_charset *charset, struct buf *out)
{
    struct view rest = {charset->cut, charset->cut_len};

    charset->cut_len = 0;
    if (charset->how != HOW_ICONV)
        convert(charset, rest, true, out);
    else if (rest.len > 0)
        utf8_put(out, UTF8_REPLACEMENT);
}
