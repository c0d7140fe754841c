/* SPDX-License-Identifier: ISC */
/*
 * Messages of a stranger, and structures from a damaged store. Whole or in
 * pieces a message has the same tree; ranges lie in each other, parents come
 * before children; what is printed is what IMAP's grammar wants. The first
 * byte is the size of the pieces; 255: the rest is a structure.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "mime_decode.h"
#include "mime_header.h"
#include "mime_section.h"
#include "mime_sort.h"
#include "mime_structure.h"

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

static uint64_t
count_lf(struct view content, uint64_t at, uint64_t len)
{
    uint64_t n = 0;

    for (uint64_t i = at; i < at + len; i++)
        n += content.data[i] == '\n';
    return n;
}

static void
check_node(const struct mime *mime, uint32_t i, struct view content)
{
    const struct mime_node *node = &mime->nodes[i];
    const struct mime_node *parent;

    assert(node->body_at == node->header_at + node->header_len);
    assert(node->body_at + node->body_len <= content.len);
    assert(count_lf(content, node->header_at, node->header_len) ==
           node->header_lines);
    assert(count_lf(content, node->body_at, node->body_len) == node->lines);
    assert(node->first_field + node->n_fields <= mime->n_fields);
    if (i == 0) {
        assert(node->parent == MIME_NONE && node->header_at == 0);
        assert(node->body_at + node->body_len == content.len);
        return;
    }
    assert(node->parent < i);
    parent = &mime->nodes[node->parent];
    assert(parent->kind != MIME_LEAF);
    assert(parent->kind != MIME_MESSAGE || parent->children == 1);
    assert(node->header_at >= parent->body_at);
    assert(node->body_at + node->body_len <=
           parent->body_at + parent->body_len);
}

static void
check_tree(const struct mime *mime, struct view content)
{
    uint64_t children = 0;

    assert(mime->n_nodes > 0 && mime->n_nodes <= MIME_PARTS_MAX);
    for (uint32_t i = 0; i < mime->n_nodes; i++) {
        check_node(mime, i, content);
        children += mime->nodes[i].children;
    }
    assert(children == mime->n_nodes - 1);
    for (size_t i = 0; i < mime->n_fields; i++) {
        const struct mime_field *field = &mime->fields[i];
        struct view value = mime_value(mime, field);

        assert(field->at + field->len <= content.len);
        assert(field->value + field->value_len <= mime->values.len);
        assert(value.data != NULL);
        assert(memchr(value.data, '\n', value.len) == NULL);
        assert(memchr(value.data, '\0', value.len) == NULL);
    }
}

/* Takes a string off the front: quoted, literal, atom or number. */
static void
take_word(struct view *text)
{
    size_t n = 0, len = 0;

    if (text->data[0] == '{') {
        for (n = 1; text->data[n] != '}'; n++)
            len = 10 * len + (size_t)(text->data[n] - '0');
        *text = view_skip(*text, n + 3 + len);
        return;
    }
    if (text->data[0] == '"') {
        for (n = 1; text->data[n] != '"'; n++) {
            assert((uint8_t)text->data[n] < 0x80 && text->data[n] != '\r' &&
                   text->data[n] != '\n' && text->data[n] != '\0');
            n += text->data[n] == '\\';
        }
        *text = view_skip(*text, n + 1);
        return;
    }
    while (n < text->len && (text->data[n] == 'N' || text->data[n] == 'I' ||
                             text->data[n] == 'L' ||
                             (text->data[n] >= '0' && text->data[n] <= '9')))
        n++;
    assert(n > 0);
    *text = view_skip(*text, n);
}

/* One list, all of text, with nothing empty in it. */
static void
check_list(struct view text)
{
    size_t depth = 0;

    assert(text.len > 2);
    do {
        char c = text.data[0];

        if (c == '(' || c == ')' || c == ' ') {
            depth += c == '(';
            depth -= c == ')';
            text = view_skip(text, 1);
            assert(text.len == 0 || c == ')' ||
                   (text.data[0] != ' ' && text.data[0] != ')'));
            continue;
        }
        take_word(&text);
        assert(text.len > 0 && (text.data[0] == ' ' || text.data[0] == ')'));
    } while (depth > 0);
    assert(text.len == 0);
}

static void
check_sections(struct view structure, struct view content)
{
    static const char *const names[] = {"",         "HEADER",   "TEXT", "1",
                                        "1.MIME",   "1.HEADER", "2.1",  "1.1.1",
                                        "1.2.TEXT", "3.1.MIME"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct mime_section section;
        struct mime_range range;
        int got;

        assert(mime_section_parse(view_of(names[i]), &section) == 0);
        got = mime_section_find(structure, &section, &range);
        assert(got == 0 || got == 1);
        assert(got == 0 || range.at + range.len <= content.len);
    }
}

static void
check_prints(struct view structure, struct view content)
{
    struct buf out = {0};
    struct mime_sent sent;

    assert(mime_structure_print_envelope(structure, &out) == 0);
    check_list(buf_view(&out));
    buf_reset(&out);
    assert(mime_structure_print_body(structure, &out) == 0);
    check_list(buf_view(&out));
    buf_reset(&out);
    assert(mime_structure_print_bodystructure(structure, &out) == 0);
    check_list(buf_view(&out));
    assert(mime_structure_sent(structure, &sent) == 0);
    buf_reset(&out);
    assert(mime_sort_subject(structure, &out) == 0);
    assert(mime_sort_address(structure, MIME_FROM, &out) == 0);
    assert(mime_sort_display(structure, MIME_TO, &out) == 0);
    check_sections(structure, content);
    buf_free(&out);
}

/* What is filtered out and what is kept are all of the header. */
static void
check_filter(const struct mime *mime, struct view content, size_t piece)
{
    static const struct view names[] = {{"Subject", 7}, {"From", 4}};
    struct view header = {content.data, mime->nodes[0].header_len};
    struct mime_header_filter filters[2];
    struct buf out[2] = {0};

    for (int i = 0; i < 2; i++) {
        struct view rest = header;

        mime_header_filter_init(&filters[i], names, 2, i == 1);
        while (rest.len > 0) {
            size_t n = piece < rest.len ? piece : rest.len;

            mime_header_filter_feed(&filters[i], (struct view){rest.data, n},
                                    &out[i]);
            rest = view_skip(rest, n);
        }
        mime_header_filter_end(&filters[i], &out[i]);
        assert(out[i].len >= 2);
    }
    /* Both have an end, and one may have gained a line end. */
    assert(out[0].len + out[1].len <= header.len + 6);
    buf_free(&out[0]);
    buf_free(&out[1]);
}

static void
read_damaged(struct view structure)
{
    struct mime_section section;
    struct mime_range range;
    struct mime_sent sent;
    struct buf out = {0};

    mime_structure_print_envelope(structure, &out);
    mime_structure_print_body(structure, &out);
    mime_structure_print_bodystructure(structure, &out);
    mime_structure_sent(structure, &sent);
    mime_sort_subject(structure, &out);
    mime_sort_address(structure, MIME_CC, &out);
    mime_section_parse(VIEW("1.2.1.HEADER"), &section);
    mime_section_find(structure, &section, &range);
    buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = {0}, parts = {0};
    struct view content;
    struct mime *mime;

    if (size == 0)
        return 0;
    content = (struct view){(const char *)data + 1, size - 1};
    if (data[0] == 255) {
        read_damaged(content);
        return 0;
    }
    mime = mime_scan_whole(content);
    check_tree(mime, content);
    check_filter(mime, content, data[0] % 16 + 1);
    mime_structure_encode(mime, &whole);
    mime_free(&mime);
    check_prints(buf_view(&whole), content);
    mime = scan_in_pieces(content, data[0] % 16 + 1);
    mime_structure_encode(mime, &parts);
    mime_free(&mime);
    assert(view_equal(buf_view(&whole), buf_view(&parts)));
    buf_free(&whole);
    buf_free(&parts);
    return 0;
}
