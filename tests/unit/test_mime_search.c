/* SPDX-License-Identifier: ISC */
/*
 * mime_search and mime_header: strings in decoded messages, and chosen fields
 * of a header, wherever the content is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mime_decode.h"
#include "mime_header.h"
#include "mime_search.h"
#include "mime_structure.h"

#define LEN(table) (sizeof(table) / sizeof((table)[0]))

static const char message[] =
    "Subject: =?utf-8?q?Caf=C3=A9_?=\r\n =?utf-8?q?au_lait?=\r\n"
    "From: \"Zo\xc3\xab\" <zoe@example.org>, b@example.net\r\n"
    "X-Other: first\r\nX-Other: a\r\n second\r\nX-Empty:\r\n"
    "Bcc: x:;\r\n"
    "Content-Type: multipart/mixed; boundary=\"bound\"\r\n\r\npreamble\r\n"
    "--bound\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    "na=EFve quest=\r\nion\r\n"
    "--bound\r\nContent-Type: text/html; charset=utf-8\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\nPGI+w6ljbGFpcjwvYj4=\r\n"
    "--bound\r\nContent-Type: image/png; name=picture\r\n\r\npixels\r\n"
    "--bound\r\nContent-Type: message/rfc822\r\n\r\n"
    "Subject: inner matter\r\n\r\ninside\r\n"
    "--bound--\r\nepilogue\r\n";

static const struct {
    enum mime_search_where where;
    const char *field, *text;
    bool found;
} cases[] = {
    {MIME_SEARCH_FIELD, "Subject", "CAF\xc3\x89 AU", true},
    {MIME_SEARCH_FIELD, "subject", "cafe\xcc\x81", true},
    {MIME_SEARCH_FIELD, "Subject", "cafx", false},
    {MIME_SEARCH_FIELD, "Subject", "inner", false},
    {MIME_SEARCH_FIELD, "Subject", "", true},
    {MIME_SEARCH_FIELD, "From", "zo\xc3\x8b", true},
    {MIME_SEARCH_FIELD, "From", "ZOE@EXAMPLE", true},
    {MIME_SEARCH_FIELD, "From", "<b@example.net>", true},
    {MIME_SEARCH_FIELD, "From", "zoe@example.net", false},
    {MIME_SEARCH_FIELD, "To", "", false},
    {MIME_SEARCH_FIELD, "Bcc", "", true},
    {MIME_SEARCH_FIELD, "Date", "", false},
    {MIME_SEARCH_FIELD, "X-Other", "FIRST", true},
    {MIME_SEARCH_FIELD, "x-other", "a second", true},
    {MIME_SEARCH_FIELD, "X-Other", "firsta", false},
    {MIME_SEARCH_FIELD, "X-Other", "x-other", false},
    {MIME_SEARCH_FIELD, "X-Empty", "", true},
    {MIME_SEARCH_FIELD, "X-Empty", "a", false},
    {MIME_SEARCH_FIELD, "X-None", "", false},
    {MIME_SEARCH_FIELD, "", "", false},
    {MIME_SEARCH_BODY, "", "na\xc3\xafve question", true},
    {MIME_SEARCH_BODY, "", "QUESTION", true},
    {MIME_SEARCH_BODY, "",
     "\xc3\x89"
     "clair",
     true},
    {MIME_SEARCH_BODY, "", "question\r\n", false},
    {MIME_SEARCH_BODY, "", "question<b>", false},
    {MIME_SEARCH_BODY, "", "pixels", false},
    {MIME_SEARCH_BODY, "", "preamble", false},
    {MIME_SEARCH_BODY, "", "epilogue", false},
    {MIME_SEARCH_BODY, "", "inside", true},
    {MIME_SEARCH_BODY, "", "inner matter", false},
    {MIME_SEARCH_BODY, "", "", true},
    {MIME_SEARCH_TEXT, "", "inner matter", true},
    {MIME_SEARCH_TEXT, "", "picture", true},
    {MIME_SEARCH_TEXT, "", "x-empty", true},
    {MIME_SEARCH_TEXT, "", "caf\xc3\xa9 au lait", true},
    {MIME_SEARCH_TEXT, "",
     "\xc3\xa9"
     "clair",
     true},
    {MIME_SEARCH_TEXT, "", "nowhere", false},
};

static void
encode(struct view content, struct buf *structure)
{
    struct mime *mime = mime_scan_whole(content);

    mime_structure_encode(mime, structure);
    mime_free(&mime);
}

/* Returns the bytes that were fed before all was decided. */
static size_t
run(struct mime_search *search, struct view structure, struct view content,
    size_t piece)
{
    size_t fed = 0;
    int got = mime_search_begin(search, structure);

    assert_true(got >= 0);
    while (got == 0 && fed < content.len) {
        struct view part = view_skip(content, fed);

        part.len = part.len < piece ? part.len : piece;
        fed += part.len;
        if (!mime_search_feed(search, part))
            got = 1;
    }
    mime_search_end(search);
    return fed;
}

static void
test_one_key(void **state)
{
    struct buf structure = {0};

    (void)state;
    encode(view_of(message), &structure);
    for (size_t i = 0; i < LEN(cases); i++) {
        struct mime_search_key key = {cases[i].where, view_of(cases[i].field),
                                      view_of(cases[i].text)};
        struct mime_search *search;

        assert_int_equal(mime_search_new(&key, 1, &search, NULL), 0);
        for (size_t piece = 1; piece < sizeof(message); piece++) {
            run(search, buf_view(&structure), view_of(message), piece);
            if (mime_search_found(search, 0) != cases[i].found)
                fail_msg("%s %s in pieces of %zu", cases[i].field,
                         cases[i].text, piece);
        }
        mime_search_free(&search);
    }
    buf_free(&structure);
}

static void
test_all_keys_at_once(void **state)
{
    struct mime_search_key keys[LEN(cases)];
    struct mime_search *search;
    struct buf structure = {0};

    (void)state;
    for (size_t i = 0; i < LEN(cases); i++)
        keys[i] = (struct mime_search_key){
            cases[i].where, view_of(cases[i].field), view_of(cases[i].text)};
    encode(view_of(message), &structure);
    assert_int_equal(mime_search_new(keys, LEN(cases), &search, NULL), 0);
    for (size_t piece = 1; piece < 100; piece++) {
        run(search, buf_view(&structure), view_of(message), piece);
        for (size_t i = 0; i < LEN(cases); i++)
            assert_int_equal(mime_search_found(search, i), cases[i].found);
    }
    mime_search_free(&search);
    buf_free(&structure);
}

/* No more content is asked for than is needed. */
static void
test_stops_early(void **state)
{
    static const struct {
        struct mime_search_key key;
        size_t most;
    } keys[] = {
        {{MIME_SEARCH_FIELD, {"Subject", 7}, {"nowhere", 7}}, 0},
        {{MIME_SEARCH_FIELD, {"X-Other", 7}, {"nowhere", 7}}, 300},
        {{MIME_SEARCH_TEXT, {NULL, 0}, {"first", 5}}, 200},
        {{MIME_SEARCH_BODY, {NULL, 0}, {"question", 8}}, 450},
    };
    struct buf structure = {0};

    (void)state;
    encode(view_of(message), &structure);
    for (size_t i = 0; i < LEN(keys); i++) {
        struct mime_search *search;

        assert_int_equal(mime_search_new(&keys[i].key, 1, &search, NULL), 0);
        assert_true(run(search, buf_view(&structure), view_of(message), 10) <=
                    keys[i].most);
        mime_search_free(&search);
    }
    buf_free(&structure);
}

static void
test_refused_keys(void **state)
{
    struct mime_search_key keys[MIME_SEARCH_KEYS_MAX + 1];
    struct mime_search *search;
    static char text[MIME_SEARCH_NEEDLE_MAX + 1];
    struct why why;

    (void)state;
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < LEN(keys); i++)
        keys[i] =
            (struct mime_search_key){MIME_SEARCH_TEXT, VIEW(""), VIEW("x")};
    assert_int_equal(mime_search_new(keys, LEN(keys), &search, &why), -1);
    assert_null(search);
    assert_int_equal(mime_search_new(keys, LEN(keys) - 1, &search, &why), 0);
    mime_search_free(&search);
    keys[1].text = (struct view){text, sizeof(text)};
    assert_int_equal(mime_search_new(keys, 2, &search, &why), -1);
    keys[1].text = (struct view){text, sizeof(text) - 1};
    assert_int_equal(mime_search_new(keys, 2, &search, &why), 0);
    mime_search_free(&search);
    keys[1].text = VIEW("\xff");
    assert_int_equal(mime_search_new(keys, 2, &search, &why), -1);
    keys[1].text = VIEW("\xef\xbf\xbd");
    assert_int_equal(mime_search_new(keys, 2, &search, &why), 0);
    assert_int_equal(mime_search_begin(search, VIEW("junk")), -1);
    assert_false(mime_search_feed(search, VIEW("x")));
    mime_search_end(search);
    mime_search_free(&search);
}

/* --- HEADER.FIELDS ----------------------------------------------------------
 */

static const struct {
    const char *header;
    bool others;
    const char *chosen; /* of "Subject" and "to" */
} filters[] = {
    {"\r\n", false, "\r\n"},
    {"", false, "\r\n"},
    {"From: a\r\n\r\n", false, "\r\n"},
    {"From: a\r\nSUBJECT: b\r\n\r\n", false, "SUBJECT: b\r\n\r\n"},
    {"From: a\r\nSubject: b\r\n\r\n", true, "From: a\r\n\r\n"},
    {"To: a\r\n b\r\n\tc\r\nX: d\r\n e\r\nTo : f\r\n\r\n", false,
     "To: a\r\n b\r\n\tc\r\nTo : f\r\n\r\n"},
    {"To: a\r\n b\r\nX: d\r\n e\r\n\r\n", true, "X: d\r\n e\r\n\r\n"},
    {"Tox: a\r\nXTo: b\r\n\r\n", false, "\r\n"},
    {"bad\r\n x\r\nTo: a\r\nbad\r\n", false, "To: a\r\n\r\n"},
    {"bad\r\n x\r\nX: a\r\n", true, "X: a\r\n\r\n"},
    {"To: a", false, "To: a\r\n\r\n"},
    {"X: a", true, "X: a\r\n\r\n"},
    {"To: a\r", false, "To: a\r\n\r\n"},
    {"\rTo: a\r\nTo: b\r\n", false, "To: b\r\n\r\n"},
    {"To: a\n b\nX: c\n\n", false, "To: a\n b\n\r\n"},
    {"To: a\r\n\r\nTo: b\r\n", false, "To: a\r\n\r\n"},
};

static void
test_filter(void **state)
{
    static const struct view names[] = {{"Subject", 7}, {"to", 2}};

    (void)state;
    for (size_t i = 0; i < LEN(filters); i++)
        for (size_t piece = 1; piece < 40; piece++) {
            struct mime_header_filter filter;
            struct view rest = view_of(filters[i].header);
            struct buf out = {0};

            buf_add_text(&out, "before"); /* it appends */
            mime_header_filter_init(&filter, names, 2, filters[i].others);
            while (rest.len > 0) {
                struct view part = rest;

                part.len = part.len < piece ? part.len : piece;
                rest = view_skip(rest, part.len);
                mime_header_filter_feed(&filter, part, &out);
            }
            mime_header_filter_end(&filter, &out);
            if (!view_equal(view_skip(buf_view(&out), 6),
                            view_of(filters[i].chosen)))
                fail_msg("%s: %.*s", filters[i].header, (int)out.len, out.data);
            buf_free(&out);
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_key),
        cmocka_unit_test(test_all_keys_at_once),
        cmocka_unit_test(test_stops_early),
        cmocka_unit_test(test_refused_keys),
        cmocka_unit_test(test_filter),
    };

    mime_decode_init();
    return cmocka_run_group_tests_name("mime_search", tests, NULL, NULL);
}
