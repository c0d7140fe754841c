/* SPDX-License-Identifier: ISC */
/*
 * Arguments of SEARCH and SORT: a program of keys, each with its children in
 * a list. Nesting is bounded, so reading it recursively is.
 */
#include <stdlib.h>

#include "imap_args.h"
#include "mem.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum key_argument {
    ARG_NONE,
    ARG_TEXT,    /* of a field, if the row names one */
    ARG_HEADER,  /* a field's name and a text */
    ARG_KEYWORD, /* an atom */
    ARG_DATE,
    ARG_NUMBER,
    ARG_MODSEQ,
    ARG_SET,
};

static const struct {
    const char *word;
    enum imap_key_kind kind;
    enum key_argument argument;
    bool negated; /* the key is the opposite */
    unsigned flag;
    const char *field;
} rows[] = {
    {"ALL", IMAP_KEY_ALL, ARG_NONE, false, 0, NULL},
    {"ANSWERED", IMAP_KEY_FLAG, ARG_NONE, false, IMAP_FLAG_ANSWERED, NULL},
    {"BCC", IMAP_KEY_FIELD, ARG_TEXT, false, 0, "Bcc"},
    {"BEFORE", IMAP_KEY_BEFORE, ARG_DATE, false, 0, NULL},
    {"BODY", IMAP_KEY_BODY, ARG_TEXT, false, 0, NULL},
    {"CC", IMAP_KEY_FIELD, ARG_TEXT, false, 0, "Cc"},
    {"DELETED", IMAP_KEY_FLAG, ARG_NONE, false, IMAP_FLAG_DELETED, NULL},
    {"DRAFT", IMAP_KEY_FLAG, ARG_NONE, false, IMAP_FLAG_DRAFT, NULL},
    {"FLAGGED", IMAP_KEY_FLAG, ARG_NONE, false, IMAP_FLAG_FLAGGED, NULL},
    {"FROM", IMAP_KEY_FIELD, ARG_TEXT, false, 0, "From"},
    {"HEADER", IMAP_KEY_FIELD, ARG_HEADER, false, 0, NULL},
    {"KEYWORD", IMAP_KEY_KEYWORD, ARG_KEYWORD, false, 0, NULL},
    {"LARGER", IMAP_KEY_LARGER, ARG_NUMBER, false, 0, NULL},
    {"MODSEQ", IMAP_KEY_MODSEQ, ARG_MODSEQ, false, 0, NULL},
    {"NEW", IMAP_KEY_NONE, ARG_NONE, false, 0, NULL},
    {"OLD", IMAP_KEY_ALL, ARG_NONE, false, 0, NULL},
    {"OLDER", IMAP_KEY_OLDER, ARG_NUMBER, false, 0, NULL},
    {"ON", IMAP_KEY_ON, ARG_DATE, false, 0, NULL},
    {"RECENT", IMAP_KEY_NONE, ARG_NONE, false, 0, NULL},
    {"SEEN", IMAP_KEY_FLAG, ARG_NONE, false, IMAP_FLAG_SEEN, NULL},
    {"SENTBEFORE", IMAP_KEY_SENTBEFORE, ARG_DATE, false, 0, NULL},
    {"SENTON", IMAP_KEY_SENTON, ARG_DATE, false, 0, NULL},
    {"SENTSINCE", IMAP_KEY_SENTSINCE, ARG_DATE, false, 0, NULL},
    {"SINCE", IMAP_KEY_SINCE, ARG_DATE, false, 0, NULL},
    {"SMALLER", IMAP_KEY_SMALLER, ARG_NUMBER, false, 0, NULL},
    {"SUBJECT", IMAP_KEY_FIELD, ARG_TEXT, false, 0, "Subject"},
    {"TEXT", IMAP_KEY_TEXT, ARG_TEXT, false, 0, NULL},
    {"TO", IMAP_KEY_FIELD, ARG_TEXT, false, 0, "To"},
    {"UID", IMAP_KEY_UID, ARG_SET, false, 0, NULL},
    {"UNANSWERED", IMAP_KEY_FLAG, ARG_NONE, true, IMAP_FLAG_ANSWERED, NULL},
    {"UNDELETED", IMAP_KEY_FLAG, ARG_NONE, true, IMAP_FLAG_DELETED, NULL},
    {"UNDRAFT", IMAP_KEY_FLAG, ARG_NONE, true, IMAP_FLAG_DRAFT, NULL},
    {"UNFLAGGED", IMAP_KEY_FLAG, ARG_NONE, true, IMAP_FLAG_FLAGGED, NULL},
    {"UNKEYWORD", IMAP_KEY_KEYWORD, ARG_KEYWORD, true, 0, NULL},
    {"UNSEEN", IMAP_KEY_FLAG, ARG_NONE, true, IMAP_FLAG_SEEN, NULL},
    {"YOUNGER", IMAP_KEY_YOUNGER, ARG_NUMBER, false, 0, NULL},
};

/* --- keys ----------------------------------------------------------------- */

/* Its position; keys may move. IMAP_KEY_END: there are too many. */
static uint32_t
add_key(struct imap_search *search, enum imap_key_kind kind, struct why *why)
{
    if (search->n_keys == IMAP_KEYS_MAX) {
        why_text(why, "more than %d keys", IMAP_KEYS_MAX);
        return IMAP_KEY_END;
    }
    if ((search->n_keys & (search->n_keys - 1)) == 0)
        search->keys =
            mem_grow(search->keys, search->n_keys == 0 ? 1 : search->n_keys * 2,
                     sizeof(*search->keys));
    search->keys[search->n_keys] = (struct imap_key){
        .kind = kind, .first = IMAP_KEY_END, .next = IMAP_KEY_END};
    return (uint32_t)search->n_keys++;
}

/* "MODSEQ [entry-name entry-type] n": flags have one mod-sequence. */
static int
take_modseq(struct imap_in *in, struct imap_command *command, uint64_t *modseq,
            struct why *why)
{
    struct view name;

    command->search.has_modseq = true;
    if (imap_sees(in, '"') && (imap_take_string(in, &name, why) != 0 ||
                               imap_take_char(in, ' ', why) != 0 ||
                               imap_take_atom(in, &name, why) != 0 ||
                               imap_take_char(in, ' ', why) != 0))
        return -1;
    return imap_take_number(in, INT64_MAX, modseq, why);
}

static int
take_argument(struct imap_in *in, struct imap_command *command,
              enum key_argument argument, uint32_t at, struct why *why)
{
    struct imap_key *key = &command->search.keys[at];

    if (argument == ARG_NONE)
        return 0;
    if (argument == ARG_SET)
        return args_take_set(in, &key->set, why);
    if (imap_take_char(in, ' ', why) != 0)
        return -1;
    switch (argument) {
    case ARG_HEADER:
        if (imap_take_astring(in, &key->field, why) != 0 ||
            imap_take_char(in, ' ', why) != 0)
            return -1;
        return imap_take_astring(in, &key->text, why);
    case ARG_KEYWORD:
        return imap_take_atom(in, &key->text, why);
    case ARG_DATE:
        return imap_take_date(in, &key->day, why);
    case ARG_NUMBER:
        return imap_take_number(in, UINT32_MAX, &key->number, why);
    case ARG_MODSEQ:
        return take_modseq(in, command, &key->number, why);
    default:
        return imap_take_astring(in, &key->text, why);
    }
}

static uint32_t take_key(struct imap_in *in, struct imap_command *command,
                         unsigned depth, struct why *why);

/* count keys, each after a blank but the first, as children of parent; 0: up
 * to the end of a list or of the command. */
static int
take_keys(struct imap_in *in, struct imap_command *command, uint32_t parent,
          size_t count, unsigned depth, struct why *why)
{
    struct imap_search *search = &command->search;
    uint32_t last = IMAP_KEY_END;

    for (size_t n = 0; count == 0 || n < count; n++) {
        uint32_t key;

        if (n > 0) {
            if (count == 0 && (in->at == in->end || imap_sees(in, ')')))
                return 0;
            if (imap_take_char(in, ' ', why) != 0)
                return -1;
        }
        key = take_key(in, command, depth + 1, why);
        if (key == IMAP_KEY_END)
            return -1;
        if (last == IMAP_KEY_END)
            search->keys[parent].first = key;
        else
            search->keys[last].next = key;
        last = key;
    }
    return 0;
}

/* A key that has others: "(...)", NOT, OR. */
static uint32_t
take_group(struct imap_in *in, struct imap_command *command,
           enum imap_key_kind kind, unsigned depth, struct why *why)
{
    uint32_t key = add_key(&command->search, kind, why);
    size_t count = kind == IMAP_KEY_OR ? 2 : kind == IMAP_KEY_NOT ? 1 : 0;

    if (key == IMAP_KEY_END)
        return key;
    if (count > 0 && imap_take_char(in, ' ', why) != 0)
        return IMAP_KEY_END;
    if (take_keys(in, command, key, count, depth, why) != 0)
        return IMAP_KEY_END;
    if (kind == IMAP_KEY_AND && imap_take_char(in, ')', why) != 0)
        return IMAP_KEY_END;
    return key;
}

/* A key of the table. */
static uint32_t
take_row(struct imap_in *in, struct imap_command *command, struct view word,
         struct why *why)
{
    struct imap_search *search = &command->search;

    for (size_t i = 0; i < COUNT(rows); i++) {
        uint32_t key, outer = IMAP_KEY_END;

        if (!view_equal_nocase(word, view_of(rows[i].word)))
            continue;
        if (rows[i].negated &&
            (outer = add_key(search, IMAP_KEY_NOT, why)) == IMAP_KEY_END)
            return IMAP_KEY_END;
        key = add_key(search, rows[i].kind, why);
        if (key == IMAP_KEY_END)
            return IMAP_KEY_END;
        search->keys[key].number = rows[i].flag;
        search->keys[key].field = view_of(rows[i].field);
        if (take_argument(in, command, rows[i].argument, key, why) != 0)
            return IMAP_KEY_END;
        if (outer == IMAP_KEY_END)
            return key;
        search->keys[outer].first = key;
        return outer;
    }
    why_text(why, "there is no search key \"%.*s\"",
             (int)(word.len < 40 ? word.len : 40), word.data);
    return IMAP_KEY_END;
}

/* A set of message numbers: it may have "*" and "$", which no word has. */
static uint32_t
take_numbers(struct imap_in *in, struct imap_command *command, struct why *why)
{
    uint32_t key = add_key(&command->search, IMAP_KEY_SET, why);
    const char *from = in->at;

    if (key == IMAP_KEY_END)
        return key;
    while (in->at < in->end && *in->at != ' ' && *in->at != ')')
        in->at++;
    return imap_set_parse(&command->search.keys[key].set,
                          (struct view){from, (size_t)(in->at - from)},
                          why) == 0
               ? key
               : IMAP_KEY_END;
}

static uint32_t
take_key(struct imap_in *in, struct imap_command *command, unsigned depth,
         struct why *why)
{
    struct view word;

    if (depth > IMAP_NESTING_MAX) {
        why_text(why, "keys nested deeper than %d", IMAP_NESTING_MAX);
        return IMAP_KEY_END;
    }
    if (imap_sees(in, '(')) {
        in->at++;
        return take_group(in, command, IMAP_KEY_AND, depth, why);
    }
    if (in->at < in->end && ((*in->at >= '0' && *in->at <= '9') ||
                             *in->at == '*' || *in->at == '$'))
        return take_numbers(in, command, why);
    if (imap_take_word(in, "OR"))
        return take_group(in, command, IMAP_KEY_OR, depth, why);
    if (imap_take_word(in, "NOT"))
        return take_group(in, command, IMAP_KEY_NOT, depth, why);
    if (imap_take_atom(in, &word, why) != 0)
        return IMAP_KEY_END;
    return take_row(in, command, word, why);
}

/* The program: keys with a blank between, all of which must hold. */
static int
take_program(struct imap_in *in, struct imap_command *command, struct why *why)
{
    uint32_t all = add_key(&command->search, IMAP_KEY_AND, why);

    return take_keys(in, command, all, 0, 0, why);
}

/* --- SEARCH and SORT ------------------------------------------------------ */

static const struct args_word return_words[] = {
    {"MIN", IMAP_RETURN_MIN},   {"MAX", IMAP_RETURN_MAX},
    {"ALL", IMAP_RETURN_ALL},   {"COUNT", IMAP_RETURN_COUNT},
    {"SAVE", IMAP_RETURN_SAVE},
};

/* " RETURN (...)", if it is there. */
static int
take_returns(struct imap_in *in, struct imap_command *command, struct why *why)
{
    struct imap_in next = *in;
    unsigned bit;
    int more;

    if (!imap_sees(&next, ' '))
        return 0;
    next.at++;
    if (!imap_take_word(&next, "RETURN"))
        return 0;
    *in = next;
    command->search.returns = IMAP_RETURN_GIVEN;
    if (imap_take_char(in, ' ', why) != 0 || imap_take_char(in, '(', why) != 0)
        return -1;
    if (imap_sees(in, ')')) {
        in->at++;
        command->search.returns |= IMAP_RETURN_ALL;
        return 0;
    }
    do {
        if (args_take_bit(in, return_words, COUNT(return_words), &bit, why) !=
            0)
            return -1;
        command->search.returns |= bit;
    } while ((more = args_more(in, why)) == 1);
    return more;
}

static int
take_charset(struct imap_in *in, struct imap_command *command, struct why *why)
{
    struct view name;

    if (imap_take_astring(in, &name, why) != 0)
        return -1;
    if (view_equal_nocase(name, VIEW("UTF-8")) ||
        view_equal_nocase(name, VIEW("US-ASCII")))
        return 0;
    command->bad_charset = true;
    return why_text(why, "searching is in UTF-8 or US-ASCII");
}

int
args_search(struct imap_in *in, struct imap_command *command, struct why *why)
{
    if (take_returns(in, command, why) != 0 ||
        imap_take_char(in, ' ', why) != 0)
        return -1;
    command->has_charset = imap_take_word(in, "CHARSET");
    if (command->has_charset && (imap_take_char(in, ' ', why) != 0 ||
                                 take_charset(in, command, why) != 0 ||
                                 imap_take_char(in, ' ', why) != 0))
        return -1;
    return take_program(in, command, why);
}

static const struct args_word sort_words[] = {
    {"ARRIVAL", IMAP_SORT_ARRIVAL}, {"CC", IMAP_SORT_CC},
    {"DATE", IMAP_SORT_DATE},       {"FROM", IMAP_SORT_FROM},
    {"SIZE", IMAP_SORT_SIZE},       {"SUBJECT", IMAP_SORT_SUBJECT},
    {"TO", IMAP_SORT_TO},
};

static int
take_criteria(struct imap_in *in, struct imap_command *command, struct why *why)
{
    int more;

    if (imap_take_char(in, ' ', why) != 0 || imap_take_char(in, '(', why) != 0)
        return -1;
    do {
        bool reverse = imap_take_word(in, "REVERSE");
        unsigned by;

        if (command->n_criteria == IMAP_CRITERIA_MAX)
            return why_text(why, "more than %d criteria", IMAP_CRITERIA_MAX);
        if ((reverse && imap_take_char(in, ' ', why) != 0) ||
            args_take_bit(in, sort_words, COUNT(sort_words), &by, why) != 0)
            return -1;
        command->criteria[command->n_criteria++] =
            (struct imap_criterion){(enum imap_sort_by)by, reverse};
    } while ((more = args_more(in, why)) == 1);
    return more;
}

int
args_sort(struct imap_in *in, struct imap_command *command, struct why *why)
{
    if (take_returns(in, command, why) != 0 ||
        take_criteria(in, command, why) != 0 ||
        imap_take_char(in, ' ', why) != 0 ||
        take_charset(in, command, why) != 0 ||
        imap_take_char(in, ' ', why) != 0)
        return -1;
    return take_program(in, command, why);
}
