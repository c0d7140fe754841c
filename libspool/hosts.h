/* SPDX-License-Identifier: ISC */
/*
 * hosts(5) and resolv.conf(5) as far as they name addresses. Lines that make
 * no sense say nothing.
 */
#ifndef SPOOL_HOSTS_H
#define SPOOL_HOSTS_H

#include <sys/socket.h>

#include "view.h"

/* The addresses a name has in hosts(5) text, in the file's order and without
 * a port; compared without case. Returns how many there are, max at most. */
size_t hosts_find(struct view text, struct view name,
                  struct sockaddr_storage *addresses, size_t max);

/* The "nameserver" lines of resolv.conf(5) text, as they are there. Returns
 * how many there are, max at most. */
size_t hosts_servers(struct view text, struct view *servers, size_t max);

#endif
