/* SPDX-License-Identifier: ISC */
/*
 * Arguments of the commands about mailboxes: SELECT, LIST, STATUS, APPEND.
 */
#include "imap_args.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- SELECT --------------------------------------------------------------- */

/* "(uidvalidity modseq [known-uids] [(seqs uids)])" (RFC 7162 3.2.5) */
static int
take_qresync(struct imap_in *in, struct imap_command *command, struct why *why)
{
    if (imap_take_char(in, ' ', why) != 0 ||
        imap_take_char(in, '(', why) != 0 ||
        imap_take_number(in, UINT32_MAX, &command->uid_validity, why) != 0 ||
        imap_take_char(in, ' ', why) != 0 ||
        imap_take_number(in, INT64_MAX, &command->modseq, why) != 0)
        return -1;
    if (imap_sees(in, ' ') && in->at + 1 < in->end && in->at[1] != '(' &&
        args_take_set(in, &command->known_uids, why) != 0)
        return -1;
    if (imap_sees(in, ' ')) {
        in->at++;
        if (!imap_sees(in, '('))
            return why_text(why, "\"(\" is missing");
        *in->at = ' '; /* as args_take_set wants it */
        if (args_take_set(in, &command->match_seqs, why) != 0 ||
            args_take_set(in, &command->match_uids, why) != 0 ||
            imap_take_char(in, ')', why) != 0)
            return -1;
    }
    command->qresync = true;
    return imap_take_char(in, ')', why);
}

int
args_select(struct imap_in *in, struct imap_command *command, struct why *why)
{
    int more;

    if (args_take_mailbox(in, &command->first, why) != 0)
        return -1;
    if (in->at == in->end)
        return 0;
    if (imap_take_char(in, ' ', why) != 0 || imap_take_char(in, '(', why) != 0)
        return -1;
    do {
        if (imap_take_word(in, "CONDSTORE"))
            command->condstore = true;
        else if (command->qresync || !imap_take_word(in, "QRESYNC"))
            return why_text(why, "CONDSTORE or QRESYNC is missing");
        else if (take_qresync(in, command, why) != 0)
            return -1;
    } while ((more = args_more(in, why)) == 1);
    return more;
}

/* A mailbox, and perhaps "(USE (...))" (RFC 6154). */
int
args_create(struct imap_in *in, struct imap_command *command, struct why *why)
{
    struct view word;
    int more;

    if (args_take_mailbox(in, &command->first, why) != 0)
        return -1;
    if (in->at == in->end)
        return 0;
    if (imap_take_char(in, ' ', why) != 0 ||
        imap_take_char(in, '(', why) != 0 || !imap_take_word(in, "USE") ||
        imap_take_char(in, ' ', why) != 0 || imap_take_char(in, '(', why) != 0)
        return why_text(why, "(USE (...)) is missing");
    do {
        if (imap_take_char(in, '\\', why) != 0 ||
            imap_take_atom(in, &word, why) != 0)
            return -1;
    } while ((more = args_more(in, why)) == 1);
    return more < 0 ? -1 : imap_take_char(in, ')', why);
}

/* --- STATUS --------------------------------------------------------------- */

static const struct args_word status_words[] = {
    {"MESSAGES", IMAP_STATUS_MESSAGES},
    {"UIDNEXT", IMAP_STATUS_UIDNEXT},
    {"UIDVALIDITY", IMAP_STATUS_UIDVALIDITY},
    {"UNSEEN", IMAP_STATUS_UNSEEN},
    {"DELETED", IMAP_STATUS_DELETED},
    {"SIZE", IMAP_STATUS_SIZE},
    {"RECENT", IMAP_STATUS_RECENT},
    {"HIGHESTMODSEQ", IMAP_STATUS_HIGHESTMODSEQ},
    {"APPENDLIMIT", IMAP_STATUS_APPENDLIMIT},
};

static int
take_status_items(struct imap_in *in, struct imap_command *command,
                  struct why *why)
{
    unsigned bit;
    int more;

    if (imap_take_char(in, ' ', why) != 0 || imap_take_char(in, '(', why) != 0)
        return -1;
    do {
        if (args_take_bit(in, status_words, COUNT(status_words), &bit, why) !=
            0)
            return -1;
        command->status_items |= bit;
    } while ((more = args_more(in, why)) == 1);
    return more;
}

int
args_status(struct imap_in *in, struct imap_command *command, struct why *why)
{
    if (args_take_mailbox(in, &command->first, why) != 0)
        return -1;
    return take_status_items(in, command, why);
}

/* --- LIST ----------------------------------------------------------------- */

static const struct args_word select_words[] = {
    {"SUBSCRIBED", IMAP_LIST_SUBSCRIBED},
    {"REMOTE", IMAP_LIST_REMOTE},
    {"RECURSIVEMATCH", IMAP_LIST_RECURSIVEMATCH},
    {"SPECIAL-USE", IMAP_LIST_SPECIAL_USE},
};
static const struct args_word return_words[] = {
    {"SUBSCRIBED", IMAP_LIST_RETURN_SUBSCRIBED},
    {"CHILDREN", IMAP_LIST_RETURN_CHILDREN},
    {"SPECIAL-USE", IMAP_LIST_RETURN_SPECIAL_USE},
    {"STATUS", IMAP_LIST_RETURN_STATUS},
};

/* "(...)", perhaps empty. */
static int
take_options(struct imap_in *in, struct imap_command *command,
             const struct args_word *words, size_t n, struct why *why)
{
    unsigned bit;
    int more;

    command->list_options |= IMAP_LIST_EXTENDED;
    for (more = args_begin(in, why); more == 1; more = args_more(in, why)) {
        if (args_take_bit(in, words, n, &bit, why) != 0)
            return -1;
        command->list_options |= bit;
        if (bit == IMAP_LIST_RETURN_STATUS &&
            take_status_items(in, command, why) != 0)
            return -1;
    }
    return more;
}

static int
take_patterns(struct imap_in *in, struct imap_command *command, struct why *why)
{
    int more;

    if (!imap_sees(in, '(')) {
        command->n_words = 1;
        return imap_take_pattern(in, &command->words[0], why);
    }
    in->at++;
    command->list_options |= IMAP_LIST_EXTENDED;
    do {
        if (command->n_words == IMAP_PATTERNS_MAX)
            return why_text(why, "more than %d patterns", IMAP_PATTERNS_MAX);
        if (imap_take_pattern(in, &command->words[command->n_words++], why) !=
            0)
            return -1;
    } while ((more = args_more(in, why)) == 1);
    return more;
}

int
args_lsub(struct imap_in *in, struct imap_command *command, struct why *why)
{
    if (imap_take_char(in, ' ', why) != 0 ||
        imap_take_astring(in, &command->first, why) != 0 ||
        imap_take_char(in, ' ', why) != 0)
        return -1;
    command->n_words = 1;
    return imap_take_pattern(in, &command->words[0], why);
}

int
args_list(struct imap_in *in, struct imap_command *command, struct why *why)
{
    const unsigned base =
        IMAP_LIST_SUBSCRIBED | IMAP_LIST_SPECIAL_USE | IMAP_LIST_REMOTE;

    if (imap_take_char(in, ' ', why) != 0)
        return -1;
    if (imap_sees(in, '(') && (take_options(in, command, select_words,
                                            COUNT(select_words), why) != 0 ||
                               imap_take_char(in, ' ', why) != 0))
        return -1;
    /* RFC 5258 3.1: it goes with an option that selects. */
    if ((command->list_options & IMAP_LIST_RECURSIVEMATCH) &&
        (command->list_options & base & ~IMAP_LIST_REMOTE) == 0)
        return why_text(why, "RECURSIVEMATCH needs another option");
    if (imap_take_astring(in, &command->first, why) != 0 ||
        imap_take_char(in, ' ', why) != 0 ||
        take_patterns(in, command, why) != 0)
        return -1;
    if (in->at == in->end)
        return 0;
    if (imap_take_char(in, ' ', why) != 0 || !imap_take_word(in, "RETURN") ||
        imap_take_char(in, ' ', why) != 0)
        return why_text(why, "RETURN (...) is missing");
    return take_options(in, command, return_words, COUNT(return_words), why);
}

/* --- APPEND --------------------------------------------------------------- */

/* The last is a literal whose bytes are not there: "{n}", "{n+}", or
 * "UTF8 (~{n}" (RFC 6855 4). */
static int
take_big_literal(struct imap_in *in, struct imap_command *command,
                 struct why *why)
{
    command->utf8 = imap_take_word(in, "UTF8");
    if (command->utf8 && (imap_take_char(in, ' ', why) != 0 ||
                          imap_take_char(in, '(', why) != 0 ||
                          imap_take_char(in, '~', why) != 0))
        return -1;
    if (!command->utf8 && imap_sees(in, '~')) /* literal8 (RFC 3516) */
        in->at++;
    if (imap_take_char(in, '{', why) != 0 ||
        imap_take_number(in, INT64_MAX, &command->length, why) != 0)
        return -1;
    if (imap_sees(in, '+'))
        in->at++;
    return imap_take_char(in, '}', why);
}

int
args_append(struct imap_in *in, struct imap_command *command, struct why *why)
{
    if (args_take_mailbox(in, &command->first, why) != 0 ||
        imap_take_char(in, ' ', why) != 0)
        return -1;
    if (imap_sees(in, '(') &&
        (args_take_flags(in, false, &command->flags, why) != 0 ||
         imap_take_char(in, ' ', why) != 0))
        return -1;
    if (imap_sees(in, '"')) {
        command->has_date = true;
        if (imap_take_date_time(in, &command->date_ms, why) != 0 ||
            imap_take_char(in, ' ', why) != 0)
            return -1;
    }
    return take_big_literal(in, command, why);
}
