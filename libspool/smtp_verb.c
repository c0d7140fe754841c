/* SPDX-License-Identifier: ISC */
/*
 * Two tables: verbs with the form of what follows them, and the parameters
 * of MAIL and RCPT.
 */
#include "smtp_verb.h"

#include "dsn_param.h"
#include "num.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum form {
    FORM_NONE,   /* nothing may follow */
    FORM_NAME,   /* one word must follow */
    FORM_TEXT,   /* anything may follow */
    FORM_NEEDED, /* something must follow */
    FORM_FROM,   /* FROM:<path> and parameters */
    FORM_TO,     /* TO:<path> and parameters */
};

static const struct verb_row {
    const char *name;
    enum form form;
} verbs[VERB_COUNT] = {
    [VERB_UNKNOWN] = {"?", FORM_TEXT},
    [VERB_HELO] = {"HELO", FORM_NAME},
    [VERB_EHLO] = {"EHLO", FORM_NAME},
    [VERB_MAIL] = {"MAIL", FORM_FROM},
    [VERB_RCPT] = {"RCPT", FORM_TO},
    [VERB_DATA] = {"DATA", FORM_NONE},
    [VERB_RSET] = {"RSET", FORM_NONE},
    [VERB_NOOP] = {"NOOP", FORM_TEXT},
    [VERB_VRFY] = {"VRFY", FORM_NEEDED},
    [VERB_EXPN] = {"EXPN", FORM_NEEDED},
    [VERB_HELP] = {"HELP", FORM_TEXT},
    [VERB_QUIT] = {"QUIT", FORM_NONE},
    [VERB_STARTTLS] = {"STARTTLS", FORM_NONE},
    [VERB_ETRN] = {"ETRN", FORM_NAME},
};

static const struct path_row {
    struct view keyword;
    const char *enhanced; /* of a bad address */
    enum addr_kind refused;
    const char *reason;
} from_row = {{"FROM:", 5}, "5.1.7", ADDR_POSTMASTER, "sender has no domain"},
  to_row = {{"TO:", 3}, "5.1.3", ADDR_NULL, "a recipient cannot be null"};

const char *
smtp_verb_name(enum smtp_verb verb)
{
    return verbs[verb < VERB_COUNT ? verb : VERB_UNKNOWN].name;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct view
skip_blanks(struct view text)
{
    while (text.len > 0 && is_blank(text.data[0]))
        text = view_skip(text, 1);
    return text;
}

static struct view
trim_end(struct view text)
{
    while (text.len > 0 && is_blank(text.data[text.len - 1]))
        text.len--;
    return text;
}

/* Takes the bytes up to the next blank off the front of *text. */
static struct view
take_word(struct view *text)
{
    struct view word = {text->data, 0};

    while (word.len < text->len && !is_blank(text->data[word.len]))
        word.len++;
    *text = view_skip(*text, word.len);
    return word;
}

/* --- parameters of MAIL and RCPT -------------------------------------------
 */

static bool
is_digits(struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return true;
}

static int
set_size(struct smtp_command *command, struct view value, struct why *why)
{
    if (command->has_size)
        return why_set(why, 501, "5.5.4", "SIZE given twice");
    /* RFC 1870 3: 1 to 20 digits, which may be more than 64 bits hold; that
     * is too big for any limit. */
    if (value.len == 0 || value.len > 20 || !is_digits(value))
        return why_set(why, 501, "5.5.4", "SIZE= needs a number of bytes");
    if (num_parse(value, 0, UINT64_MAX, &command->size, NULL) != 0)
        command->size = UINT64_MAX;
    command->has_size = true;
    return 0;
}

static int
set_body(struct smtp_command *command, struct view value, struct why *why)
{
    if (view_equal_nocase(value, VIEW("8BITMIME")))
        command->body = SMTP_BODY_8BITMIME;
    else if (view_equal_nocase(value, VIEW("7BIT")))
        command->body = SMTP_BODY_7BIT;
    else
        return why_set(why, 501, "5.5.4", "BODY= is 7BIT or 8BITMIME");
    return 0;
}

static int
set_smtputf8(struct smtp_command *command, struct view value, struct why *why)
{
    if (value.data != NULL)
        return why_set(why, 501, "5.5.4", "SMTPUTF8 takes no value");
    command->smtputf8 = true;
    return 0;
}

static int
set_ret(struct smtp_command *command, struct view value, struct why *why)
{
    if (command->ret != 0)
        return why_set(why, 501, "5.5.4", "RET given twice");
    if (dsn_ret_parse(value, &command->ret) != 0)
        return why_set(why, 501, "5.5.4", "RET= is FULL or HDRS");
    return 0;
}

static int
set_envid(struct smtp_command *command, struct view value, struct why *why)
{
    if (command->envid.len > 0)
        return why_set(why, 501, "5.5.4", "ENVID given twice");
    if (!dsn_envid_is_valid(value))
        return why_set(why, 501, "5.5.4", "ENVID= needs xtext, up to %d bytes",
                       DSN_ENVID_MAX);
    command->envid = value;
    return 0;
}

static int
set_notify(struct smtp_command *command, struct view value, struct why *why)
{
    if (command->notify != 0)
        return why_set(why, 501, "5.5.4", "NOTIFY given twice");
    if (dsn_notify_parse(value, &command->notify) != 0)
        return why_set(why, 501, "5.5.4",
                       "NOTIFY= is NEVER or a list of SUCCESS, FAILURE, DELAY");
    return 0;
}

static int
set_orcpt(struct smtp_command *command, struct view value, struct why *why)
{
    if (command->orcpt.len > 0)
        return why_set(why, 501, "5.5.4", "ORCPT given twice");
    if (!dsn_orcpt_is_valid(value))
        return why_set(why, 501, "5.5.4",
                       "ORCPT= needs a type, \";\" and xtext, up to %d bytes",
                       DSN_ORCPT_MAX);
    command->orcpt = value;
    return 0;
}

static const struct param_row {
    enum smtp_verb verb;
    struct view keyword;
    int (*set)(struct smtp_command *command, struct view value,
               struct why *why);
} params[] = {
    {VERB_MAIL, {"SIZE", 4}, set_size},
    {VERB_MAIL, {"BODY", 4}, set_body},
    {VERB_MAIL, {"SMTPUTF8", 8}, set_smtputf8},
    {VERB_MAIL, {"RET", 3}, set_ret},
    {VERB_MAIL, {"ENVID", 5}, set_envid},
    {VERB_RCPT, {"NOTIFY", 6}, set_notify},
    {VERB_RCPT, {"ORCPT", 5}, set_orcpt},
};

static int
parse_param(struct smtp_command *command, struct view word, struct why *why)
{
    const char *equals = memchr(word.data, '=', word.len);
    struct view keyword = word, value = {0};

    if (equals != NULL) {
        keyword.len = (size_t)(equals - word.data);
        value = view_skip(word, keyword.len + 1);
    }
    for (size_t i = 0; i < COUNT(params); i++)
        if (command->verb == params[i].verb &&
            view_equal_nocase(keyword, params[i].keyword))
            return params[i].set(command, value, why);
    return why_set(why, 555, "5.5.4", "parameter not recognized");
}

/* --- arguments ----------------------------------------------------------- */

static int
parse_path(struct view rest, const struct path_row *row,
           struct smtp_command *command, struct why *why)
{
    struct view keyword = {rest.data, row->keyword.len};
    struct why path_why;

    if (rest.len < keyword.len || !view_equal_nocase(keyword, row->keyword))
        return why_set(why, 501, "5.5.4", "use %s %.*s<address>",
                       smtp_verb_name(command->verb), (int)row->keyword.len,
                       row->keyword.data);
    /* Not in the grammar, but a blank here is common and cannot mean
     * anything else. */
    rest = skip_blanks(view_skip(rest, keyword.len));
    if (addr_parse_path(&rest, &command->path, &path_why) != 0)
        return why_set(why, 501, row->enhanced, "%s", path_why.text);
    if (command->path.kind == row->refused)
        return why_set(why, 501, row->enhanced, "%s", row->reason);
    if (rest.len > 0 && !is_blank(rest.data[0]))
        return why_set(why, 501, row->enhanced,
                       "unexpected characters after the address");
    for (rest = skip_blanks(rest); rest.len > 0; rest = skip_blanks(rest))
        if (parse_param(command, take_word(&rest), why) != 0)
            return -1;
    if (command->verb == VERB_MAIL && command->path.is_utf8 &&
        !command->smtputf8)
        return why_set(why, 553, "5.6.7",
                       "an address beyond ASCII needs SMTPUTF8");
    return 0;
}

static int
parse_text(struct view rest, enum form form, struct smtp_command *command,
           struct why *why)
{
    const char *name = smtp_verb_name(command->verb);

    command->argument = rest;
    if (form == FORM_NONE && rest.len > 0)
        return why_set(why, 501, "5.5.4", "%s takes no argument", name);
    if ((form == FORM_NAME || form == FORM_NEEDED) && rest.len == 0)
        return why_set(why, 501, "5.5.4", "%s needs an argument", name);
    if (form == FORM_NAME &&
        (take_word(&rest).len > ADDR_DOMAIN_MAX || rest.len > 0))
        return why_set(why, 501, "5.5.4", "%s needs one host name", name);
    return 0;
}

static enum smtp_verb
find_verb(struct view word)
{
    for (enum smtp_verb verb = VERB_UNKNOWN + 1; verb < VERB_COUNT; verb++)
        if (view_equal_nocase(word, view_of(verbs[verb].name)))
            return verb;
    return VERB_UNKNOWN;
}

static bool
has_controls(struct view text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

int
smtp_verb_parse(struct view line, struct smtp_command *command, struct why *why)
{
    struct view rest = trim_end(line);

    *command = (struct smtp_command){0};
    if (has_controls(line))
        return why_set(why, 500, "5.5.2", "control character in a command");
    command->verb = find_verb(take_word(&rest));
    rest = skip_blanks(rest);
    switch (verbs[command->verb].form) {
    case FORM_FROM:
        return parse_path(rest, &from_row, command, why);
    case FORM_TO:
        return parse_path(rest, &to_row, command, why);
    default:
        break;
    }
    if (command->verb == VERB_UNKNOWN)
        return why_set(why, 500, "5.5.2", "command not recognized");
    return parse_text(rest, verbs[command->verb].form, command, why);
}
