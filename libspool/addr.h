/* SPDX-License-Identifier: ISC */
/*
 * Addresses of RFC 5321: paths, mailboxes, domains, address literals; with
 * RFC 6531 (UTF-8) where the caller allows it. Nothing is rewritten: views
 * point into the text that was parsed.
 *
 * Lengths: 64 bytes of local part, 255 of domain and 256 of path are what
 * every server must take (RFC 5321 4.5.3.1), not what it may refuse; senders
 * made by SRS, BATV and VERP go beyond 64. Dots may stand anywhere in a local
 * part and underscores in a domain, as they do in addresses people have.
 */
#ifndef SPOOL_ADDR_H
#define SPOOL_ADDR_H

#include "view.h"
#include "why.h"

#define ADDR_LOCAL_MAX  254
#define ADDR_DOMAIN_MAX 255
#define ADDR_LABEL_MAX  63
#define ADDR_TEXT_MAX   (ADDR_LOCAL_MAX + 1 + ADDR_DOMAIN_MAX)

enum addr_kind {
    ADDR_NULL,       /* "<>": all views are empty */
    ADDR_MAILBOX,    /* local@domain */
    ADDR_POSTMASTER, /* "<Postmaster>" in any case, no domain (RFC 5321 4.5.1)
                      */
};

struct addr {
    enum addr_kind kind;
    struct view text;   /* "local@domain" as given; a source route is dropped */
    struct view local;  /* as given, quotes included */
    struct view domain; /* as given; a literal with its brackets */
    bool is_literal;    /* the domain is "[192.0.2.1]" or "[IPv6:...]" */
    bool is_utf8;       /* has bytes above 127, and they are valid UTF-8 */
};

/* Takes a path off the front of *text: "<...>", with an optional source route
 * ("<@a,@b:local@domain>"), null and Postmaster included; the caller decides
 * by kind and is_utf8 what it wants. 0, and *text is what follows the ">"; or
 * -1 with code 501 and a text (the enhanced code is the caller's: 5.1.7 for a
 * sender, 5.1.3 for a recipient). */
int addr_parse_path(struct view *text, struct addr *addr, struct why *why);

/* The whole of text is "local@domain", no brackets. */
int addr_parse_mailbox(struct view text, struct addr *addr, struct why *why);

/* A domain name or an address literal, whole. */
bool addr_is_domain(struct view text);

/* The local part without quotes and backslashes into out (which holds at
 * least local.len bytes); returns its length. "ab"@x and ab@x name one mailbox:
 * only this form may be compared. */
size_t addr_unquote(struct view local, char *out);

/* Does an unquoted local part route on: user%host@ours, host!user@ours,
 * "user@host"@ours? A relay hides behind these; mailboxes do not. */
bool addr_is_routed(const struct addr *addr);

/* ASCII lower case of text into out (at least text.len bytes). */
void addr_lower(struct view text, char *out);

#endif
