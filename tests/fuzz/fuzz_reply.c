/* SPDX-License-Identifier: ISC */
/*
 * Replies of a hostile server. Cut in two steps or one the result is the
 * same, what is kept is printable, and the limits hold.
 */
#include "smtp_reply.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_reply(const struct smtp_reply *reply)
{
    struct buf print = {0};
    struct smtp_offers offers;
    struct view line, enhanced;
    size_t at = 0, lines = 0;

    assert(reply->code >= 200 && reply->code <= 599);
    while (smtp_reply_line(reply, &at, &line)) {
        lines++;
        assert(line.len + 6 <= SMTP_REPLY_LINE_MAX + 2);
        for (size_t i = 0; i < line.len; i++)
            assert(line.data[i] >= ' ' && line.data[i] <= '~');
    }
    assert(lines == reply->n_lines && lines <= SMTP_REPLY_LINES_MAX);
    smtp_reply_print(reply, &print);
    assert(print.len <= SMTP_REPLY_PRINT_MAX);
    enhanced = smtp_reply_enhanced(reply->code, buf_view(&print));
    assert(enhanced.len <= 9);
    smtp_offers_read(reply, &offers);
    assert(offers.mail_max < 1000000 && offers.rcpt_max < 1000000 &&
           offers.rcpt_domain_max < 1000000);
    buf_free(&print);
}

/* All replies in the input; their codes added up, and how it ended. */
static uint64_t
run(struct view input, size_t first, enum got *end)
{
    struct smtp_reply reply = {0};
    struct why why;
    size_t taken, from = 0, to = first;
    uint64_t sum = 0;

    for (;;) {
        *end = smtp_reply_take(
            &reply, (struct view){input.data + from, to - from}, &taken, &why);
        from += taken;
        assert(from <= to);
        if (*end == GOT_ONE) {
            check_reply(&reply);
            sum = sum * 31 + (unsigned)reply.code + reply.text.len;
        } else if (*end == GOT_MORE && to < input.len) {
            to = input.len;
        } else {
            break;
        }
    }
    smtp_reply_free(&reply);
    return sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view input;
    enum got whole, parts;
    size_t cut;

    if (size == 0)
        return 0;
    cut = data[0];
    input = (struct view){(const char *)data + 1, size - 1};
    if (cut > input.len)
        cut = input.len;
    if (run(input, input.len, &whole) != run(input, cut, &parts))
        abort();
    assert(whole == parts);
    return 0;
}
