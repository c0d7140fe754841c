/* SPDX-License-Identifier: ISC */
/*
 * The part of a notice that people read: what happened to whom, what the
 * recipient's server said, what can be done. Plain sentences, no codes but
 * those the server gave.
 */
#include "dsn_part.h"

#include "msgid.h"

/* What is said of all recipients of one action, before and after they are
 * listed. */
static const struct {
    const char *one;
    const char *several;
    const char *then;
} words[DSN_ACTION_COUNT] = {
    [DSN_FAILED] = {"Your message could not be delivered to this recipient:",
                    "Your message could not be delivered to these recipients:",
                    "What you can do: look for a mistake in the address, or "
                    "reach the recipient in another way. If the answer above "
                    "does not tell you enough, send it to the postmaster of "
                    "the recipient's domain. Sending the same message again "
                    "will most likely end the same way."},
    [DSN_DELAYED] = {"Your message has not been delivered yet to this "
                     "recipient:",
                     "Your message has not been delivered yet to these "
                     "recipients:",
                     "It is not lost, and you need not send it again: it is "
                     "kept here and delivered as soon as the recipient's "
                     "server takes it. You will be told if that fails in the "
                     "end. If it is urgent, reach the recipient in another "
                     "way."},
    [DSN_RELAYED] = {"You asked to be told: your message was passed on to the "
                     "mail server of this recipient, which took it:",
                     "You asked to be told: your message was passed on to the "
                     "mail server of these recipients, which took it:",
                     "That server does not confirm deliveries, so this is the "
                     "last you hear of it, unless it fails to deliver the "
                     "message. You need not do anything."},
};

static void
add_server(struct buf *out, const struct dsn_recipient *recipient,
           const char *before, const char *after)
{
    buf_add_text(out, before);
    if (recipient->remote.len > 0) {
        buf_add_text(out, " ");
        dsn_add_clean(out, recipient->remote, false);
    }
    buf_add_text(out, after);
}

/* What happened; the reply follows where there is one. */
static void
add_cause(struct buf *out, const struct dsn_recipient *recipient)
{
    bool replied = recipient->reply.len > 0 || recipient->code != 0;

    switch (recipient->cause) {
    case DSN_REFUSED:
        add_server(out, recipient, "The server",
                   " does not accept it. It said:");
        break;
    case DSN_EXPIRED:
        add_server(out, recipient, "The server",
                   " put it off each time it was tried, and the time for "
                   "which we hold mail is over.");
        if (recipient->unknown)
            buf_add_text(out, " The last time it did not answer to the end of "
                              "the message, so it may have arrived in spite "
                              "of this.");
        buf_add_text(out, replied ? " The last time it said:" : "");
        break;
    case DSN_UNSENDABLE:
        buf_add_text(out, "The recipient's server cannot take this message:");
        break;
    case DSN_GIVEN_UP:
        buf_add_text(out, "The administrators of this server send it back "
                          "undelivered.");
        if (recipient->unknown)
            buf_add_text(out, " The recipient's server did not answer to the "
                              "end of the message, so it may have arrived in "
                              "spite of this.");
        buf_add_text(out, replied ? " The recipient's server last said:" : "");
        break;
    case DSN_WAITING:
        if (replied)
            add_server(out, recipient, "The recipient's server",
                       " has put it off so far. The last time it said:");
        else
            buf_add_text(out, "The recipient's server could not be reached "
                              "so far.");
        break;
    case DSN_PASSED_ON:
        add_server(out, recipient, "The server", " said:");
        break;
    }
}

static void
add_recipient(struct buf *out, const struct dsn_recipient *recipient)
{
    struct buf text = {0};

    buf_add_text(out, "  <");
    dsn_add_clean(out, recipient->address, true);
    buf_add_text(out, ">\r\n    ");
    add_cause(&text, recipient);
    dsn_add_wrapped(out, 4, "    ", buf_view(&text));
    buf_reset(&text);
    dsn_add_reply(&text, recipient);
    if (text.len > 0) {
        buf_add_text(out, "      ");
        dsn_add_wrapped(out, 6, "      ", buf_view(&text));
    }
    buf_add_text(out, "\r\n");
    buf_free(&text);
}

static size_t
count_of(const struct dsn *dsn, enum dsn_action action)
{
    size_t n = 0;

    for (size_t i = 0; i < dsn->n_recipients; i++)
        n += dsn_action_of(&dsn->recipients[i]) == action;
    return n;
}

/* Nothing is wrong with the message: its way was closed. */
static const char given_up_then[] =
    "What you can do: reach the recipient in another way, or send the message "
    "again later.";

static bool
all_given_up(const struct dsn *dsn)
{
    for (size_t i = 0; i < dsn->n_recipients; i++)
        if (dsn_action_of(&dsn->recipients[i]) == DSN_FAILED &&
            dsn->recipients[i].cause != DSN_GIVEN_UP)
            return false;
    return true;
}

/* All recipients of one action. *listed is how many were named so far. */
static void
add_action(struct buf *out, const struct dsn *dsn, enum dsn_action action,
           size_t *listed)
{
    size_t n = count_of(dsn, action), named = 0;

    if (n == 0)
        return;
    dsn_add_wrapped(
        out, 0, "",
        view_of(n == 1 ? words[action].one : words[action].several));
    buf_add_text(out, "\r\n");
    for (size_t i = 0; i < dsn->n_recipients && *listed < DSN_LISTED_MAX; i++)
        if (dsn_action_of(&dsn->recipients[i]) == action) {
            add_recipient(out, &dsn->recipients[i]);
            named++;
            ++*listed;
        }
    if (named < n)
        buf_addf(out,
                 "  %s%zu more, who are named in the second part of this\r\n"
                 "  message.\r\n\r\n",
                 named > 0 ? "and " : "", n - named);
    dsn_add_wrapped(out, 0, "",
                    view_of(action == DSN_FAILED && all_given_up(dsn)
                                ? given_up_then
                                : words[action].then));
    buf_add_text(out, "\r\n");
}

void
dsn_people_write(struct buf *out, const struct dsn *dsn)
{
    char id[MSGID_TEXT_MAX];
    size_t listed = 0;

    buf_addf(out, "This is the mail server %.*s.\r\n\r\n",
             (int)dsn->hostname.len, dsn->hostname.data);
    for (int action = DSN_FAILED; action < DSN_ACTION_COUNT; action++)
        add_action(out, dsn, (enum dsn_action)action, &listed);
    buf_add_text(out, "The message was received here:\r\n");
    dsn_add_date(out, "  Date", dsn->arrived_ms);
    buf_addf(out, "  Id: %s\r\n", msgid_print(dsn->original_id, id));
    buf_addf(out, "%s is the last part of this message.\r\n",
             dsn_has_content(dsn) ? "It" : "Its header");
}
