/* SPDX-License-Identifier: ISC */
/*
 * A queue file of Postfix: it ends, stays within its limits, and the content
 * has the size that was announced, however the file is read.
 */
#include <assert.h>
#include <stdlib.h>

#include "postfix_queue.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

struct file {
    struct view bytes;
    size_t most;
};

static int64_t
read_at(void *arg, uint64_t at, char *to, size_t len)
{
    const struct file *file = arg;
    struct view rest = view_skip(file->bytes, at);

    if (len > rest.len)
        len = rest.len;
    if (len > file->most)
        len = file->most;
    if (len > 0)
        memcpy(to, rest.data, len);
    return (int64_t)len;
}

static int
read_file(struct file *file, struct postfix_envelope *envelope,
          struct buf *content)
{
    struct postfix_reader reader;
    struct why why = {0};
    enum got got = GOT_ONE;
    int rc;

    postfix_reader_init(&reader, read_at, file, file->bytes.len);
    rc = postfix_envelope_read(&reader, envelope, &why);
    assert(rc == 0 || why.text[0] != '\0');
    if (rc == 0) {
        postfix_content_begin(&reader, envelope);
        do
            got = postfix_content_next(&reader, content, &why);
        while (got == GOT_MORE);
        assert(got == GOT_ONE);
        assert(content->len == envelope->size);
    }
    postfix_reader_free(&reader);
    return rc;
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
    struct file file = {{(const char *)data, len}, SIZE_MAX};
    struct postfix_envelope one = {0}, two = {0};
    struct buf first = {0}, second = {0};
    size_t n = 0;
    int rc = read_file(&file, &one, &first);

    assert(one.n_recipients <= POSTFIX_RECIPIENTS_MAX);
    assert(one.sender.len <= POSTFIX_TEXT_MAX);
    for (size_t i = 0; i < one.recipients.len; i++)
        n += one.recipients.data[i] == '\0';
    assert(n == one.n_recipients);
    file.most = 7;
    assert(read_file(&file, &two, &second) == rc);
    assert(view_equal(buf_view(&first), buf_view(&second)));
    assert(view_equal(buf_view(&one.recipients), buf_view(&two.recipients)));
    postfix_envelope_free(&one);
    postfix_envelope_free(&two);
    buf_free(&first);
    buf_free(&second);
    return 0;
}
