/* SPDX-License-Identifier: ISC */
/*
 * XCLIENT and XFORWARD, extensions of Postfix that others understand too:
 * whoever relays a message tells the server who the first client was. With
 * XCLIENT the server treats the session as that client's own (restrictions,
 * SPF, DNSBL, logs) and it begins anew; with XFORWARD it only logs.
 *
 * Both offers name the attributes the server takes. Values are xtext; an
 * IPv6 address has "IPV6:" in front; what is not known is said so.
 */
#ifndef SPOOL_XCLIENT_H
#define SPOOL_XCLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "view.h"

#define XCLIENT_LINE_MAX 512 /* CRLF included */

enum xclient_attribute {
    XCLIENT_NAME = 1,
    XCLIENT_ADDR = 2,
    XCLIENT_PORT = 4,
    XCLIENT_PROTO = 8,
    XCLIENT_HELO = 16,
    XCLIENT_LOGIN = 32,
    XCLIENT_DESTADDR = 64,
    XCLIENT_DESTPORT = 128,
    XCLIENT_IDENT = 256,  /* XFORWARD only */
    XCLIENT_SOURCE = 512, /* XFORWARD only */
};

struct xclient_facts {
    struct view name;  /* from the DNS, empty: there is none */
    bool name_unknown; /* it could not be found out for now */
    struct view client;
    uint64_t port; /* 0: not known */
    struct view helo;
    struct view protocol; /* "ESMTPS" */
    struct view server;   /* the address the client came to */
    uint64_t server_port;
    struct view ident; /* of the message, here */
    bool is_local;     /* the message came from this host */
};

/* An address XCLIENT can carry? Without one there is no client to tell of. */
bool xclient_is_address(struct view text);

/* What follows the keyword in the reply to EHLO: enum xclient_attribute,
 * or-ed; names it does not know are passed over. */
unsigned xclient_offer_parse(struct view text);

/* Appends one line "XCLIENT ADDR=... ...\r\n" with all attributes that were
 * offered; nothing when ADDR was not. */
void xclient_print(unsigned offered, const struct xclient_facts *facts,
                   struct buf *out);
/* Appends lines "XFORWARD ...\r\n", each within XCLIENT_LINE_MAX; returns how
 * many. */
unsigned xclient_print_forward(unsigned offered,
                               const struct xclient_facts *facts,
                               struct buf *out);

#endif
