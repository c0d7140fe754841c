/* SPDX-License-Identifier: ISC */
/*
 * Commands of IMAP (RFC 3501, RFC 9051 and the extensions named in
 * imap_verb_table.h): from the bytes imap_reader.h gathered to what is asked
 * for. Knows no session: whether a command is allowed now is not said here.
 *
 * Limits: what a command can hold is bounded here, so that whoever executes
 * it need not ask.
 *
 * imap_command.c      the table, tag and verb, the small commands
 * imap_args_list.c    SELECT, LIST, STATUS
 * imap_args_fetch.c   FETCH, STORE, COPY
 * imap_args_search.c  SEARCH, SORT
 */
#ifndef SPOOL_IMAP_COMMAND_H
#define SPOOL_IMAP_COMMAND_H

#include <stdint.h>

#include "imap_set.h"
#include "mime_section.h"
#include "view.h"
#include "why.h"

#define IMAP_WORDS_MAX    32   /* ENABLE */
#define IMAP_PATTERNS_MAX 32   /* LIST */
#define IMAP_ITEMS_MAX    64   /* FETCH */
#define IMAP_FIELDS_MAX   100  /* HEADER.FIELDS */
#define IMAP_KEYS_MAX     1000 /* SEARCH, with AND, OR and NOT */
#define IMAP_NESTING_MAX  32   /* SEARCH */
#define IMAP_CRITERIA_MAX 16   /* SORT */

enum imap_verb {
    IMAP_UNKNOWN, /* command.name is not in the table */
#define X(NAME, word, where, uid, arguments, rfc) IMAP_##NAME,
#include "imap_verb_table.h"
#undef X
    IMAP_VERB_COUNT
};

enum imap_where {
    IMAP_IN_FRESH = 1,
    IMAP_IN_ONLY_AUTH = 2,
    IMAP_IN_SELECTED = 4,
    IMAP_IN_AUTH = IMAP_IN_ONLY_AUTH | IMAP_IN_SELECTED,
    IMAP_IN_ANY = IMAP_IN_FRESH | IMAP_IN_AUTH,
};
/* The states a command is for; the word it is written with. */
enum imap_where imap_verb_where(enum imap_verb verb);
const char *imap_verb_name(enum imap_verb verb);

/* --- arguments ------------------------------------------------------------ */

enum imap_flag { /* the same bits as enum mark_flag */
                 IMAP_FLAG_SEEN = 1,
                 IMAP_FLAG_ANSWERED = 2,
                 IMAP_FLAG_FLAGGED = 4,
                 IMAP_FLAG_DELETED = 8,
                 IMAP_FLAG_DRAFT = 16,
};
struct imap_flags {
    uint64_t bits;
    struct view keywords; /* with a space between */
};

enum imap_item_kind {
    IMAP_ITEM_FLAGS,
    IMAP_ITEM_UID,
    IMAP_ITEM_MODSEQ,
    IMAP_ITEM_INTERNALDATE,
    IMAP_ITEM_SIZE,     /* RFC822.SIZE */
    IMAP_ITEM_ENVELOPE, /* these need the message's structure */
    IMAP_ITEM_BODY,
    IMAP_ITEM_BODYSTRUCTURE,
    IMAP_ITEM_BINARY_SIZE, /* and these perhaps its content */
    IMAP_ITEM_SECTION,     /* BODY[...], BINARY[...], RFC822... */
};
struct imap_item {
    enum imap_item_kind kind;
    struct mime_section section;
    struct view *fields; /* HEADER.FIELDS: owned */
    size_t n_fields;
    const char *alias; /* "RFC822.HEADER" and so on; NULL: a section */
    bool peek;         /* does not set \Seen */
    bool binary;
    bool partial; /* <at.length> */
    uint32_t at, length;
    struct view text; /* between the brackets, as it was written */
};

enum imap_list_option {
    IMAP_LIST_SUBSCRIBED = 1, /* selection */
    IMAP_LIST_REMOTE = 2,
    IMAP_LIST_RECURSIVEMATCH = 4,
    IMAP_LIST_SPECIAL_USE = 8,
    IMAP_LIST_RETURN_SUBSCRIBED = 16,
    IMAP_LIST_RETURN_CHILDREN = 32,
    IMAP_LIST_RETURN_SPECIAL_USE = 64,
    IMAP_LIST_RETURN_STATUS = 128,
    IMAP_LIST_EXTENDED = 256, /* any of RFC 5258 was used */
};

enum imap_status_item {
    IMAP_STATUS_MESSAGES = 1,
    IMAP_STATUS_UIDNEXT = 2,
    IMAP_STATUS_UIDVALIDITY = 4,
    IMAP_STATUS_UNSEEN = 8,
    IMAP_STATUS_DELETED = 16,
    IMAP_STATUS_SIZE = 32,
    IMAP_STATUS_RECENT = 64,
    IMAP_STATUS_HIGHESTMODSEQ = 128,
    IMAP_STATUS_APPENDLIMIT = 256,
};

enum imap_return {
    IMAP_RETURN_MIN = 1,
    IMAP_RETURN_MAX = 2,
    IMAP_RETURN_ALL = 4,
    IMAP_RETURN_COUNT = 8,
    IMAP_RETURN_SAVE = 16,
    IMAP_RETURN_GIVEN = 32, /* RETURN (...) was there: answer ESEARCH */
};

enum imap_key_kind {
    IMAP_KEY_AND, /* children: first, then their next */
    IMAP_KEY_OR,
    IMAP_KEY_NOT,
    IMAP_KEY_ALL,
    IMAP_KEY_NONE,    /* NEW, RECENT: nothing is \Recent here */
    IMAP_KEY_FLAG,    /* number: enum imap_flag */
    IMAP_KEY_KEYWORD, /* text */
    IMAP_KEY_SET,     /* message numbers */
    IMAP_KEY_UID,
    IMAP_KEY_BEFORE, /* INTERNALDATE; day */
    IMAP_KEY_ON,
    IMAP_KEY_SINCE,
    IMAP_KEY_SENTBEFORE, /* the Date field; day */
    IMAP_KEY_SENTON,
    IMAP_KEY_SENTSINCE,
    IMAP_KEY_LARGER, /* number */
    IMAP_KEY_SMALLER,
    IMAP_KEY_OLDER, /* number: seconds (RFC 5032) */
    IMAP_KEY_YOUNGER,
    IMAP_KEY_MODSEQ, /* number */
    IMAP_KEY_FIELD,  /* field, text */
    IMAP_KEY_BODY,   /* text */
    IMAP_KEY_TEXT,
};
#define IMAP_KEY_END UINT32_MAX
struct imap_key {
    enum imap_key_kind kind;
    uint32_t first, next; /* in imap_search.keys, or IMAP_KEY_END */
    uint64_t number;
    int64_t day;
    struct view field, text;
    struct imap_set set; /* owned */
};
struct imap_search {
    struct imap_key *keys; /* owned; keys[0] is an AND of all */
    size_t n_keys;
    unsigned returns; /* enum imap_return, or-ed */
    bool has_modseq;  /* one of them is MODSEQ: RFC 7162 3.1.5 */
};

enum imap_sort_by {
    IMAP_SORT_ARRIVAL,
    IMAP_SORT_CC,
    IMAP_SORT_DATE,
    IMAP_SORT_FROM,
    IMAP_SORT_SIZE,
    IMAP_SORT_SUBJECT,
    IMAP_SORT_TO,
};
struct imap_criterion {
    enum imap_sort_by by;
    bool reverse;
};

struct imap_command {
    struct view tag;  /* empty: there was none */
    struct view name; /* the verb as written */
    enum imap_verb verb;
    bool uid; /* UID was before it */

    struct imap_set set;

    /* LOGIN: user, password. AUTHENTICATE: mechanism, initial response (data
     * NULL: none). A mailbox (UTF-7 or UTF-8, as written), and another. LIST:
     * reference. */
    struct view first, second;
    /* ENABLE: words. LIST: patterns. */
    struct view words[IMAP_WORDS_MAX];
    size_t n_words;

    unsigned list_options; /* enum imap_list_option, or-ed */
    unsigned status_items; /* enum imap_status_item, or-ed */

    bool condstore; /* SELECT (CONDSTORE) */
    bool qresync;   /* SELECT (QRESYNC ...) */
    uint64_t uid_validity, modseq;
    struct imap_set known_uids; /* QRESYNC; none: all */
    struct imap_set match_seqs; /* its last argument: numbers ... */
    struct imap_set match_uids; /* ... and their UIDs */

    struct imap_item *items; /* FETCH, owned */
    size_t n_items;
    bool has_changed_since; /* FETCH CHANGEDSINCE: modseq */
    bool vanished;

    int store; /* '+', '-', or '=' */
    bool silent;
    bool has_unchanged_since; /* STORE UNCHANGEDSINCE: modseq */
    struct imap_flags flags;  /* STORE, APPEND */

    bool has_date; /* APPEND */
    int64_t date_ms;
    bool utf8; /* APPEND UTF8 (~{n} */
    uint64_t length;

    struct imap_search search;
    bool has_charset; /* SEARCH CHARSET */
    bool bad_charset; /* what is wrong is the CHARSET */
    struct imap_criterion criteria[IMAP_CRITERIA_MAX];
    size_t n_criteria;
};

/* text is the whole command as gathered, or for APPEND all up to its message
 * with "{n}"; it is changed (strings are unescaped) and borrowed until
 * imap_command_free. 0: *command says what; -1: *why says what is wrong with
 * it, tag and verb are set as far as they were found. */
int imap_command_parse(struct buf *text, struct imap_command *command,
                       struct why *why);
void imap_command_free(struct imap_command *command);

#endif
