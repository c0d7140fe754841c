/* SPDX-License-Identifier: ISC */
/* Queue files: whatever is in them, what is taken lies within them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../../spoolctl/import_postfix.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

static void
within(struct view file, struct view part)
{
    assert(part.len == 0 || (part.data >= file.data &&
                             part.data + part.len <= file.data + file.len));
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
    struct view file = {(const char *)data, len};
    struct postfix_message message;
    struct why why = {0};
    int rc = postfix_parse(file, &message, &why);

    within(file, message.sender);
    within(file, message.client);
    within(file, message.helo);
    within(file, message.protocol);
    assert(message.n_recipients <= POSTFIX_RECIPIENTS_MAX);
    for (size_t i = 0; i < message.n_recipients; i++) {
        within(file, message.recipients[i]);
        assert(message.recipients[i].len > 0);
    }
    assert((rc == 0) == (why.text[0] == '\0'));
    if (rc == 0)
        assert(message.n_recipients > 0 && message.content.len > 0);
    postfix_free(&message);
    return 0;
}
