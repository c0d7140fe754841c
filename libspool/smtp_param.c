/* SPDX-License-Identifier: ISC */
/* Which parameters a message goes out with. */
#include "smtp_param.h"

#include <inttypes.h>

#include "dsn_param.h"
#include "utf8.h"

void
smtp_param_mail(const struct message *message, const struct smtp_offers *offers,
                struct buf *out)
{
    unsigned flags = offers->flags;

    if (flags & SMTP_OFFER_SIZE)
        buf_addf(out, " SIZE=%" PRIu64, message->size);
    if ((message->flags & MESSAGE_8BIT) && (flags & SMTP_OFFER_8BITMIME))
        buf_add_text(out, " BODY=8BITMIME");
    if ((message->flags & MESSAGE_UTF8) && (flags & SMTP_OFFER_SMTPUTF8))
        buf_add_text(out, " SMTPUTF8");
    if (!(flags & SMTP_OFFER_DSN))
        return;
    if (message->ret != 0)
        buf_addf(out, " RET=%s", dsn_ret_name(message->ret));
    if (message->envid.len > 0)
        buf_addf(out, " ENVID=%.*s", (int)message->envid.len,
                 message->envid.data);
}

void
smtp_param_rcpt(const struct delivery *delivery,
                const struct smtp_offers *offers, struct buf *out)
{
    if (!(offers->flags & SMTP_OFFER_DSN))
        return;
    if (delivery->notify != 0) {
        buf_add_text(out, " NOTIFY=");
        dsn_notify_print(delivery->notify, out);
    }
    if (delivery->orcpt.len == 0)
        return;
    buf_add_text(out, " ORCPT=");
    if (offers->flags & SMTP_OFFER_SMTPUTF8)
        buf_add_view(out, delivery->orcpt);
    else
        dsn_orcpt_to_ascii(delivery->orcpt, out);
}
