/* SPDX-License-Identifier: ISC */
/*
 * Messages for people: list, show, cat.
 */
#include "spoolctl.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "num.h"
#include "table.h"
#include "when.h"

static struct table table;
static bool begun;

/* --- in few words -------------------------------------------------------- */

static bool
is_open(const json_t *recipient)
{
    const char *state = member_text(recipient, "state");

    return strcmp(state, "ready") == 0 || strcmp(state, "later") == 0 ||
           strcmp(state, "on-hold") == 0;
}

/* How a message stands: the state of its open deliveries, or of all if none
 * is open; "mixed" where they differ. *open is how many are. */
static const char *
sum_up(const json_t *recipients, size_t *open)
{
    bool held = false;
    const char *sum = "";
    const json_t *one;
    size_t i;

    *open = 0;
    json_array_foreach (recipients, i, one)
        if (is_open(one))
            (*open)++;
    held = *open > 0;
    json_array_foreach (recipients, i, one) {
        const char *state = member_text(one, "state");

        if (held && !is_open(one))
            continue;
        if (*sum == '\0')
            sum = state;
        else if (strcmp(sum, state) != 0)
            sum = "mixed";
    }
    return sum;
}

static bool
is_trouble(const char *state)
{
    return strcmp(state, "returned") == 0 || strcmp(state, "expired") == 0 ||
           strcmp(state, "dropped") == 0;
}

static enum text_look
look_of(const char *state)
{
    return is_trouble(state) ? TEXT_TROUBLE : TEXT_PLAIN;
}

static const char *
shown_sender(const json_t *row)
{
    const char *sender = member_text(row, "sender");

    return *sender != '\0' ? sender : "<>";
}

/* --- list ---------------------------------------------------------------- */

static const struct table_column list_columns[] = {
    {"ID", false, 0, 0},  {"ARRIVED", false, 0, 110},  {"AGE", true, 0, 0},
    {"SIZE", true, 0, 0}, {"STATE", false, 0, 0},      {"FROM", false, 12, 0},
    {"TO", false, 12, 0}, {"SUBJECT", false, 12, 140},
};
#define LIST_COLUMNS (sizeof(list_columns) / sizeof(list_columns[0]))

static uint64_t list_count, list_bytes;

static void
list_recipients(const json_t *recipients, size_t open)
{
    const json_t *shown = json_array_get(recipients, 0);
    const json_t *one;
    size_t i;

    /* Of a message that is partly done: one who still waits. */
    json_array_foreach (recipients, i, one) {
        if (open == 0 || !is_open(one))
            continue;
        shown = one;
        break;
    }
    table_cell(&table, TEXT_PLAIN, "%s", member_text(shown, "address"));
    if (json_array_size(recipients) > 1)
        table_suffix(&table, "+%zu", json_array_size(recipients) - 1);
}

static void
list_row(const json_t *row)
{
    const json_t *recipients = json_object_get(row, "recipients");
    int64_t arrived_ms = member_time(row, "arrived");
    char when[WHEN_TEXT_MAX], age[WHEN_TEXT_MAX], size[NUM_TEXT_MAX];
    size_t open, all = json_array_size(recipients);
    const char *state = sum_up(recipients, &open);

    if (!begun)
        table_begin(&table, list_columns, LIST_COLUMNS);
    begun = true;
    list_count++;
    list_bytes += member_num(row, "size");
    table_cell(&table, TEXT_PLAIN, "%s", member_text(row, "id"));
    table_cell(&table, TEXT_PLAIN, "%s", when_print(arrived_ms, when));
    table_cell(&table, TEXT_PLAIN, "%s",
               when_print_age(clock_wall_ms() - arrived_ms, age));
    table_cell(&table, TEXT_PLAIN, "%s",
               num_print_size(member_num(row, "size"), size));
    table_cell(&table, look_of(state), "%s", state);
    if (open > 0 && open < all)
        table_suffix(&table, "%zu/%zu", open, all);
    table_cell(&table, TEXT_PLAIN, "%s", shown_sender(row));
    list_recipients(recipients, open);
    table_cell(&table, TEXT_PLAIN, "%s", member_text(row, "subject"));
    table_row_end(&table);
}

static void
list_end(const json_t *done, bool whole)
{
    char count[MEMBER_TEXT_MAX], size[MEMBER_TEXT_MAX];

    (void)done;
    if (begun)
        table_end(&table);
    if (!text_on_terminal() || !whole)
        return;
    if (list_count == 0)
        printf("No messages.\n");
    else
        printf("%s, %s\n", member_count(list_count, "message", count),
               member_size(list_bytes, size));
}

const struct show show_list = {.row = list_row, .end = list_end};

/* --- show ---------------------------------------------------------------- */

#define LABEL 12

static const struct table_column recipient_columns[] = {
    {"RECIPIENT", false, 16, 0}, {"TARGET", false, 8, 0},
    {"STATE", false, 0, 0},      {"SINCE", false, 0, 0},
    {"TRIES", true, 0, 0},       {"NEXT TRY", false, 0, 0},
};
#define RECIPIENT_COLUMNS                                                      \
    (sizeof(recipient_columns) / sizeof(recipient_columns[0]))

static void
fact(const char *label, const char *value)
{
    if (*value != '\0')
        text_paragraph(label, LABEL, TEXT_PLAIN, "%s", value);
}

static void
show_facts(const json_t *row)
{
    char size[MEMBER_TEXT_MAX], stored[MEMBER_TEXT_MAX], when[MEMBER_TEXT_MAX];
    bool dsn = strcmp(member_text(row, "origin"), "dsn") == 0;
    const char *tls = member_text(row, "tls");

    fact("Id", member_text(row, "id"));
    fact("State", member_text(row, "state"));
    fact("Arrived", member_when(member_time(row, "arrived"), when));
    if (member_time(row, "finished") != 0)
        fact("Finished", member_when(member_time(row, "finished"), when));
    text_paragraph("From", LABEL, TEXT_PLAIN, "<%s>",
                   member_text(row, "sender"));
    if (dsn)
        fact("Origin", "a delivery status notification of this daemon");
    else
        text_paragraph("Client", LABEL, TEXT_PLAIN, "%s (%s), %s%s%s",
                       member_text(row, "client"), member_text(row, "helo"),
                       member_text(row, "protocol"), *tls != '\0' ? ", " : "",
                       tls);
    fact("Subject", member_text(row, "subject"));
    fact("Message-ID", member_text(row, "message_id"));
    text_paragraph("Size", LABEL, TEXT_PLAIN, "%s (%s stored)",
                   member_size(member_num(row, "size"), size),
                   member_size(member_num(row, "stored"), stored));
}

static void
show_recipient(const json_t *one)
{
    char when[WHEN_TEXT_MAX], until[MEMBER_TEXT_MAX];
    const char *state = member_text(one, "state");
    int64_t changed_ms = member_time(one, "changed");

    table_cell(&table, TEXT_PLAIN, "%s", member_text(one, "address"));
    table_cell(&table, TEXT_PLAIN, "%s", member_text(one, "target"));
    if (*member_text(one, "home") != '\0')
        table_suffix(&table, " (for %s)", member_text(one, "home"));
    table_cell(&table, look_of(state), "%s", state);
    table_cell(&table, TEXT_PLAIN, "%s",
               changed_ms != 0 ? when_print(changed_ms, when) : "-");
    table_cell(&table, TEXT_PLAIN, "%" PRIu64, member_num(one, "attempts"));
    table_cell(&table, TEXT_PLAIN, "%s",
               member_until(member_time(one, "next"), until));
    if (member_num(one, "code") != 0 || *member_text(one, "reply") != '\0') {
        struct buf note = {0};

        if (member_num(one, "code") != 0)
            buf_addf(&note, "%" PRIu64 " ", member_num(one, "code"));
        buf_add_text(&note, member_text(one, "reply"));
        buf_add_byte(&note, '\0');
        table_note(&table, note.data);
        buf_free(&note);
    }
    table_row_end(&table);
}

static void
show_row(const json_t *row)
{
    const json_t *one;
    size_t i;

    show_facts(row);
    printf("\n");
    table_begin(&table, recipient_columns, RECIPIENT_COLUMNS);
    json_array_foreach (json_object_get(row, "recipients"), i, one)
        show_recipient(one);
    table_end(&table);
}

const struct show show_show = {.row = show_row};

/* --- cat ----------------------------------------------------------------- */

static struct text_stream stream;
static struct buf content;

static void
cat_raw(struct view bytes)
{
    if (text_on_terminal())
        text_stream_put(&stream, bytes);
    else
        fwrite(bytes.data, 1, bytes.len, stdout);
}

static void
cat_end(const json_t *done, bool whole)
{
    (void)done;
    (void)whole;
    if (text_on_terminal())
        text_stream_end(&stream);
}

const struct show show_cat = {.raw = cat_raw, .end = cat_end};

void
json_content_add(struct view bytes)
{
    buf_add_view(&content, bytes);
}

static void
add_base64(struct view bytes, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";

    buf_reserve(out, bytes.len / 3 * 4 + 4);
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t three = 0;

        for (size_t k = 0; k < 3; k++)
            three =
                three << 8 | (k < n ? (unsigned char)bytes.data[i + k] : 0u);
        for (size_t k = 0; k < 4; k++)
            buf_add_byte(out, k <= n
                                  ? (uint8_t)digits[three >> (18 - 6 * k) & 63]
                                  : (uint8_t)'=');
    }
}

void
json_content_print(struct view id)
{
    struct buf base64 = {0};

    add_base64(buf_view(&content), &base64);
    printf("{\"id\": \"%.*s\", \"content\": \"%.*s\"}\n", (int)id.len, id.data,
           (int)base64.len, base64.data);
    buf_free(&base64);
    buf_free(&content);
}
