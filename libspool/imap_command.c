/* SPDX-License-Identifier: ISC */
#include "imap_command.h"

#include <stdlib.h>

#include "imap_args.h"

/* --- small commands ------------------------------------------------------- */

static int
args_none(struct imap_in *in, struct imap_command *command, struct why *why)
{
    (void)in, (void)command, (void)why;
    return 0;
}

static int
args_login(struct imap_in *in, struct imap_command *command, struct why *why)
{
    if (imap_take_char(in, ' ', why) != 0 ||
        imap_take_astring(in, &command->first, why) != 0 ||
        imap_take_char(in, ' ', why) != 0)
        return -1;
    return imap_take_astring(in, &command->second, why);
}

static int
args_authenticate(struct imap_in *in, struct imap_command *command,
                  struct why *why)
{
    if (imap_take_char(in, ' ', why) != 0 ||
        imap_take_atom(in, &command->first, why) != 0)
        return -1;
    if (in->at == in->end)
        return 0;
    if (imap_take_char(in, ' ', why) != 0)
        return -1;
    command->second = imap_rest(in); /* base64, or "=": nothing (RFC 4959) */
    in->at = in->end;
    return 0;
}

static int
args_words(struct imap_in *in, struct imap_command *command, struct why *why)
{
    do {
        if (command->n_words == IMAP_WORDS_MAX)
            return why_text(why, "more than %d words", IMAP_WORDS_MAX);
        if (imap_take_char(in, ' ', why) != 0 ||
            imap_take_atom(in, &command->words[command->n_words++], why) != 0)
            return -1;
    } while (in->at < in->end);
    return 0;
}

/* What the client says of itself is checked, not kept. */
static int
args_id(struct imap_in *in, struct imap_command *command, struct why *why)
{
    struct view name, value;
    int more;

    (void)command;
    if (imap_take_char(in, ' ', why) != 0)
        return -1;
    if (imap_take_word(in, "NIL"))
        return 0;
    for (more = args_begin(in, why); more == 1; more = args_more(in, why)) {
        if (imap_take_string(in, &name, why) != 0 ||
            imap_take_char(in, ' ', why) != 0 ||
            imap_take_nstring(in, &value, why) != 0)
            return -1;
    }
    return more;
}

static int
args_mailbox(struct imap_in *in, struct imap_command *command, struct why *why)
{
    return args_take_mailbox(in, &command->first, why);
}

static int
args_mailboxes(struct imap_in *in, struct imap_command *command,
               struct why *why)
{
    if (args_take_mailbox(in, &command->first, why) != 0)
        return -1;
    return args_take_mailbox(in, &command->second, why);
}

/* --- for all of them ------------------------------------------------------ */

int
args_take_set(struct imap_in *in, struct imap_set *set, struct why *why)
{
    const char *from;

    if (imap_take_char(in, ' ', why) != 0)
        return -1;
    from = in->at;
    while (in->at < in->end &&
           ((*in->at >= '0' && *in->at <= '9') || strchr("*:,$", *in->at)))
        in->at++;
    imap_set_free(set);
    return imap_set_parse(set, (struct view){from, (size_t)(in->at - from)},
                          why);
}

int
args_take_mailbox(struct imap_in *in, struct view *name, struct why *why)
{
    if (imap_take_char(in, ' ', why) != 0 ||
        imap_take_astring(in, name, why) != 0)
        return -1;
    if (view_equal_nocase(*name, VIEW("INBOX")))
        *name = VIEW("INBOX");
    return 0;
}

int
args_begin(struct imap_in *in, struct why *why)
{
    if (imap_take_char(in, '(', why) != 0)
        return -1;
    if (!imap_sees(in, ')'))
        return 1;
    in->at++;
    return 0;
}

int
args_more(struct imap_in *in, struct why *why)
{
    if (imap_sees(in, ')')) {
        in->at++;
        return 0;
    }
    return imap_take_char(in, ' ', why) == 0 ? 1 : -1;
}

int
args_take_bit(struct imap_in *in, const struct args_word *words, size_t n,
              unsigned *bit, struct why *why)
{
    struct view word;

    if (imap_take_atom(in, &word, why) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (view_equal_nocase(word, view_of(words[i].word))) {
            *bit = words[i].bit;
            return 0;
        }
    return why_text(why, "\"%.*s\" is not known here", (int)word.len,
                    word.data);
}

/* --- flags ---------------------------------------------------------------- */

static const struct args_word system_flags[] = {
    {"SEEN", IMAP_FLAG_SEEN},       {"ANSWERED", IMAP_FLAG_ANSWERED},
    {"FLAGGED", IMAP_FLAG_FLAGGED}, {"DELETED", IMAP_FLAG_DELETED},
    {"DRAFT", IMAP_FLAG_DRAFT},
};

/* *to: where the next keyword may be kept. Keywords stay where they stand or
 * move to the front, into the room of flags before them. */
static int
take_flag(struct imap_in *in, struct imap_flags *flags, char **to,
          struct why *why)
{
    struct view word;
    unsigned bit = 0;

    if (imap_sees(in, '\\')) {
        in->at++;
        if (args_take_bit(in, system_flags,
                          sizeof(system_flags) / sizeof(system_flags[0]), &bit,
                          why) != 0)
            return -1;
        flags->bits |= bit;
        return 0;
    }
    if (imap_take_atom(in, &word, why) != 0)
        return -1;
    if (flags->keywords.len > 0)
        *(*to)++ = ' ';
    else
        flags->keywords.data = *to;
    memmove(*to, word.data, word.len);
    *to += word.len;
    flags->keywords.len = (size_t)(*to - flags->keywords.data);
    return 0;
}

int
args_take_flags(struct imap_in *in, bool bare, struct imap_flags *flags,
                struct why *why)
{
    char *to = in->at;
    int more;

    *flags = (struct imap_flags){0};
    if (bare && !imap_sees(in, '(')) {
        do {
            if (take_flag(in, flags, &to, why) != 0)
                return -1;
        } while (imap_sees(in, ' ') && in->at++);
        return 0;
    }
    for (more = args_begin(in, why); more == 1; more = args_more(in, why)) {
        if (take_flag(in, flags, &to, why) != 0)
            return -1;
    }
    return more;
}

/* --- the table ------------------------------------------------------------ */

static const struct {
    const char *word;
    unsigned where;
    int uid;
    imap_args_fn *arguments;
} verbs[IMAP_VERB_COUNT] = {
#define X(NAME, word, where, uid, arguments, rfc)                              \
    [IMAP_##NAME] = {word, IMAP_IN_##where, uid, args_##arguments},
#include "imap_verb_table.h"
#undef X
};

enum imap_where
imap_verb_where(enum imap_verb verb)
{
    return (enum imap_where)verbs[verb].where;
}

const char *
imap_verb_name(enum imap_verb verb)
{
    return verb == IMAP_UNKNOWN ? "?" : verbs[verb].word;
}

static enum imap_verb
find_verb(struct view word, bool uid)
{
    for (int v = IMAP_UNKNOWN + 1; v < IMAP_VERB_COUNT; v++)
        if (view_equal_nocase(word, view_of(verbs[v].word)) &&
            (uid ? verbs[v].uid > 0 : verbs[v].uid < 2))
            return (enum imap_verb)v;
    return IMAP_UNKNOWN;
}

static int
parse(struct buf *text, struct imap_command *command, struct why *why)
{
    static char nothing[1]; /* an empty line has no memory */
    char *at = text->len > 0 ? text->data : nothing;
    struct imap_in in = {at, at + text->len};

    *command = (struct imap_command){0};
    if (imap_take_tag(&in, &command->tag, why) != 0)
        return -1;
    if (in.at < in.end && !imap_sees(&in, ' ')) {
        command->tag = (struct view){NULL, 0};
        return why_text(why, "what cannot be in a tag");
    }
    if (imap_take_char(&in, ' ', why) != 0 ||
        imap_take_atom(&in, &command->name, why) != 0)
        return -1;
    if (view_equal_nocase(command->name, VIEW("UID"))) {
        command->uid = true;
        if (imap_take_char(&in, ' ', why) != 0 ||
            imap_take_atom(&in, &command->name, why) != 0)
            return -1;
    }
    command->verb = find_verb(command->name, command->uid);
    if (command->verb == IMAP_UNKNOWN)
        return why_text(why, "there is no command \"%s%.*s\"",
                        command->uid ? "UID " : "",
                        (int)(command->name.len < 40 ? command->name.len : 40),
                        command->name.data);
    if (verbs[command->verb].arguments(&in, command, why) != 0)
        return -1;
    return imap_take_end(&in, why);
}

int
imap_command_parse(struct buf *text, struct imap_command *command,
                   struct why *why)
{
    int rc = parse(text, command, why);

    /* The reason goes into a line of text, and quotes what came. */
    for (char *c = why->text; rc != 0 && *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return rc;
}

void
imap_command_free(struct imap_command *command)
{
    for (size_t i = 0; i < command->n_items; i++)
        free(command->items[i].fields);
    free(command->items);
    for (size_t i = 0; i < command->search.n_keys; i++)
        imap_set_free(&command->search.keys[i].set);
    free(command->search.keys);
    imap_set_free(&command->set);
    imap_set_free(&command->known_uids);
    imap_set_free(&command->match_seqs);
    imap_set_free(&command->match_uids);
    *command = (struct imap_command){0};
}
