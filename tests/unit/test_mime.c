/* SPDX-License-Identifier: ISC */
/*
 * mime: the tree of odd and ordinary messages, cut in every way, and what
 * hostile ones cost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mime.h"

/* --- a tree as text ---------------------------------------------------------
 */

static void
dump_node(const struct mime *mime, uint32_t i, struct view content,
          struct buf *out)
{
    const struct mime_node *node = &mime->nodes[i];
    unsigned depth = 0;

    for (uint32_t up = node->parent; up != MIME_NONE;
         up = mime->nodes[up].parent) {
        assert_true(up < i);
        depth++;
    }
    assert_int_equal(node->body_at, node->header_at + node->header_len);
    assert_true(node->body_at + node->body_len <= content.len);
    buf_addf(out, "%u%c<", depth, "LMR"[node->kind]);
    buf_add(out, content.data + node->header_at, node->header_len);
    buf_add_text(out, ">[");
    buf_add(out, content.data + node->body_at, node->body_len);
    buf_addf(out, "]%llu\n", (unsigned long long)node->lines);
}

static void
dump(const struct mime *mime, struct view content, struct buf *out)
{
    for (uint32_t i = 0; i < mime->n_nodes; i++)
        dump_node(mime, i, content, out);
}

static void
dump_fields(const struct mime *mime, struct buf *out)
{
    for (size_t i = 0; i < mime->n_fields; i++) {
        const struct mime_field *field = &mime->fields[i];

        buf_addf(out, "%d %llu+%llu ", (int)field->name,
                 (unsigned long long)field->at, (unsigned long long)field->len);
        buf_add_view(out, mime_value(mime, field));
        buf_add_byte(out, '\n');
    }
    buf_addf(out, "%zu %d\n", mime->n_nodes, mime->cut);
}

static struct mime *
scan_in_two(struct view content, size_t at)
{
    struct mime_scan *scan = mime_scan_new();

    mime_scan_feed(scan, (struct view){content.data, at});
    mime_scan_feed(scan, view_skip(content, at));
    return mime_scan_end(&scan);
}

static struct mime *
scan_in_pieces(struct view content, size_t piece)
{
    struct mime_scan *scan = mime_scan_new();

    while (content.len > 0) {
        size_t n = piece < content.len ? piece : content.len;

        mime_scan_feed(scan, (struct view){content.data, n});
        content = view_skip(content, n);
    }
    return mime_scan_end(&scan);
}

static void
assert_same(struct mime *mime, struct view content, struct view whole)
{
    struct buf out = {0};

    dump(mime, content, &out);
    dump_fields(mime, &out);
    if (!view_equal(buf_view(&out), whole))
        fail_msg("other tree: %.*s", (int)out.len, out.data);
    buf_free(&out);
    mime_free(&mime);
}

/* --- the rules --------------------------------------------------------------
 */

#define TYPE(type) "Content-Type: " type "\r\n\r\n"
#define MULTI(b)   TYPE("multipart/mixed; boundary=" b)
#define DIGEST     TYPE("multipart/digest; boundary=b")
#define RFC822     TYPE("message/rfc822")
#define NODE(head, header, body, lines)                                        \
    head "<" header ">[" body "]" #lines "\n"
#define LONG100                                                                \
    "0123456789012345678901234567890123456789012345678901234567"               \
    "890123456789012345678901234567890123456789"

static const struct {
    const char *rule, *content, *tree;
} cases[] = {
    {"a plain message", "A: b\r\n\r\nx\r\ny\r\n",
     NODE("0L", "A: b\r\n\r\n", "x\r\ny\r\n", 2)},
    {"nothing at all", "", NODE("0L", "", "", 0)},
    {"no header", "\r\nx", NODE("0L", "\r\n", "x", 0)},
    {"no empty line", "A: b\r\nC: d\r\n",
     NODE("0L", "A: b\r\nC: d\r\n", "", 0)},
    {"a header without its last line end", "A: b\r\nC",
     NODE("0L", "A: b\r\nC", "", 0)},
    {"preamble, parts, epilogue",
     MULTI("b") "p\r\n--b\r\n\r\nx\r\n--b\r\n\r\ny\r\nz\r\n--b--\r\ne\r\n",
     NODE("0M", MULTI("b"),
          "p\r\n--b\r\n\r\nx\r\n--b\r\n\r\ny\r\nz\r\n--b--\r\ne\r\n", 10)
         NODE("1L", "\r\n", "x", 0) NODE("1L", "\r\n", "y\r\nz", 1)},
    {"the line end before a delimiter is its own",
     MULTI("b") "--b\r\n\r\nx\r\n\r\n--b\r\n\r\n\r\n--b\r\n\r\n--b--",
     NODE("0M", MULTI("b"),
          "--b\r\n\r\nx\r\n\r\n--b\r\n\r\n\r\n--b\r\n\r\n--b--", 9)
         NODE("1L", "\r\n", "x\r\n", 1) NODE("1L", "\r\n", "", 0)
             NODE("1L", "\r\n", "", 0)},
    {"no last delimiter", MULTI("b") "--b\r\n\r\nx\r\n",
     NODE("0M", MULTI("b"), "--b\r\n\r\nx\r\n", 3)
         NODE("1L", "\r\n", "x\r\n", 1)},
    {"blanks after a delimiter", MULTI("b") "--b \t\r\n\r\nx\r\n--b-- \r\n",
     NODE("0M", MULTI("b"), "--b \t\r\n\r\nx\r\n--b-- \r\n", 4)
         NODE("1L", "\r\n", "x", 0)},
    {"a boundary is the front of a line", MULTI("b") "--bcd\r\n\r\nx\r\n--b-",
     NODE("0M", MULTI("b"), "--bcd\r\n\r\nx\r\n--b-", 3)
         NODE("1L", "\r\n", "x", 0)},
    {"a delimiter the message ends in opens nothing",
     MULTI("b") "--b\r\n\r\nx\r\n--b",
     NODE("0M", MULTI("b"), "--b\r\n\r\nx\r\n--b", 3)
         NODE("1L", "\r\n", "x", 0)},
    {"but with its line end it does", MULTI("b") "--b\r\n\r\nx\r\n--b\r\n",
     NODE("0M", MULTI("b"), "--b\r\n\r\nx\r\n--b\r\n", 4)
         NODE("1L", "\r\n", "x", 0) NODE("1L", "", "", 0)},
    {"nothing is a delimiter after the last one",
     MULTI("b") "--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\ny\r\n",
     NODE("0M", MULTI("b"), "--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\ny\r\n", 7)
         NODE("1L", "\r\n", "x", 0)},
    {"lines that are none",
     MULTI("b") "--b\r\n\r\n-b\r\n- --b\r\n --b\r\n--\r\n--c\r\nx--b\r\n",
     NODE("0M", MULTI("b"),
          "--b\r\n\r\n-b\r\n- --b\r\n --b\r\n--\r\n--c\r\nx--b\r\n", 8)
         NODE("1L", "\r\n", "-b\r\n- --b\r\n --b\r\n--\r\n--c\r\nx--b\r\n", 6)},
    {"an outer delimiter ends what is inside",
     MULTI("a") "--a\r\n" MULTI("b") "--b\r\n\r\nx\r\n--a\r\n\r\ny\r\n--b\r\n",
     NODE("0M", MULTI("a"),
          "--a\r\n" MULTI("b") "--b\r\n\r\nx\r\n--a\r\n\r\ny\r\n--b\r\n", 10)
         NODE("1M", MULTI("b"), "--b\r\n\r\nx", 2) NODE("2L", "\r\n", "x", 0)
             NODE("1L", "\r\n", "y\r\n--b\r\n", 2)},
    {"an inner end and then an outer delimiter",
     MULTI("a") "--a\r\n" MULTI("b") "--b\r\n\r\nx\r\n--b--\r\n--a--",
     NODE("0M", MULTI("a"),
          "--a\r\n" MULTI("b") "--b\r\n\r\nx\r\n--b--\r\n--a--", 7)
         NODE("1M", MULTI("b"), "--b\r\n\r\nx\r\n--b--", 3)
             NODE("2L", "\r\n", "x", 0)},
    {"the longest boundary wins, inner",
     MULTI("a") "--a\r\n" MULTI("ab") "--ab\r\n\r\nx\r\n--ab\r\n\r\ny\r\n--a--",
     NODE("0M", MULTI("a"),
          "--a\r\n" MULTI("ab") "--ab\r\n\r\nx\r\n--ab\r\n\r\ny\r\n--a--", 9)
         NODE("1M", MULTI("ab"), "--ab\r\n\r\nx\r\n--ab\r\n\r\ny", 5)
             NODE("2L", "\r\n", "x", 0) NODE("2L", "\r\n", "y", 0)},
    {"the longest boundary wins, outer",
     MULTI("ab") "--ab\r\n" MULTI("a") "--a\r\n\r\nx\r\n--abc\r\n\r\ny",
     NODE("0M", MULTI("ab"),
          "--ab\r\n" MULTI("a") "--a\r\n\r\nx\r\n--abc\r\n\r\ny", 8)
         NODE("1M", MULTI("a"), "--a\r\n\r\nx", 2) NODE("2L", "\r\n", "x", 0)
             NODE("1L", "\r\n", "y", 0)},
    {"the same boundary twice is the inner one's",
     MULTI("b") "--b\r\n" MULTI("b") "--b\r\n\r\nx\r\n--b--\r\n--b--\r\n",
     NODE("0M", MULTI("b"),
          "--b\r\n" MULTI("b") "--b\r\n\r\nx\r\n--b--\r\n--b--\r\n", 8)
         NODE("1M", MULTI("b"), "--b\r\n\r\nx\r\n--b--", 3)
             NODE("2L", "\r\n", "x", 0)},
    {"a boundary that ends in --", MULTI("b--") "--b--\r\n\r\nx\r\n--b----\r\n",
     NODE("0M", MULTI("b--"), "--b--\r\n\r\nx\r\n--b----\r\n", 4)
         NODE("1L", "\r\n", "x", 0)},
    {"the end of the inner, not the outer's of that name",
     MULTI("b--") "--b--\r\n" MULTI("b") "--b\r\n\r\nx\r\n--b--\r\ny",
     NODE("0M", MULTI("b--"),
          "--b--\r\n" MULTI("b") "--b\r\n\r\nx\r\n--b--\r\ny", 7)
         NODE("1M", MULTI("b"), "--b\r\n\r\nx\r\n--b--\r\ny", 4)
             NODE("2L", "\r\n", "x", 0)},
    {"a delimiter ends a header",
     MULTI("b") "--b\r\nA: b\r\n--b\r\n\r\nx\r\n--b--\r\n",
     NODE("0M", MULTI("b"), "--b\r\nA: b\r\n--b\r\n\r\nx\r\n--b--\r\n", 6)
         NODE("1L", "A: b\r\n", "", 0) NODE("1L", "\r\n", "x", 0)},
    {"and what would be in it is empty",
     MULTI("b") "--b\r\nContent-Type: message/rfc822\r\n--b\r\n"
                "Content-Type: multipart/mixed; boundary=c\r\n--b--\r\n",
     NODE("0M", MULTI("b"),
          "--b\r\nContent-Type: message/rfc822\r\n--b\r\n"
          "Content-Type: multipart/mixed; boundary=c\r\n--b--\r\n",
          5) NODE("1R", "Content-Type: message/rfc822\r\n", "",
                  0) NODE("2L", "", "", 0)
         NODE("1M", "Content-Type: multipart/mixed; boundary=c\r\n", "", 0)},
    {"a header line that begins with a dash",
     MULTI("b") "--b\r\n-A: b\r\n--x: y\r\n\r\nz\r\n--b--\r\n",
     NODE("0M", MULTI("b"), "--b\r\n-A: b\r\n--x: y\r\n\r\nz\r\n--b--\r\n", 6)
         NODE("1L", "-A: b\r\n--x: y\r\n\r\n", "z", 0)},
    {"the first Content-Type counts",
     "Content-Type: text/plain\r\n" MULTI("b") "--b\r\n\r\nx\r\n",
     NODE("0L", "Content-Type: text/plain\r\n" MULTI("b"), "--b\r\n\r\nx\r\n",
          3)},
    {"no boundary", TYPE("multipart/mixed") "--b\r\n\r\nx\r\n",
     NODE("0L", TYPE("multipart/mixed"), "--b\r\n\r\nx\r\n", 3)},
    {"an empty boundary", TYPE("multipart/mixed; boundary=\"\"") "--\r\n\r\nx",
     NODE("0L", TYPE("multipart/mixed; boundary=\"\""), "--\r\n\r\nx", 2)},
    {"no part", MULTI("b") "x\r\n", NODE("0M", MULTI("b"), "x\r\n", 1)},
    {"only an end", MULTI("b") "--b--\r\n",
     NODE("0M", MULTI("b"), "--b--\r\n", 1)},
    {"a boundary in quotes, folded",
     "Content-Type: multipart/mixed;\r\n\tboundary=\"b c\"\r\n\r\n--b c\r\n\r\n"
     "x\r\n--b c--\r\n",
     NODE("0M", "Content-Type: multipart/mixed;\r\n\tboundary=\"b c\"\r\n\r\n",
          "--b c\r\n\r\nx\r\n--b c--\r\n", 4) NODE("1L", "\r\n", "x", 0)},
    {"a boundary in sections",
     TYPE("multipart/mixed; boundary*0=b; boundary*1=c") "--bc\r\n\r\nx",
     NODE("0M", TYPE("multipart/mixed; boundary*0=b; boundary*1=c"),
          "--bc\r\n\r\nx", 2) NODE("1L", "\r\n", "x", 0)},
    {"comments and blanks in a type",
     TYPE("(a) multipart (b(c)) / mixed (d) ; boundary = b") "--b\r\n\r\nx",
     NODE("0M", TYPE("(a) multipart (b(c)) / mixed (d) ; boundary = b"),
          "--b\r\n\r\nx", 2) NODE("1L", "\r\n", "x", 0)},
    {"names in any case, with a blank before the colon",
     "CONTENT-type : Multipart/Mixed; BOUNDARY=b\r\n\r\n--b\r\n\r\nx",
     NODE("0M", "CONTENT-type : Multipart/Mixed; BOUNDARY=b\r\n\r\n",
          "--b\r\n\r\nx", 2) NODE("1L", "\r\n", "x", 0)},
    {"a digest's parts are messages",
     DIGEST
     "--b\r\n\r\nA: b\r\n\r\nx\r\n--b\r\n" TYPE("text/plain") "y\r\n--b--",
     NODE("0M", DIGEST,
          "--b\r\n\r\nA: b\r\n\r\nx\r\n--b\r\n" TYPE("text/plain") "y\r\n--b--",
          9) NODE("1R", "\r\n", "A: b\r\n\r\nx", 2)
         NODE("2L", "A: b\r\n\r\n", "x", 0)
             NODE("1L", TYPE("text/plain"), "y", 0)},
    {"a message in a message", RFC822 RFC822 "A: b\r\n\r\nx\r\n",
     NODE("0R", RFC822, RFC822 "A: b\r\n\r\nx\r\n", 5)
         NODE("1R", RFC822, "A: b\r\n\r\nx\r\n", 3)
             NODE("2L", "A: b\r\n\r\n", "x\r\n", 1)},
    {"a multipart in a message in a part",
     MULTI("a") "--a\r\n" RFC822 MULTI("b") "--b\r\n\r\nx\r\n--b--\r\n--a--",
     NODE("0M", MULTI("a"),
          "--a\r\n" RFC822 MULTI("b") "--b\r\n\r\nx\r\n--b--\r\n--a--", 9)
         NODE("1R", RFC822, MULTI("b") "--b\r\n\r\nx\r\n--b--", 5)
             NODE("2M", MULTI("b"), "--b\r\n\r\nx\r\n--b--", 3)
                 NODE("3L", "\r\n", "x", 0)},
    {"a message in base64 is none",
     "Content-Transfer-Encoding: base64\r\n" RFC822 "QTogYg==\r\n",
     NODE("0L", "Content-Transfer-Encoding: base64\r\n" RFC822, "QTogYg==\r\n",
          1)},
    {"a multipart in base64 is one",
     "Content-Transfer-Encoding: base64\r\n" MULTI("b") "--b\r\n\r\nx",
     NODE("0M", "Content-Transfer-Encoding: base64\r\n" MULTI("b"),
          "--b\r\n\r\nx", 2) NODE("1L", "\r\n", "x", 0)},
    {"other messages are leaves", TYPE("message/delivery-status") "A: b\r\n",
     NODE("0L", TYPE("message/delivery-status"), "A: b\r\n", 1)},
    {"a line without a colon is stepped over",
     "From x Mon\r\nbad\r\n more\r\n" MULTI("b") "--b\r\n\r\nx",
     NODE("0M", "From x Mon\r\nbad\r\n more\r\n" MULTI("b"), "--b\r\n\r\nx", 2)
         NODE("1L", "\r\n", "x", 0)},
    {"a header begins with a continuation",
     " a: b\r\n" MULTI("b") "--b\r\n\r\nx",
     NODE("0M", " a: b\r\n" MULTI("b"), "--b\r\n\r\nx", 2)
         NODE("1L", "\r\n", "x", 0)},
    {"bare LF",
     "Content-Type: multipart/mixed;\n boundary=b\n\np\n--b\n\nx\n--b--\n",
     NODE("0M", "Content-Type: multipart/mixed;\n boundary=b\n\n",
          "p\n--b\n\nx\n--b--\n", 5) NODE("1L", "\n", "x", 0)},
    {"CR CR LF", "A: b\r\r\n\r\r\nC: d\r\r\n\r\nx\r\r\n",
     NODE("0L", "A: b\r\r\n\r\r\nC: d\r\r\n\r\n", "x\r\r\n", 1)},
    {"CR before a delimiter", MULTI("b") "--b\r\n\r\nx\r\r\n--b\r--b\r\n\r\ny",
     NODE("0M", MULTI("b"), "--b\r\n\r\nx\r\r\n--b\r--b\r\n\r\ny", 5)
         NODE("1L", "\r\n", "x\r", 0) NODE("1L", "\r\n", "y", 0)},
    {"a line of dashes longer than any boundary",
     MULTI("b") "--b\r\n\r\n--" LONG100 LONG100 LONG100 LONG100 LONG100 LONG100
         LONG100 LONG100 LONG100 LONG100 LONG100 "\r\n--b--",
     NODE("0M", MULTI("b"),
          "--b\r\n\r\n--" LONG100 LONG100 LONG100 LONG100 LONG100 LONG100
              LONG100 LONG100 LONG100 LONG100 LONG100 "\r\n--b--",
          3) NODE("1L", "\r\n",
                  "--" LONG100 LONG100 LONG100 LONG100 LONG100 LONG100 LONG100
                      LONG100 LONG100 LONG100 LONG100,
                  0)},
};

static void
test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct view content = view_of(cases[i].content);
        struct mime *mime = mime_scan_whole(content);
        struct buf out = {0};

        dump(mime, content, &out);
        if (!view_equal(buf_view(&out), view_of(cases[i].tree)))
            fail_msg("%s:\n%.*s\nnot\n%s", cases[i].rule, (int)out.len,
                     out.data, cases[i].tree);
        assert_false(mime->cut);
        dump_fields(mime, &out);
        mime_free(&mime);
        for (size_t n = 1; n < 64 && n <= content.len; n++)
            assert_same(scan_in_pieces(content, n), content, buf_view(&out));
        for (size_t at = 0; at <= content.len; at++)
            assert_same(scan_in_two(content, at), content, buf_view(&out));
        buf_free(&out);
    }
}

/* --- fields -----------------------------------------------------------------
 */

static const struct {
    const char *header;
    enum mime_field_name name;
    const char *value; /* NULL: none */
} fields[] = {
    {"Subject: a\r\n", MIME_SUBJECT, "a"},
    {"subject:a\r\n", MIME_SUBJECT, "a"},
    {"Subject \t:  a \t\r\n", MIME_SUBJECT, "a"},
    {"Subject:\r\n", MIME_SUBJECT, ""},
    {"Subject: \r\n \r\n", MIME_SUBJECT, ""},
    {"Subject", MIME_SUBJECT, NULL},
    {"Subject: a", MIME_SUBJECT, "a"},
    {"Subject: a\r", MIME_SUBJECT, "a\r"},
    {"XSubject: a\r\n", MIME_SUBJECT, NULL},
    {"Subjectx: a\r\n", MIME_SUBJECT, NULL},
    {"Subject: a\r\n b\r\n\tc\r\n", MIME_SUBJECT, "a b\tc"},
    {"Subject:\r\n  a\r\n", MIME_SUBJECT, "a"},
    {"Subject: a\r\n\r\n b\r\n", MIME_SUBJECT, "a"},
    {"Subject: a\n b\n", MIME_SUBJECT, "a b"},
    {"Subject: a\r\r\n b\r\n", MIME_SUBJECT, "a\r b"},
    {"Subject: a: b\r\n", MIME_SUBJECT, "a: b"},
    {"Subject: \xc3\xa9\xff\r\n", MIME_SUBJECT, "\xc3\xa9\xff"},
    {"Subject: a\r\nSubject: b\r\n", MIME_SUBJECT, "a"},
    {"From: a\r\nX: y\r\nFrom: b\r\n", MIME_FROM, "a"},
    {"X: y\r\n Subject: a\r\n", MIME_SUBJECT, NULL},
    {"bad line\r\n Subject: a\r\nSubject: b\r\n", MIME_SUBJECT, "b"},
    {"MIME-Version: 1.0\r\n", MIME_VERSION, "1.0"},
    {"Content-Transfer-Encoding: base64\r\n", MIME_CONTENT_TRANSFER_ENCODING,
     "base64"},
    {"Message-Id: <a@b>\r\n", MIME_MESSAGE_ID, "<a@b>"},
};

static void
test_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        struct view content = view_of(fields[i].header);

        for (size_t n = 1; n <= content.len; n++) {
            struct mime *mime = scan_in_pieces(content, n);
            const struct mime_field *field =
                mime_find(mime, &mime->nodes[0], fields[i].name);

            assert_int_equal(field != NULL, fields[i].value != NULL);
            if (field != NULL &&
                !view_equal(mime_value(mime, field), view_of(fields[i].value)))
                fail_msg("%s: \"%.*s\"", fields[i].header,
                         (int)field->value_len, mime_value(mime, field).data);
            mime_free(&mime);
        }
    }
}

/* Addresses of all fields of a name count, and only those of messages. */
static void
test_which_fields_are_kept(void **state)
{
    struct view content =
        VIEW("To: a\r\nTo: b\r\n" MULTI("b") "--b\r\nTo: c\r\nContent-ID: d\r\n"
                                             "\r\nx\r\n--b\r\n" RFC822
                                             "To: e\r\n\r\n");
    struct mime *mime = mime_scan_whole(content);
    struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < mime->n_nodes; i++)
        for (size_t k = 0; k < mime->nodes[i].n_fields; k++) {
            const struct mime_field *field =
                &mime->fields[mime->nodes[i].first_field + k];

            buf_addf(&out, "%zu", i);
            buf_add(&out, content.data + field->at, field->len);
        }
    assert_true(view_equal(
        buf_view(&out),
        VIEW("0To: a\r\n0To: b\r\n"
             "0Content-Type: multipart/mixed; boundary=b\r\n1Content-ID: d\r\n"
             "2Content-Type: message/rfc822\r\n3To: e\r\n")));
    assert_null(mime_value(mime, NULL).data);
    buf_free(&out);
    mime_free(&mime);
}

/* --- limits -----------------------------------------------------------------
 */

static struct mime *
scan_repeated(const char *before, const char *each, size_t n)
{
    struct mime_scan *scan = mime_scan_new();

    mime_scan_feed(scan, view_of(before));
    for (size_t i = 0; i < n; i++)
        mime_scan_feed(scan, view_of(each));
    return mime_scan_end(&scan);
}

static void
test_deep(void **state)
{
    struct mime_scan *scan = mime_scan_new();
    struct mime *mime;
    struct buf part = {0};

    (void)state;
    for (int i = 0; i < 10000; i++) {
        buf_reset(&part);
        buf_addf(&part,
                 "Content-Type: multipart/mixed; boundary=\"b%d.\"\r\n\r\n"
                 "--b%d.\r\n",
                 i, i);
        mime_scan_feed(scan, buf_view(&part));
    }
    mime = mime_scan_end(&scan);
    assert_true(mime->cut);
    assert_int_equal(mime->n_nodes, MIME_DEPTH_MAX + 1);
    assert_int_equal(mime->nodes[MIME_DEPTH_MAX].kind, MIME_LEAF);
    assert_int_equal(mime->nodes[MIME_DEPTH_MAX - 1].kind, MIME_MULTIPART);
    mime_free(&mime);
    mime = scan_repeated("", RFC822, 200000);
    assert_true(mime->cut);
    assert_int_equal(mime->n_nodes, MIME_DEPTH_MAX + 1);
    mime_free(&mime);
    buf_free(&part);
}

static void
test_wide(void **state)
{
    struct mime *mime = scan_repeated(MULTI("b"), "--b\r\n\r\nx\r\n", 100000);
    const struct mime_node *last = &mime->nodes[MIME_PARTS_MAX - 1];

    (void)state;
    assert_int_equal(mime->n_nodes, MIME_PARTS_MAX);
    assert_true(mime->cut);
    /* The rest is in the last part. */
    assert_int_equal(last->body_at + last->body_len,
                     mime->nodes[0].body_at + mime->nodes[0].body_len);
    mime_free(&mime);
}

static void
test_long_boundary(void **state)
{
    struct buf content = {0};
    struct mime *mime;

    (void)state;
    buf_add_text(&content, "Content-Type: multipart/mixed; boundary=");
    for (int i = 0; i < 100; i++)
        buf_add_text(&content, LONG100);
    buf_add_text(&content, "\r\n\r\n--");
    for (int i = 0; i < 100; i++)
        buf_add_text(&content, LONG100);
    buf_add_text(&content, "\r\n\r\nx\r\n");
    mime = mime_scan_whole(buf_view(&content));
    assert_true(mime->cut);
    assert_int_equal(mime->n_nodes, 2);
    assert_int_equal(mime->nodes[1].body_len, 3);
    mime_free(&mime);
    buf_free(&content);
}

static void
test_many_fields(void **state)
{
    struct mime *mime = scan_repeated("", "To: a\r\n", 1000000);

    (void)state;
    assert_true(mime->cut);
    assert_true(mime->n_fields < 100000);
    assert_int_equal(mime->nodes[0].header_lines, 1000000);
    mime_free(&mime);
    mime = scan_repeated("Subject: ", "x", 10000000);
    assert_true(mime->cut);
    assert_int_equal(mime->values.len, MIME_FIELD_MAX);
    mime_free(&mime);
    mime = scan_repeated("", "To: " LONG100 LONG100 LONG100 "\r\n", 100000);
    assert_true(mime->values.len <= MIME_FIELDS_MAX);
    mime_free(&mime);
}

static void
test_giving_up(void **state)
{
    struct mime_scan *scan = mime_scan_new();

    (void)state;
    mime_scan_feed(scan, VIEW(MULTI("b") "--b\r\nSubject: x"));
    mime_scan_free(&scan);
    assert_null(scan);
    mime_scan_free(&scan);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_which_fields_are_kept),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_wide),
        cmocka_unit_test(test_long_boundary),
        cmocka_unit_test(test_many_fields),
        cmocka_unit_test(test_giving_up),
    };

    return cmocka_run_group_tests_name("mime", tests, NULL, NULL);
}
