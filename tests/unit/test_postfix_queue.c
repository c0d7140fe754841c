/* SPDX-License-Identifier: ISC */
/*
 * postfix_queue: files as Postfix writes them, edited by milters, cut at
 * every byte, and files that go in circles.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "postfix_queue.h"

struct file {
    struct buf bytes;
    size_t most; /* at a time */
};

static int64_t
read_at(void *arg, uint64_t at, char *to, size_t len)
{
    const struct file *file = arg;

    if (at >= file->bytes.len)
        return 0;
    if (len > file->bytes.len - at)
        len = file->bytes.len - (size_t)at;
    if (len > file->most)
        len = file->most;
    memcpy(to, file->bytes.data + at, len);
    return (int64_t)len;
}

static void
add(struct file *file, char type, struct view data)
{
    size_t len = data.len;

    buf_add_byte(&file->bytes, (uint8_t)type);
    while (len >= 128) {
        buf_add_byte(&file->bytes, (uint8_t)(len & 127) | 128);
        len >>= 7;
    }
    buf_add_byte(&file->bytes, (uint8_t)len);
    buf_add_view(&file->bytes, data);
}

static void
add_place(struct file *file, uint64_t place)
{
    char text[32];

    snprintf(text, sizeof(text), "%15llu", (unsigned long long)place);
    add(file, 'p', view_of(text));
}

/* Everything a file may have. */
static void
make(struct file *file)
{
    static char line[1000];

    memset(line, 'x', sizeof(line));
    file->most = SIZE_MAX;
    add(file, 'C',
        VIEW("            1234             567               2"
             "               0            1234               0"));
    add(file, 'T', VIEW("1764062521 123456"));
    add(file, 'A', VIEW("client_name=unknown"));
    add(file, 'A', VIEW("client_address=192.0.2.1"));
    add(file, 'A', VIEW("helo_name=mx.test"));
    add(file, 'A', VIEW("protocol_name=ESMTP"));
    add(file, 'S', VIEW("anna@client.test"));
    add(file, 'A', VIEW("dsn_orig_rcpt=rfc822;bob@example.com"));
    add(file, 'O', VIEW("Bob@example.com"));
    add(file, 'R', VIEW("bob@example.com"));
    add(file, 'D', VIEW("done@example.com"));
    add_place(file, 0);
    add(file, 'M', VIEW(""));
    add(file, 'N', VIEW("Subject: x"));
    add(file, 'N', VIEW(""));
    add(file, 'L', (struct view){line, sizeof(line)});
    add(file, 'L', (struct view){line, sizeof(line)});
    add(file, 'N', VIEW(" end"));
    add(file, 'w', VIEW("taken out"));
    add(file, 'N', VIEW(".\r"));
    add(file, 'X', VIEW(""));
    add(file, 'R', VIEW("eve@example.com"));
    add(file, 'E', VIEW(""));
}

static int
read_file(struct file *file, struct postfix_envelope *envelope,
          struct buf *content, struct why *why)
{
    struct postfix_reader reader;
    int rc;

    *envelope = (struct postfix_envelope){0};
    postfix_reader_init(&reader, read_at, file, file->bytes.len);
    rc = postfix_envelope_read(&reader, envelope, why);
    if (rc == 0) {
        postfix_content_begin(&reader, envelope);
        while (postfix_content_next(&reader, content, why) == GOT_MORE)
            ;
        assert_int_equal(content->len, envelope->size);
    }
    postfix_reader_free(&reader);
    return rc;
}

static void
check_made(struct file *file)
{
    struct postfix_envelope envelope;
    struct buf content = {0};
    struct why why;

    assert_int_equal(read_file(file, &envelope, &content, &why), 0);
    assert_int_equal(envelope.arrived_ms, 1764062521123);
    assert_true(
        view_equal(buf_view(&envelope.sender), VIEW("anna@client.test")));
    assert_int_equal(envelope.n_recipients, 2);
    assert_int_equal(envelope.n_finished, 1);
    assert_true(view_equal(buf_view(&envelope.recipients),
                           VIEW("bob@example.com\0eve@example.com\0")));
    assert_true(view_equal(buf_view(&envelope.client), VIEW("192.0.2.1")));
    assert_true(view_equal(buf_view(&envelope.helo), VIEW("mx.test")));
    assert_true(view_equal(buf_view(&envelope.protocol), VIEW("ESMTP")));
    assert_int_equal(content.len, 10 + 2 + 2 + 2000 + 4 + 2 + 2 + 2);
    assert_memory_equal(content.data, "Subject: x\r\n\r\nxx", 16);
    assert_memory_equal(content.data + content.len - 9, "end\r\n.\r\r\n", 9);
    postfix_envelope_free(&envelope);
    buf_free(&content);
}

static void
test_a_file(void **state)
{
    struct file file = {0};

    (void)state;
    make(&file);
    check_made(&file);
    file.most = 1;
    check_made(&file);
    buf_free(&file.bytes);
}

static void
test_cut_at_every_byte(void **state)
{
    struct file file = {0};
    size_t whole;

    (void)state;
    make(&file);
    whole = file.bytes.len;
    for (size_t len = 0; len < whole; len++) {
        struct postfix_envelope envelope;
        struct buf content = {0};
        struct why why = {0};

        file.bytes.len = len;
        assert_int_equal(read_file(&file, &envelope, &content, &why), -1);
        assert_true(why.text[0] != '\0');
        postfix_envelope_free(&envelope);
        buf_free(&content);
    }
    buf_free(&file.bytes);
}

/* A milter has put a line elsewhere, and the content goes on behind it. */
static void
test_pointers(void **state)
{
    struct file file = {0};
    struct postfix_envelope envelope;
    struct buf content = {0};
    struct why why;
    size_t pointer, back, elsewhere;

    (void)state;
    file.most = SIZE_MAX;
    add(&file, 'T', VIEW("1764062521"));
    add(&file, 'S', VIEW(""));
    add(&file, 'R', VIEW("bob@example.com"));
    add(&file, 'M', VIEW(""));
    pointer = file.bytes.len;
    add_place(&file, 999);
    back = file.bytes.len;
    add(&file, 'N', VIEW("second"));
    add(&file, 'X', VIEW(""));
    add(&file, 'E', VIEW(""));
    elsewhere = file.bytes.len;
    add(&file, 'N', VIEW("first"));
    add_place(&file, back);
    snprintf(file.bytes.data + pointer + 2, 16, "%15zu", elsewhere);
    file.bytes.data[pointer + 17] = 'N';
    assert_int_equal(read_file(&file, &envelope, &content, &why), 0);
    assert_true(view_equal(buf_view(&content), VIEW("first\r\nsecond\r\n")));
    assert_int_equal(envelope.arrived_ms, 1764062521000);
    postfix_envelope_free(&envelope);

    /* Now in a circle. */
    snprintf(file.bytes.data + pointer + 2, 16, "%15zu", pointer);
    file.bytes.data[pointer + 17] = 'N';
    assert_int_equal(read_file(&file, &envelope, &content, &why), -1);
    assert_non_null(strstr(why.text, "circle"));
    postfix_envelope_free(&envelope);
    buf_free(&content);
    buf_free(&file.bytes);
}

static const struct {
    char type;
    struct view data;
    const char *why;
} odd[] = {
    {'T', VIEW("soon"), "an odd time"},
    {'S', VIEW("a\0b"), "an odd sender"},
    {'R', VIEW(""), "an odd recipient"},
    {'R', VIEW("a\0b"), "an odd recipient"},
    {'p', VIEW("123456"), "a pointer to nowhere"},
    {'p', VIEW("x"), "a pointer to nowhere"},
    {'E', VIEW(""), "an end without content"},
};

static void
test_odd_records(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        struct file file = {.most = SIZE_MAX};
        struct postfix_envelope envelope;
        struct buf content = {0};
        struct why why;

        add(&file, odd[i].type, odd[i].data);
        make(&file);
        assert_int_equal(read_file(&file, &envelope, &content, &why), -1);
        assert_non_null(strstr(why.text, odd[i].why));
        postfix_envelope_free(&envelope);
        buf_free(&content);
        buf_free(&file.bytes);
    }
}

static void
test_too_many_recipients(void **state)
{
    struct file file = {.most = SIZE_MAX};
    struct postfix_envelope envelope;
    struct buf content = {0};
    struct why why;

    (void)state;
    for (size_t i = 0; i <= POSTFIX_RECIPIENTS_MAX; i++)
        add(&file, 'R', VIEW("bob@example.com"));
    make(&file);
    assert_int_equal(read_file(&file, &envelope, &content, &why), -1);
    assert_non_null(strstr(why.text, "too many recipients"));
    postfix_envelope_free(&envelope);
    buf_free(&content);
    buf_free(&file.bytes);
}

static void
test_names(void **state)
{
    (void)state;
    assert_true(postfix_is_queue_id(VIEW("3F4A21B2C3")));
    assert_true(postfix_is_queue_id(VIEW("4Zx8Ql1wz9zFpqP")));
    assert_false(postfix_is_queue_id(VIEW("abc")));
    assert_false(postfix_is_queue_id(VIEW("3F4A21B2C3.tmp")));
    assert_false(postfix_is_queue_id(VIEW("A/B4A21B2C3")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_odd_records),
        cmocka_unit_test(test_too_many_recipients),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests_name("postfix_queue", tests, NULL, NULL);
}
