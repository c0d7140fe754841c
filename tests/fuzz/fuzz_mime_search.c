/* SPDX-License-Identifier: ISC */
/*
 * A search in messages of a stranger finds the same however the content is
 * cut, also when the structure is of another message. Input: the size of the
 * pieces, the text that is sought up to a line end, the message.
 */
#include "mime_search.h"

#include <assert.h>
#include <stdint.h>

#include "mime.h"
#include "mime_decode.h"
#include "mime_structure.h"

#define N_KEYS 5

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    mime_decode_init();
    return 0;
}

static unsigned
run(struct mime_search *search, struct view structure, struct view content,
    size_t piece)
{
    int got = mime_search_begin(search, structure);
    unsigned found = 0;

    assert(got >= 0);
    while (got == 0 && content.len > 0) {
        size_t n = piece < content.len ? piece : content.len;

        got = !mime_search_feed(search, (struct view){content.data, n});
        content = view_skip(content, n);
    }
    mime_search_end(search);
    for (size_t i = 0; i < N_KEYS; i++)
        found |= (unsigned)mime_search_found(search, i) << i;
    return found;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view input = {(const char *)data + 1, size - 1};
    struct mime_search_key keys[N_KEYS] = {
        {MIME_SEARCH_TEXT, {NULL, 0}, {NULL, 0}},
        {MIME_SEARCH_BODY, {NULL, 0}, {NULL, 0}},
        {MIME_SEARCH_FIELD, {"Subject", 7}, {NULL, 0}},
        {MIME_SEARCH_FIELD, {"To", 2}, {NULL, 0}},
        {MIME_SEARCH_FIELD, {"X-A", 3}, {NULL, 0}},
    };
    struct mime_search *search;
    struct buf structure = {0};
    struct view content;
    const char *lf;
    struct mime *mime;
    unsigned found;

    if (size < 2 || (lf = memchr(input.data, '\n', input.len)) == NULL)
        return 0;
    for (size_t i = 0; i < N_KEYS; i++)
        keys[i].text = (struct view){input.data, (size_t)(lf - input.data)};
    content = view_skip(input, keys[0].text.len + 1);
    if (mime_search_new(keys, N_KEYS, &search, NULL) != 0)
        return 0;
    mime = mime_scan_whole(content);
    mime_structure_encode(mime, &structure);
    mime_free(&mime);
    found = run(search, buf_view(&structure), content, SIZE_MAX);
    assert(run(search, buf_view(&structure), content, data[0] % 16 + 1) ==
           found);
    /* A part's text is in TEXT too. */
    assert((found & 3) != 2);
    run(search, buf_view(&structure), input, 7);
    mime_search_free(&search);
    buf_free(&structure);
    return 0;
}
