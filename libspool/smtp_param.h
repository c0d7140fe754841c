/* SPDX-License-Identifier: ISC */
/*
 * The parameters MAIL and RCPT go out with: those the message has a use for,
 * out of what the server offers. Pure functions of both.
 */
#ifndef SPOOL_SMTP_PARAM_H
#define SPOOL_SMTP_PARAM_H

#include "buf.h"
#include "message.h"
#include "smtp_reply.h"

/* Appends " SIZE=1234 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x", as far as it
 * applies. 8-bit content goes out as it is where 8BITMIME is not offered:
 * servers that do not are long gone or take it all the same, and a conversion
 * would change what was signed. */
void smtp_param_mail(const struct message *message,
                     const struct smtp_offers *offers, struct buf *out);
/* Appends " NOTIFY=SUCCESS ORCPT=rfc822;x". */
void smtp_param_rcpt(const struct delivery *delivery,
                     const struct smtp_offers *offers, struct buf *out);

#endif
