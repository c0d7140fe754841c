/* SPDX-License-Identifier: ISC */
/*
 * The IMAP command parser: the reader with pieces of any size, then commands
 * as a table, good ones with what they mean and bad ones with the reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "imap_command.h"
#include "imap_reader.h"
#include "imap_token.h"
#include "imap_utf7.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void
assert_view(struct view have, const char *want)
{
    if (have.len != strlen(want) ||
        (have.len > 0 && memcmp(have.data, want, have.len) != 0))
        print_error("have \"%.*s\", want \"%s\"\n", (int)have.len, have.data,
                    want);
    assert_int_equal(have.len, strlen(want));
    assert_memory_equal(have.data, want, have.len);
}

/* --- the reader ----------------------------------------------------------- */

/* What happened, one word an event. */
static void
read_all(const char *input, size_t len, size_t piece, struct buf *log)
{
    struct imap_reader reader = {0};
    struct buf pending = {0};
    struct why why;
    size_t at = 0;

    while (at < len || pending.len > 0) {
        enum imap_read read = IMAP_READ_ONE;
        size_t taken = 1, n = len - at < piece ? len - at : piece;

        buf_add(&pending, input + at, n);
        at += n;
        while (read != IMAP_READ_MORE && pending.len > 0) {
            read = imap_reader_feed(&reader, buf_view(&pending), &taken, &why);
            buf_consume(&pending, taken);
            if (read == IMAP_READ_ONE)
                buf_addf(log, "[%.*s]", (int)reader.command.len,
                         reader.command.data);
            else if (read == IMAP_READ_CONTINUE)
                buf_add_text(log, "+");
            else if (read == IMAP_READ_BAD)
                buf_addf(log, "<%s>", why.text);
            else if (read == IMAP_READ_APPEND) {
                buf_addf(log, "{%.*s}", (int)reader.command.len,
                         reader.command.data);
                imap_reader_refuse(&reader);
            } else if (read == IMAP_READ_END) {
                buf_add_text(log, "END");
                buf_free(&pending);
                at = len;
            }
        }
        if (at == len && (read == IMAP_READ_MORE || pending.len == 0))
            break;
    }
    buf_free(&pending);
    imap_reader_free(&reader);
}

static const struct {
    const char *input;
    const char *log;
} streams[] = {
    {"a NOOP\r\n", "[a NOOP]"},
    {"a NOOP\r\nb NOOP\r\n", "[a NOOP][b NOOP]"},
    {"a LOGIN {3}\r\nabc {1}\r\nx\r\n", "++[a LOGIN {3}\r\nabc {1}\r\nx]"},
    {"a LOGIN {3+}\r\na\r\n {0+}\r\n\r\nb NOOP\r\n",
     "[a LOGIN {3+}\r\na\r\n {0+}\r\n][b NOOP]"},
    {"a NOOP\nb NOOP\r\n", "<a line ends in CRLF>[b NOOP]"},
    {"a LOGIN x {70000+}\r\n", "<a literal that is too large>"},
    {"a LOGIN x {70000}\r\nb NOOP\r\n",
     "<a literal that is too large>[b NOOP]"},
    {"a X {99999999999}\r\nb NOOP\r\n",
     "<a literal that is too large>[b NOOP]"},
    {"a X {99999999999+}\r\nb NOOP\r\n", "END"},
    {"a APPEND Drafts {3+}\r\nabc\r\nb NOOP\r\n",
     "{a APPEND Drafts {3+}}[b NOOP]"},
    {"a APPEND {6+}\r\nDrafts (\\Seen) {3}\r\nb NOOP\r\n",
     "{a APPEND {6+}\r\nDrafts (\\Seen) {3}}[b NOOP]"},
    {"a append \"my box\" {3}\r\nb NOOP\r\n",
     "{a append \"my box\" {3}}[b NOOP]"},
    {"a NOOP {}\r\nb {x}\r\nc}\r\n", "[a NOOP {}][b {x}][c}]"},
    {"a {12345678901234567890}\r\nb X\r\n", "[a {12345678901234567890}][b X]"},
};

static void
test_reader(void **state)
{
    static const size_t pieces[] = {1, 2, 3, 7, 100};

    (void)state;
    for (size_t i = 0; i < COUNT(streams); i++)
        for (size_t p = 0; p < COUNT(pieces); p++) {
            struct buf log = {0};

            read_all(streams[i].input, strlen(streams[i].input), pieces[p],
                     &log);
            assert_view(buf_view(&log), streams[i].log);
            buf_free(&log);
        }
}

/* A line without end costs no more than the limit, and the next is read. */
static void
test_endless_line(void **state)
{
    struct buf input = {0}, log = {0};

    (void)state;
    buf_add_text(&input, "a1 FETCH ");
    for (int i = 0; i < 100000; i++)
        buf_add_text(&input, "1,");
    buf_add_text(&input, "\r\nb NOOP\r\n");
    read_all(input.data, input.len, 1000, &log);
    assert_view(buf_view(&log), "<a line that is too long>[b NOOP]");
    buf_free(&input);
    buf_free(&log);
}

/* 20 MB that come unasked are not waited for; 70 KB are dropped. */
static void
test_literal_bomb(void **state)
{
    struct buf input = {0}, log = {0};

    (void)state;
    buf_add_text(&input, "a LOGIN x {70000+}\r\n");
    for (int i = 0; i < 7000; i++)
        buf_add_text(&input, "0123456\r\n9");
    buf_add_text(&input, " more\r\nb NOOP\r\n");
    read_all(input.data, input.len, 4096, &log);
    assert_view(buf_view(&log), "<a literal that is too large>[b NOOP]");
    buf_free(&input);
    buf_free(&log);
}

/* Many literals of the largest size are one command that is too large. */
static void
test_command_limit(void **state)
{
    struct buf input = {0}, log = {0};
    struct view view;

    (void)state;
    buf_add_text(&input, "a SEARCH TEXT ");
    for (int i = 0; i < 5; i++) {
        buf_add_text(&input, "{65536+}\r\n");
        for (int k = 0; k < 65536; k++)
            buf_add_byte(&input, 'x');
        buf_add_text(&input, " TEXT ");
    }
    buf_add_text(&input, "\r\nb NOOP\r\n");
    read_all(input.data, input.len, 4096, &log);
    view = buf_view(&log);
    assert_true(view.len < 200);
    assert_view(view, "<a literal that is too large>[b NOOP]");
    buf_free(&input);
    buf_free(&log);
}

/* --- sets ----------------------------------------------------------------- */

static const struct {
    const char *text;
    uint32_t max;
    const char *resolved; /* NULL: not a set */
} sets[] = {
    {"1", 9, "1"},
    {"1:3,5", 9, "1:3,5"},
    {"5,1:3", 9, "1:3,5"},
    {"3:1", 9, "1:3"},
    {"1:3,2:5,6", 9, "1:6"},
    {"*", 9, "9"},
    {"*:4", 9, "4:9"},
    {"20:*", 9, "9:20"},
    {"1:*", 0, ""},
    {"4294967295", 9, "4294967295"},
    {"4294967294,4294967295,1", 9, "1,4294967294:4294967295"},
    {"4294967296", 9, NULL},
    {"0", 9, NULL},
    {"01", 9, NULL},
    {"1:0", 9, NULL},
    {"", 9, NULL},
    {"1,", 9, NULL},
    {",1", 9, NULL},
    {"1:", 9, NULL},
    {"1:2:3", 9, NULL},
    {"$,1", 9, NULL},
    {"1,$", 9, NULL},
    {"**", 9, NULL},
    {"1 2", 9, NULL},
};

static void
test_sets(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(sets); i++) {
        struct imap_set set = {0};
        struct buf out = {0};
        struct why why;
        int rc = imap_set_parse(&set, view_of(sets[i].text), &why);

        assert_int_equal(rc, sets[i].resolved == NULL ? -1 : 0);
        if (rc == 0) {
            imap_set_resolve(&set, sets[i].max);
            imap_set_print(&set, &out);
            assert_view(buf_view(&out), sets[i].resolved);
        }
        imap_set_free(&set);
        buf_free(&out);
    }
}

static void
test_set_questions(void **state)
{
    struct imap_set set = {0}, copy = {0};
    struct why why;

    (void)state;
    assert_int_equal(imap_set_parse(&set, VIEW("7,2:4"), &why), 0);
    imap_set_resolve(&set, 9);
    assert_false(imap_set_has(&set, 1));
    assert_true(imap_set_has(&set, 2));
    assert_true(imap_set_has(&set, 4));
    assert_false(imap_set_has(&set, 5));
    assert_true(imap_set_has(&set, 7));
    assert_false(imap_set_has(&set, 8));
    assert_int_equal(imap_set_next(&set, 1), 2);
    assert_int_equal(imap_set_next(&set, 3), 3);
    assert_int_equal(imap_set_next(&set, 5), 7);
    assert_int_equal(imap_set_next(&set, 8), 0);
    imap_set_copy(&copy, &set);
    imap_set_free(&set);
    imap_set_add(&copy, 8);
    imap_set_add(&copy, 10);
    assert_true(imap_set_has(&copy, 8));
    assert_int_equal(copy.count, 3);
    imap_set_free(&copy);
    assert_int_equal(imap_set_parse(&set, VIEW("$"), &why), 0);
    assert_true(set.is_saved);
    imap_set_free(&set);
}

static void
test_set_limit(void **state)
{
    struct buf text = {0};
    struct imap_set set;
    struct why why;

    (void)state;
    for (int i = 0; i <= IMAP_SET_MAX; i++)
        buf_addf(&text, "%s%d", i > 0 ? "," : "", 2 * i + 1);
    assert_int_equal(imap_set_parse(&set, buf_view(&text), &why), -1);
    assert_null(set.ranges);
    buf_free(&text);
}

/* --- UTF-7 ---------------------------------------------------------------- */

static const struct {
    const char *utf7;
    const char *utf8; /* NULL: not in its one form */
} names[] = {
    {"INBOX", "INBOX"},
    {"", ""},
    {"Entw&APw-rfe", "Entw\303\274rfe"},
    {"&ZeVnLIqe-", "\346\227\245\346\234\254\350\252\236"},
    {"a&-b", "a&b"},
    {"&2D3eAA-", "\360\237\230\200"},
    {"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
     "~peter/mail/\345\217\260\345\214\227/\346\227\245\346\234\254"
     "\350\252\236"},
    {"&", NULL},
    {"&APw", NULL},
    {"&AGE-", NULL}, /* "a" is written as it is */
    {"&2D0-", NULL}, /* half a surrogate pair */
    {"&3gA-", NULL},
    {"&APw-&APw-", NULL}, /* two runs are one */
    {"&AP/-", NULL},      /* "/" is "," here */
    {"&APx-", NULL},      /* bits that are left are 0 */
    {"\303\274", NULL},
};

static void
test_utf7(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct buf out = {0};
        int rc = imap_utf7_decode(view_of(names[i].utf7), &out);

        assert_int_equal(rc, names[i].utf8 == NULL ? -1 : 0);
        if (rc == 0) {
            struct buf back = {0};

            assert_view(buf_view(&out), names[i].utf8);
            imap_utf7_encode(buf_view(&out), &back);
            assert_view(buf_view(&back), names[i].utf7);
            buf_free(&back);
        }
        buf_free(&out);
    }
}

/* --- commands ------------------------------------------------------------- */

/* A search program as text: (AND ...). */
static void
print_key(const struct imap_search *search, uint32_t at, struct buf *out)
{
    static const char *const kinds[] = {
        "AND",        "OR",     "NOT",       "ALL",    "NONE",    "FLAG",
        "KEYWORD",    "SET",    "UID",       "BEFORE", "ON",      "SINCE",
        "SENTBEFORE", "SENTON", "SENTSINCE", "LARGER", "SMALLER", "OLDER",
        "YOUNGER",    "MODSEQ", "FIELD",     "BODY",   "TEXT"};
    const struct imap_key *key = &search->keys[at];

    buf_addf(out, "(%s", kinds[key->kind]);
    for (uint32_t k = key->first; k != IMAP_KEY_END; k = search->keys[k].next)
        print_key(search, k, out);
    if (key->number != 0)
        buf_addf(out, " %llu", (unsigned long long)key->number);
    if (key->day != 0)
        buf_addf(out, " day %lld", (long long)key->day);
    if (key->field.len > 0)
        buf_addf(out, " %.*s", (int)key->field.len, key->field.data);
    if (key->text.data != NULL)
        buf_addf(out, " \"%.*s\"", (int)key->text.len, key->text.data);
    imap_set_print(&key->set, out);
    buf_add_text(out, ")");
}

static void
print_fetch(const struct imap_command *command, struct buf *out)
{
    static const char *const kinds[] = {
        "FLAGS",    "UID",  "MODSEQ",    "DATE",  "SIZE",
        "ENVELOPE", "BODY", "STRUCTURE", "BSIZE", "SECTION"};

    for (size_t i = 0; i < command->n_items; i++) {
        const struct imap_item *item = &command->items[i];

        buf_addf(out, " %s%s%s", item->peek ? "-" : "", item->binary ? "%" : "",
                 kinds[item->kind]);
        if (item->kind >= IMAP_ITEM_BINARY_SIZE)
            buf_addf(out, "[%d", (int)item->section.what);
        for (size_t k = 0; k < item->section.n_path; k++)
            buf_addf(out, ".%u", (unsigned)item->section.path[k]);
        for (size_t k = 0; k < item->n_fields; k++)
            buf_addf(out, " %.*s", (int)item->fields[k].len,
                     item->fields[k].data);
        if (item->kind >= IMAP_ITEM_BINARY_SIZE)
            buf_add_text(out, "]");
        if (item->partial)
            buf_addf(out, "<%u.%u>", (unsigned)item->at,
                     (unsigned)item->length);
    }
    if (command->has_changed_since)
        buf_addf(out, " since %llu%s", (unsigned long long)command->modseq,
                 command->vanished ? " vanished" : "");
}

/* Everything a command says, as text. */
static void
print(const struct imap_command *command, struct buf *out)
{
    buf_addf(out, "%s%s", command->uid ? "UID " : "",
             imap_verb_name(command->verb));
    if (command->set.is_saved)
        buf_add_text(out, " $");
    if (command->set.count > 0) {
        buf_add_byte(out, ' ');
        imap_set_print(&command->set, out);
    }
    if (command->first.data != NULL)
        buf_addf(out, " '%.*s'", (int)command->first.len, command->first.data);
    if (command->second.data != NULL)
        buf_addf(out, " '%.*s'", (int)command->second.len,
                 command->second.data);
    for (size_t i = 0; i < command->n_words; i++)
        buf_addf(out, " %.*s", (int)command->words[i].len,
                 command->words[i].data);
    if (command->list_options != 0)
        buf_addf(out, " options %x", command->list_options);
    if (command->status_items != 0)
        buf_addf(out, " status %x", command->status_items);
    if (command->condstore)
        buf_add_text(out, " condstore");
    if (command->qresync) {
        buf_addf(out, " qresync %llu %llu ",
                 (unsigned long long)command->uid_validity,
                 (unsigned long long)command->modseq);
        imap_set_print(&command->known_uids, out);
        buf_add_byte(out, ' ');
        imap_set_print(&command->match_seqs, out);
        buf_add_byte(out, '/');
        imap_set_print(&command->match_uids, out);
    }
    print_fetch(command, out);
    if (command->has_unchanged_since)
        buf_addf(out, " unchanged %llu", (unsigned long long)command->modseq);
    if (command->store != 0)
        buf_addf(out, " %c%s", command->store, command->silent ? "silent" : "");
    if (command->store != 0 || command->flags.bits != 0 ||
        command->flags.keywords.len > 0)
        buf_addf(out, " %llx{%.*s}", (unsigned long long)command->flags.bits,
                 (int)command->flags.keywords.len,
                 command->flags.keywords.data);
    if (command->has_date)
        buf_addf(out, " at %lld", (long long)command->date_ms);
    if (command->verb == IMAP_APPEND)
        buf_addf(out, " %s%llu", command->utf8 ? "utf8 " : "",
                 (unsigned long long)command->length);
    if (command->search.returns != 0)
        buf_addf(out, " return %x", command->search.returns);
    for (size_t i = 0; i < command->n_criteria; i++)
        buf_addf(out, " %s%d", command->criteria[i].reverse ? "-" : "",
                 (int)command->criteria[i].by);
    if (command->search.n_keys > 0) {
        buf_add_byte(out, ' ');
        print_key(&command->search, 0, out);
    }
}

static const struct {
    const char *text;
    const char *means; /* "!reason" where it is wrong */
} commands[] = {
    {"a1 CAPABILITY", "CAPABILITY"},
    {"A.1 noop", "NOOP"},
    {"a LOGIN joe secret", "LOGIN 'joe' 'secret'"},
    {"a login \"joe \\\"x\\\\\" \"\"", "LOGIN 'joe \"x\\' ''"},
    {"a LOGIN {3}\r\nj\"e {2+}\r\n ]", "LOGIN 'j\"e' ' ]'"},
    {"a LOGIN a]b c", "LOGIN 'a]b' 'c'"},
    {"a AUTHENTICATE PLAIN", "AUTHENTICATE 'PLAIN'"},
    {"a AUTHENTICATE plain AGEAYg==", "AUTHENTICATE 'plain' 'AGEAYg=='"},
    {"a AUTHENTICATE PLAIN =", "AUTHENTICATE 'PLAIN' '='"},
    {"a ENABLE CONDSTORE UTF8=ACCEPT", "ENABLE CONDSTORE UTF8=ACCEPT"},
    {"a ID NIL", "ID"},
    {"a ID ()", "ID"},
    {"a ID (\"name\" \"x\" \"v\" NIL)", "ID"},
    {"a SELECT inbox", "SELECT 'INBOX'"},
    {"a SELECT \"a b\" (CONDSTORE)", "SELECT 'a b' condstore"},
    {"a EXAMINE x (QRESYNC (67890007 20050715194045000 41:211,214:541))",
     "EXAMINE 'x' qresync 67890007 20050715194045000 41:211,214:541 /"},
    {"a SELECT x (QRESYNC (1 2 (1:3 4:6)))", "SELECT 'x' qresync 1 2  1:3/4:6"},
    {"a SELECT x (QRESYNC (1 2 1:9 (1:3 4:6)) CONDSTORE)",
     "SELECT 'x' condstore qresync 1 2 1:9 1:3/4:6"},
    {"a CREATE x (USE (\\Drafts))", "CREATE 'x'"},
    {"a RENAME x inbox", "RENAME 'x' 'INBOX'"},
    {"a LIST \"\" *", "LIST '' *"},
    {"a LIST \"\" (\"INBOX\" \"Dr%\") RETURN (CHILDREN)",
     "LIST '' INBOX Dr% options 120"},
    {"a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" \"*\"", "LIST '' * options 105"},
    {"a LIST \"\" % RETURN (STATUS (MESSAGES UNSEEN) SPECIAL-USE)",
     "LIST '' % options 1c0 status 9"},
    {"a LIST () \"\" x RETURN ()", "LIST '' x options 100"},
    {"a LSUB \"\" INBOX.*", "LSUB '' INBOX.*"},
    {"a STATUS x (MESSAGES SIZE HIGHESTMODSEQ)", "STATUS 'x' status a1"},
    {"a APPEND x {5}", "APPEND 'x' 5"},
    {"a APPEND x {5+}", "APPEND 'x' 5"},
    {"a APPEND x (\\Seen $Junk) \" 7-Feb-1994 21:52:25 -0800\" {310}",
     "APPEND 'x' 1{$Junk} at 760686745000 310"},
    {"a APPEND x UTF8 (~{5}", "APPEND 'x' utf8 5"},
    {"a APPEND x ~{5}", "APPEND 'x' 5"},
    {"a UID EXPUNGE 3:5", "UID EXPUNGE 3:5"},
    {"a EXPUNGE", "EXPUNGE"},
    {"a FETCH 1 FLAGS", "FETCH 1 FLAGS"},
    {"a FETCH 2:4 ALL", "FETCH 2:4 FLAGS DATE SIZE ENVELOPE"},
    {"a FETCH 2:4 fast", "FETCH 2:4 FLAGS DATE SIZE"},
    {"a FETCH 2:4 FULL", "FETCH 2:4 FLAGS DATE SIZE ENVELOPE BODY"},
    {"a UID FETCH $ (UID MODSEQ)", "UID FETCH $ UID MODSEQ"},
    {"a FETCH 1 (BODY BODYSTRUCTURE RFC822 RFC822.HEADER RFC822.TEXT)",
     "FETCH 1 BODY STRUCTURE SECTION[0] -SECTION[1] SECTION[2]"},
    {"a FETCH 1 BODY[]", "FETCH 1 SECTION[0]"},
    {"a FETCH 1 BODY.PEEK[1.2.MIME]<10.20>", "FETCH 1 -SECTION[3.1.2]<10.20>"},
    {"a FETCH 1 (BODY.PEEK[HEADER.FIELDS (From \"To\" {2}\r\nCc)] UID)",
     "FETCH 1 -SECTION[4 From To Cc] UID"},
    {"a FETCH 1 body[4.1.header.fields.not (x)]", "FETCH 1 SECTION[5.4.1 x]"},
    {"a FETCH 1 (BINARY[1.2] BINARY.PEEK[3] BINARY.SIZE[2])",
     "FETCH 1 %SECTION[0.1.2] -%SECTION[0.3] -%BSIZE[0.2]"},
    {"a FETCH 1 (FLAGS) (CHANGEDSINCE 12345)", "FETCH 1 FLAGS since 12345"},
    {"a UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)",
     "UID FETCH 1:0 FLAGS since 1 vanished"},
    {"a STORE 1 FLAGS ()", "STORE 1 = 0{}"},
    {"a STORE 1 FLAGS \\Seen \\Deleted", "STORE 1 = 9{}"},
    {"a STORE 1:2 +FLAGS.SILENT (\\Flagged a \\Draft b)",
     "STORE 1:2 +silent 14{a b}"},
    {"a UID STORE 1 (UNCHANGEDSINCE 320162338) -FLAGS (x)",
     "UID STORE 1 unchanged 320162338 - 0{x}"},
    {"a COPY 1 Trash", "COPY 1 'Trash'"},
    {"a UID MOVE 1:* \"Trash\"", "UID MOVE 1:0 'Trash'"},
    {"a SEARCH ALL", "SEARCH (AND(ALL))"},
    {"a SEARCH 1:5,7 UNSEEN", "SEARCH (AND(SET1:5,7)(NOT(FLAG 1)))"},
    {"a SEARCH CHARSET UTF-8 TEXT {3}\r\na b", "SEARCH (AND(TEXT \"a b\"))"},
    {"a SEARCH OR SEEN (FLAGGED NOT FROM joe) LARGER 10",
     "SEARCH (AND(OR(FLAG 1)(AND(FLAG 4)(NOT(FIELD From \"joe\"))))"
     "(LARGER 10))"},
    {"a SEARCH HEADER X-Y \"\" SINCE 1-Feb-1994",
     "SEARCH (AND(FIELD X-Y \"\")(SINCE day 8797))"},
    {"a SEARCH SENTON \"29-Feb-2000\" UID 3 KEYWORD $x",
     "SEARCH (AND(SENTON day 11016)(UID3)(KEYWORD \"$x\"))"},
    {"a SEARCH RETURN (MIN COUNT) NEW OLD",
     "SEARCH return 29 (AND(NONE)(ALL))"},
    {"a SEARCH RETURN () YOUNGER 60", "SEARCH return 24 (AND(YOUNGER 60))"},
    {"a UID SEARCH RETURN (SAVE) $", "UID SEARCH return 30 (AND(SET))"},
    {"a SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338",
     "SEARCH (AND(MODSEQ 620162338))"},
    {"a SEARCH ((((SEEN))))", "SEARCH (AND(AND(AND(AND(AND(FLAG 1))))))"},
    {"a SORT (SUBJECT REVERSE DATE) UTF-8 ALL", "SORT 5 -2 (AND(ALL))"},
    {"a UID SORT RETURN (ALL) (ARRIVAL) US-ASCII DELETED",
     "UID SORT return 24 0 (AND(FLAG 8))"},

    {"", "!a tag is missing"},
    {" NOOP", "!a tag is missing"},
    {"+ NOOP", "!a tag is missing"},
    {"a", "!arguments are missing"},
    {"a ", "!a word is missing"},
    {"a  NOOP", "!a word is missing"},
    {"a XYZZY", "!there is no command \"XYZZY\""},
    {"a UID NOOP", "!there is no command \"UID NOOP\""},
    {"a NOOP ", "!unexpected after the arguments: \" \""},
    {"a NOOP x", "!unexpected after the arguments: \" x\""},
    {"a LOGIN joe", "!arguments are missing"},
    {"a LOGIN \"joe x", "!\"\"\" is missing"},
    {"a LOGIN \"jo\\e\" x", "!\"\\\" before what needs none"},
    {"a LOGIN joe {9}\r\nabc", "!a literal is cut off"},
    {"a FETCH 0 FLAGS", "!not a set of numbers"},
    {"a FETCH 1", "!arguments are missing"},
    {"a FETCH 1 ()", "!there is no item \"\""},
    {"a FETCH 1 FLAG", "!there is no item \"FLAG\""},
    {"a FETCH 1 (FLAGS", "!arguments are missing"},
    {"a FETCH 1 (ALL FLAGS)", "!there is no item \"ALL\""},
    {"a FETCH 1 BODY[0]", "!there is no section \"0\""},
    {"a FETCH 1 BODY[MIME]", "!there is no section \"MIME\""},
    {"a FETCH 1 BODY[1", "!\"]\" is missing"},
    {"a FETCH 1 BINARY[1.HEADER]", "!there is no section \"1.HEADER\""},
    {"a FETCH 1 BODY[]<1.0>", "!a part of 0 bytes"},
    {"a FETCH 1 BODY[HEADER.FIELDS]", "!a blank is missing"},
    {"a FETCH 1 FLAGS (VANISHED)", "!VANISHED goes with UID and CHANGEDSINCE"},
    {"a STORE 1 FLAGS \\Recent", "!\"Recent\" is not known here"},
    {"a STORE 1 FLAG x", "!FLAGS is missing"},
    {"a SEARCH", "!arguments are missing"},
    {"a SEARCH CHARSET KOI8-R ALL", "!searching is in UTF-8 or US-ASCII"},
    {"a SEARCH BEFORE 31-Feb-2000", "!a date is not one"},
    {"a SEARCH BEFORE 1-Foo-2000", "!a month is missing"},
    {"a SEARCH LARGER 4294967296", "!a number that is too large"},
    {"a SEARCH (SEEN", "!\")\" is missing"},
    {"a SEARCH NOT", "!arguments are missing"},
    {"a SEARCH FOO", "!there is no search key \"FOO\""},
    {"a SELECT x (FOO)", "!CONDSTORE or QRESYNC is missing"},
    {"a SELECT x (QRESYNC (1 2) QRESYNC (1 2))",
     "!CONDSTORE or QRESYNC is missing"},
    {"a LIST (RECURSIVEMATCH) \"\" *", "!RECURSIVEMATCH needs another option"},
    {"a LIST \"\" * RETURN (FOO)", "!\"FOO\" is not known here"},
    {"a APPEND x (\\Foo) {1}", "!\"Foo\" is not known here"},
    {"a SORT () UTF-8 ALL", "!a word is missing"},
    {"a NOOP \r", "!unexpected after the arguments: \" ?\""},
};

static void
test_commands(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(commands); i++) {
        struct imap_command command;
        struct buf text = {0}, out = {0};
        struct why why = {0};

        buf_add_text(&text, commands[i].text);
        if (imap_command_parse(&text, &command, &why) == 0)
            print(&command, &out);
        else
            buf_addf(&out, "!%s", why.text);
        assert_view(buf_view(&out), commands[i].means);
        imap_command_free(&command);
        buf_free(&text);
        buf_free(&out);
    }
}

/* Repeats: head, n times unit, tail. */
static int
parse_many(const char *head, const char *unit, int n, const char *tail,
           struct why *why)
{
    struct imap_command command;
    struct buf text = {0};
    int rc;

    buf_add_text(&text, head);
    for (int i = 0; i < n; i++)
        buf_add_text(&text, unit);
    buf_add_text(&text, tail);
    rc = imap_command_parse(&text, &command, why);
    imap_command_free(&command);
    buf_free(&text);
    return rc;
}

static const struct {
    const char *head, *unit, *tail;
    int most; /* so many are taken, one more is not */
    const char *reason;
} limits[] = {
    {"a SEARCH", " SEEN", "", IMAP_KEYS_MAX - 1, "more than 1000 keys"},
    {"a SEARCH ", "NOT ", "SEEN", IMAP_NESTING_MAX - 1,
     "keys nested deeper than 32"},
    {"a ENABLE", " X", "", IMAP_WORDS_MAX, "more than 32 words"},
    {"a FETCH 1 (UID", " UID", ")", IMAP_ITEMS_MAX - 1, "more than 64 items"},
    {"a FETCH 1 BODY[HEADER.FIELDS (x", " x", ")]", IMAP_FIELDS_MAX - 1,
     "more than 100 fields"},
    {"a SORT (DATE", " DATE", ") UTF-8 ALL", IMAP_CRITERIA_MAX - 1,
     "more than 16 criteria"},
    {"a LIST \"\" (x", " x", ")", IMAP_PATTERNS_MAX - 1,
     "more than 32 patterns"},
    {"", "t", " NOOP", IMAP_TAG_MAX, "a tag is longer than 128 bytes"},
};

static void
test_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(limits); i++) {
        struct why why = {0};

        assert_int_equal(parse_many(limits[i].head, limits[i].unit,
                                    limits[i].most, limits[i].tail, &why),
                         0);
        assert_int_equal(parse_many(limits[i].head, limits[i].unit,
                                    limits[i].most + 1, limits[i].tail, &why),
                         -1);
        assert_string_equal(why.text, limits[i].reason);
    }
}

/* --- into responses ------------------------------------------------------- */

static void
test_put(void **state)
{
    struct buf out = {0};

    (void)state;
    imap_put_string(VIEW("a\"b\\c"), &out);
    imap_put_string(VIEW("x\r\ny"), &out);
    imap_put_mailbox(VIEW("INBOX"), false, &out);
    imap_put_mailbox(VIEW("a b"), false, &out);
    imap_put_mailbox(VIEW("\303\274"), false, &out);
    imap_put_mailbox(VIEW("\303\274"), true, &out);
    imap_put_mailbox(VIEW("nil"), false, &out);
    imap_put_date_time(760686745000, &out);
    assert_view(buf_view(&out),
                "\"a\\\"b\\\\c\"{4}\r\nx\r\nyINBOX\"a b\"&APw-"
                "\"\303\274\"\"nil\"\" 8-Feb-1994 05:52:25 +0000\"");
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader),
        cmocka_unit_test(test_endless_line),
        cmocka_unit_test(test_literal_bomb),
        cmocka_unit_test(test_command_limit),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_set_questions),
        cmocka_unit_test(test_set_limit),
        cmocka_unit_test(test_utf7),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_put),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
