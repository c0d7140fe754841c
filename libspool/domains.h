/* SPDX-License-Identifier: ISC */
/* The different domains of some addresses: what a message counts for. */
#ifndef SPOOL_DOMAINS_H
#define SPOOL_DOMAINS_H

#include "buf.h"
#include "view.h"

#define DOMAINS_NAME_MAX 254

/* Adds the domain of an address in lower case, once. Names have a NUL behind;
 * an address without a domain, or with one too long, adds nothing. */
void domains_add(struct buf *domains, struct view address);
/* Takes one name off the front; false: there is none. */
bool domains_next(struct view *rest, struct view *domain);

#endif
