/* SPDX-License-Identifier: ISC */
/* The key file: whatever is read is printed the same way again. */
#include <assert.h>
#include <stdlib.h>

#include "key_file.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
    struct view text = {(const char *)data, len};
    struct buf once = {0}, twice = {0};
    struct key_file *file;
    struct why why = {0};

    if (key_file_is_locked(text)) /* Argon2 is slow on purpose */
        return 0;
    file = key_file_parse(text, NULL, &why);
    if (file == NULL) {
        assert(why.text[0] >= '1' && why.text[0] <= '9'); /* a line */
        return 0;
    }
    assert(file->n_pairs > 0 && file->n_pairs <= KEY_PAIRS_MAX);
    key_file_print(file, &once);
    key_file_free(&file);
    file = key_file_parse(buf_view(&once), NULL, &why);
    assert(file != NULL);
    key_file_print(file, &twice);
    assert(view_equal(buf_view(&once), buf_view(&twice)));
    key_file_free(&file);
    buf_free(&once);
    buf_free(&twice);
    return 0;
}
