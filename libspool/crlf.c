/* SPDX-License-Identifier: ISC */
#include "crlf.h"

/* A part of a line, without its LF. */
static void
look_at_crs(struct crlf *crlf, const char *at, const char *end)
{
    if (at == end)
        return;
    crlf->bad |= crlf->after_cr && *at == '.';
    crlf->after_cr = end[-1] == '\r';
    while ((at = memchr(at, '\r', (size_t)(end - at))) != NULL) {
        at++;
        crlf->bad |= at < end && *at == '.';
    }
}

static bool
is_8bit(struct view bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if ((unsigned char)bytes.data[i] > 127)
            return true;
    return false;
}

void
crlf_add(struct crlf *crlf, struct view bytes, struct buf *out)
{
    const char *at = bytes.data;
    const char *end = at + bytes.len;

    if (!crlf->has_8bit)
        crlf->has_8bit = is_8bit(bytes);
    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const char *stop = lf != NULL ? lf : end;

        look_at_crs(crlf, at, stop);
        buf_add(out, at, (size_t)(stop - at));
        crlf->in_line = lf == NULL;
        if (lf == NULL)
            return;
        buf_add_text(out, crlf->after_cr ? "\n" : "\r\n");
        crlf->after_cr = false;
        at = lf + 1;
    }
}

int
crlf_end(struct crlf *crlf, struct buf *out, struct why *why)
{
    if (crlf->in_line)
        buf_add_text(out, crlf->after_cr ? "\n" : "\r\n");
    crlf->in_line = crlf->after_cr = false;
    if (crlf->bad)
        return why_text(why, "the content has a bare CR before a dot, which "
                             "some servers take for the end of a message");
    return 0;
}
