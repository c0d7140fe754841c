/* SPDX-License-Identifier: ISC */
/*
 * addr: paths and mailboxes, good and bad, as one table each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "addr.h"
#include "buf.h"

static void
assert_view(struct view have, const char *want)
{
    assert_int_equal(have.len, strlen(want));
    assert_memory_equal(have.data, want, have.len);
}

/* Parsing works on an exact copy, so that a sanitizer sees an overrun. */
static int
parse_path(const char *path, struct addr *addr, struct buf *copy, size_t *rest)
{
    struct view text;
    int rc;

    buf_free(copy);
    buf_add_text(copy, path);
    text = buf_view(copy);
    rc = addr_parse_path(&text, addr, NULL);
    *rest = text.len;
    return rc;
}

static const struct {
    const char *path, *text, *local, *domain;
    enum addr_kind kind;
    bool is_literal, is_utf8;
} good[] = {
    {"<>", "", "", "", ADDR_NULL, false, false},
    {"<Postmaster>", "Postmaster", "Postmaster", "", ADDR_POSTMASTER, false,
     false},
    {"<pOSTMASTER>", "pOSTMASTER", "pOSTMASTER", "", ADDR_POSTMASTER, false,
     false},
    {"<a@b.example>", "a@b.example", "a", "b.example", ADDR_MAILBOX, false,
     false},
    {"<postmaster@b>", "postmaster@b", "postmaster", "b", ADDR_MAILBOX, false,
     false},
    {"<@one.example:a@b>", "a@b", "a", "b", ADDR_MAILBOX, false, false},
    {"<@one.example,@[192.0.2.7]:a@b>", "a@b", "a", "b", ADDR_MAILBOX, false,
     false},
    {"<\"a b\\\"@>\"@b>", "\"a b\\\"@>\"@b", "\"a b\\\"@>\"", "b", ADDR_MAILBOX,
     false, false},
    {"<\"\"@b>", "\"\"@b", "\"\"", "b", ADDR_MAILBOX, false, false},
    {"<a@[192.0.2.1]>", "a@[192.0.2.1]", "a", "[192.0.2.1]", ADDR_MAILBOX, true,
     false},
    {"<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", "a",
     "[IPv6:2001:db8::1]", ADDR_MAILBOX, true, false},
    {"<a@[ipv6:::1]>", "a@[ipv6:::1]", "a", "[ipv6:::1]", ADDR_MAILBOX, true,
     false},
    {"<!#$%&'*+-/=?^_`{|}~.0@b>", "!#$%&'*+-/=?^_`{|}~.0@b",
     "!#$%&'*+-/=?^_`{|}~.0", "b", ADDR_MAILBOX, false, false},
    {"<.a..b.@b>", ".a..b.@b", ".a..b.", "b", ADDR_MAILBOX, false, false},
    {"<a@my_host.b-c.d1>", "a@my_host.b-c.d1", "a", "my_host.b-c.d1",
     ADDR_MAILBOX, false, false},
    {"<\xc3\xa4@b\xc3\xbc.example>", "\xc3\xa4@b\xc3\xbc.example", "\xc3\xa4",
     "b\xc3\xbc.example", ADDR_MAILBOX, false, true},
    {"<\"\xf0\x9f\x93\xac\"@b>", "\"\xf0\x9f\x93\xac\"@b",
     "\"\xf0\x9f\x93\xac\"", "b", ADDR_MAILBOX, false, true},
};

static void
test_good_paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct buf copy = {0};
        struct addr addr;
        size_t rest;

        assert_int_equal(parse_path(good[i].path, &addr, &copy, &rest), 0);
        assert_int_equal(rest, 0);
        assert_int_equal(addr.kind, good[i].kind);
        assert_view(addr.text, good[i].text);
        assert_view(addr.local, good[i].local);
        assert_view(addr.domain, good[i].domain);
        assert_int_equal(addr.is_literal, good[i].is_literal);
        assert_int_equal(addr.is_utf8, good[i].is_utf8);
        if (addr.kind == ADDR_MAILBOX) {
            struct addr again;

            assert_int_equal(addr_parse_mailbox(addr.text, &again, NULL), 0);
            assert_view(again.domain, good[i].domain);
        }
        buf_free(&copy);
    }
}

static const char *const bad[] = {
    "",
    "a@b",
    "<",
    "< a@b>",
    "<a@b",
    "<a@b >",
    "<a@>",
    "<@b>",
    "<a>",
    "<a@b@c>",
    "<a b@c>",
    "<(x)a@b>",
    "<a@b,c@d>",
    "<\"a@b>",
    "<\"a\"b@c>",
    "<a\"b\"@c>",
    "<\"a\\",
    "<\"a\rb\"@c>",
    "<\"a\\\xc3\xa4\"@c>",
    "<a\\@b@c>",
    "<a@.b>",
    "<a@b.>",
    "<a@b..c>",
    "<a@-b>",
    "<a@b-.c>",
    "<a@b/c>",
    "<a@[>",
    "<a@[]>",
    "<a@[192.0.2]>",
    "<a@[192.0.2.256]>",
    "<a@[IPv6:192.0.2.1]>",
    "<a@[IPv6:]>",
    "<a@[2001:db8::1]>",
    "<a@[x:y]>",
    "<a@[192.0.2.1]x>",
    "<@a,b:c@d>",
    "<@a b@c>",
    "<@a:>",
    "<@a,:b@c>",
    "<postmaster@>",
    "<postmasters>",
    "<\x80@b>",
    "<\xc3@b>",
    "<\xc0\xaf@b>",
    "<\xed\xa0\x80@b>",
    "<\xf4\x90\x80\x80@b>",
    "<a@\xe2\x82>",
};

static void
test_bad_paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf copy = {0};
        struct addr addr;
        size_t rest;

        if (parse_path(bad[i], &addr, &copy, &rest) == 0)
            fail_msg("accepted: %s", bad[i]);
        buf_free(&copy);
    }
}

/* A path of these lengths, wrapped around the limits. */
static int
parse_lengths(size_t local, size_t label, size_t labels)
{
    struct buf path = {0};
    struct view text;
    struct addr addr;
    int rc;

    buf_add_byte(&path, '<');
    for (size_t i = 0; i < local; i++)
        buf_add_byte(&path, 'l');
    for (size_t i = 0; i < labels; i++) {
        buf_add_byte(&path, i == 0 ? '@' : '.');
        for (size_t k = 0; k < label; k++)
            buf_add_byte(&path, 'd');
    }
    buf_add_byte(&path, '>');
    text = buf_view(&path);
    rc = addr_parse_path(&text, &addr, NULL);
    buf_free(&path);
    return rc;
}

static void
test_lengths(void **state)
{
    (void)state;
    assert_int_equal(parse_lengths(64, 63, 4), 0); /* 64 and 255: RFC 5321 */
    assert_int_equal(parse_lengths(ADDR_LOCAL_MAX, 63, 4), 0);
    assert_int_equal(parse_lengths(ADDR_LOCAL_MAX + 1, 1, 1), -1);
    assert_int_equal(parse_lengths(1, 64, 1), -1);
    assert_int_equal(parse_lengths(1, 1, 128), 0);
    assert_int_equal(parse_lengths(1, 1, 129), -1);
}

static void
test_rest_follows_path(void **state)
{
    struct view text = VIEW("<a@b> SIZE=1");
    struct addr addr;

    (void)state;
    assert_int_equal(addr_parse_path(&text, &addr, NULL), 0);
    assert_view(text, " SIZE=1");
    assert_int_equal(addr_parse_mailbox(VIEW("a@b "), &addr, NULL), -1);
    assert_int_equal(addr_parse_mailbox(VIEW(""), &addr, NULL), -1);
}

static void
test_reason_is_given(void **state)
{
    struct view text = VIEW("<a b@c>");
    struct addr addr;
    struct why why;

    (void)state;
    assert_int_equal(addr_parse_path(&text, &addr, &why), -1);
    assert_int_equal(why.code, 501);
    assert_string_equal(why.text, "\"@\" and a domain expected");
}

static void
test_unquote(void **state)
{
    static const struct {
        const char *local, *plain;
    } rows[] = {
        {"a", "a"},
        {"\"a\"", "a"},
        {"\"\"", ""},
        {"\"a b\"", "a b"},
        {"\"a\\\"\\\\b\"", "a\"\\b"},
        {"a.b+c", "a.b+c"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[64];
        size_t len = addr_unquote(view_of(rows[i].local), out);

        assert_view((struct view){out, len}, rows[i].plain);
    }
}

static void
test_routed(void **state)
{
    static const struct {
        const char *mailbox;
        bool routed;
    } rows[] = {
        {"a@b", false},        {"a%c@b", true},      {"c!a@b", true},
        {"\"a@c\"@b", true},   {"\"a c\"@b", false}, {"\"a%c\"@b", true},
        {"\"a\\@c\"@b", true}, {"a+b=c@d", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct addr addr;

        assert_int_equal(
            addr_parse_mailbox(view_of(rows[i].mailbox), &addr, NULL), 0);
        assert_int_equal(addr_is_routed(&addr), rows[i].routed);
    }
    assert_false(addr_is_routed(&(struct addr){.kind = ADDR_NULL}));
}

static void
test_domain(void **state)
{
    char out[16];

    (void)state;
    assert_true(addr_is_domain(VIEW("mx.example.com")));
    assert_true(addr_is_domain(VIEW("[192.0.2.1]")));
    assert_false(addr_is_domain(VIEW("")));
    assert_false(addr_is_domain(VIEW("a b")));
    assert_false(addr_is_domain(VIEW("[192.0.2.1].example")));
    addr_lower(VIEW("MiXed.\xc3\x84Z"), out);
    assert_memory_equal(out, "mixed.\xc3\x84z", 9);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_paths),
        cmocka_unit_test(test_bad_paths),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_rest_follows_path),
        cmocka_unit_test(test_reason_is_given),
        cmocka_unit_test(test_unquote),
        cmocka_unit_test(test_routed),
        cmocka_unit_test(test_domain),
    };

    return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
