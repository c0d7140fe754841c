/* SPDX-License-Identifier: ISC */
/*
 * mime_addr: address lists of people and of others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf.h"
#include "mime_addr.h"

static void
add(struct buf *out, struct view text, const char *after)
{
    if (text.data != NULL)
        buf_add_view(out, text);
    else
        buf_add_byte(out, '-');
    buf_add_text(out, after);
}

static void
dump(void *arg, const struct mime_addr *addr)
{
    struct buf *out = arg;

    if (addr->kind == MIME_ADDR_GROUP)
        buf_add_byte(out, '{');
    if (addr->kind == MIME_ADDR_GROUP_END) {
        assert_null(addr->mailbox.data);
        buf_add_byte(out, '}');
        return;
    }
    add(out, addr->name, "|");
    add(out, addr->route, "|");
    add(out, addr->mailbox, "|");
    add(out, addr->host, "\n");
}

/* name|route|mailbox|host; - is absent. */
static const struct {
    const char *value, *list;
} cases[] = {
    {"", ""},
    {" , ,,\t", ""},
    {"a@b", "-|-|a|b\n"},
    {"a@b, c@d", "-|-|a|b\n-|-|c|d\n"},
    {"a.b@c.d", "-|-|a.b|c.d\n"},
    {" a . b @ c . d ", "-|-|a.b|c.d\n"},
    {"<a@b>", "-|-|a|b\n"},
    {"Jane <a@b>", "Jane|-|a|b\n"},
    {"Jane  Q.   Doe <a@b>", "Jane Q. Doe|-|a|b\n"},
    {"J.R. <a@b>", "J.R.|-|a|b\n"},
    {"\"Doe, Jane\" <a@b>", "Doe, Jane|-|a|b\n"},
    {"\"a \\\"b\\\" \\\\c\" <a@b>", "a \"b\" \\c|-|a|b\n"},
    {"\"\" <a@b>", "-|-|a|b\n"},
    {"\"a\"\"b\" c <a@b>", "ab c|-|a|b\n"},
    {"=?utf-8?q?J=C3=A9?= <a@b>", "=?utf-8?q?J=C3=A9?=|-|a|b\n"},
    {"J\xc3\xa9 <\xc3\xa9@b>", "J\xc3\xa9|-|\xc3\xa9|b\n"},
    {"a@b <a@b>", "a@b|-|a|b\n"},
    /* Comments. */
    {"a@b (Jane)", "Jane|-|a|b\n"},
    {"a@b (Jane (Q) Doe)", "Jane (Q) Doe|-|a|b\n"},
    {"a@b (Ja\\)ne) (Doe)", "Doe|-|a|b\n"},
    {"(x) a (y) @ (z) b", "z|-|a|b\n"},
    {"Jane (x) Doe <a@b> (y)", "Jane Doe|-|a|b\n"},
    {"a@b ()", "-|-|a|b\n"},
    {"(only)", ""},
    {"a@b (open", "open|-|a|b\n"},
    /* Quoted mailboxes, literals. */
    {"\"a b\"@c", "-|-|a b|c\n"},
    {"\"a\".b@c", "-|-|a.b|c\n"},
    {"a@[192.0.2.1]", "-|-|a|[192.0.2.1]\n"},
    {"a@[IPv6:2001:db8::1], b@c", "-|-|a|[IPv6:2001:db8::1]\n-|-|b|c\n"},
    {"a@[x\\]y]", "-|-|a|[x\\]y]\n"},
    /* Routes. */
    {"<@x:a@b>", "-|@x|a|b\n"},
    {"J <@x,@y:a@b>, c@d", "J|@x,@y|a|b\n-|-|c|d\n"},
    /* Groups. */
    {"x:;", "{-|-|x|-\n}"},
    {"undisclosed recipients:;", "{-|-|undisclosed recipients|-\n}"},
    {"x: a@b, J <c@d>; e@f", "{-|-|x|-\n-|-|a|b\nJ|-|c|d\n}-|-|e|f\n"},
    {"x: a@b", "{-|-|x|-\n-|-|a|b\n}"},
    {"x: y: a@b;", "{-|-|x|-\n-|-|y: a|b\n}"},
    {":;", "{-|-||-\n}"},
    {"\"x y\": a@b;, c@d", "{-|-|x y|-\n-|-|a|b\n}-|-|c|d\n"},
    {"a@b; c@d", "-|-|a|b\n-|-|c|d\n"},
    /* What lacks a half. */
    {"a", "-|-|a|MISSING_DOMAIN\n"},
    {"<a>", "-|-|a|MISSING_DOMAIN\n"},
    {"Jane <a>", "Jane|-|a|MISSING_DOMAIN\n"},
    {"@b", "-|-|MISSING_MAILBOX|b\n"},
    {"<@b>", "-|@b|MISSING_MAILBOX|MISSING_DOMAIN\n"},
    {"<>", "-|-|MISSING_MAILBOX|MISSING_DOMAIN\n"},
    {"Jane Doe", "Jane Doe|-|MISSING_MAILBOX|MISSING_DOMAIN\n"},
    {"Jane Doe, a@b", "Jane Doe|-|MISSING_MAILBOX|MISSING_DOMAIN\n-|-|a|b\n"},
    {"a@", "-|-|a|MISSING_DOMAIN\n"},
    /* What is no address any more. */
    {"a@b c", "-|-|a|b\n"},
    {"a@b <", "a@b|-|MISSING_MAILBOX|MISSING_DOMAIN\n"},
    {"J <a@b", "J|-|a|b\n"},
    {"J <a@b, c@d", "J|-|a|b\n-|-|c|d\n"},
    {"J <a@b> x <c@d>, e@f", "J|-|a|b\n-|-|e|f\n"},
    {"a@b@c", "-|-|a|b\n"},
    {"<Undisclosed:;@b>", "-|-|Undisclosed:;|b\n"},
    {"<a b@c>", "-|-|a b|c\n"},
    {"\"open", "-|-|open|MISSING_DOMAIN\n"},
    {"a@[open", "-|-|a|[open\n"},
    {">", ""},
    {"\\", "-|-|\\|MISSING_DOMAIN\n"},
};

static void
test_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out = {0};

        mime_addr_parse(view_of(cases[i].value), dump, &out);
        if (!view_equal(buf_view(&out), view_of(cases[i].list)))
            fail_msg("%s: %.*s", cases[i].value, (int)out.len,
                     out.len > 0 ? out.data : "");
        buf_free(&out);
    }
}

struct tally {
    size_t mailboxes, begins, ends;
};

static void
count(void *arg, const struct mime_addr *addr)
{
    struct tally *tally = arg;

    tally->mailboxes += addr->kind == MIME_ADDR_MAILBOX;
    tally->begins += addr->kind == MIME_ADDR_GROUP;
    tally->ends += addr->kind == MIME_ADDR_GROUP_END;
}

/* Each is repeated to a megabyte: quadratic time would not come back. */
static void
test_hostile(void **state)
{
    static const char *const parts[] = {
        "(",  "\"", "a:", "a,",   "<",  "a@", "[",  "\\",        "(a)",
        "a ", ".",  ":;", "a:b;", "<@", "@",  "a.", "((((a))))",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct tally tally = {0};
        struct buf value = {0};

        while (value.len < 1000000)
            buf_add_text(&value, parts[i]);
        mime_addr_parse(buf_view(&value), count, &tally);
        assert_true(tally.mailboxes + tally.begins <= MIME_ADDRS_MAX);
        assert_int_equal(tally.begins, tally.ends);
        buf_free(&value);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_hostile),
    };

    return cmocka_run_group_tests_name("mime_addr", tests, NULL, NULL);
}
