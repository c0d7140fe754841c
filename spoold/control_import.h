/* SPDX-License-Identifier: ISC */
/*
 * Private to control_import*.c: one import under way, and one message of it.
 */
#ifndef SPOOLD_CONTROL_IMPORT_H
#define SPOOLD_CONTROL_IMPORT_H

#include "body.h"
#include "control.h"
#include "crlf.h"
#include "db.h"
#include "header.h"
#include "seal.h"

struct import_one;

/* Of one client. */
struct import {
    struct control_client *client;
    struct buf line;              /* of the next message, until it is whole */
    struct import_one *taking;    /* its content is coming */
    struct import_one *under_way; /* submitted, not answered: a list */
    size_t n_under_way;
    uint64_t bytes_under_way;
    bool paused;
    bool ended; /* the client has sent all */
    bool dry_run;
    char target[DB_TARGET_MAX + 1]; /* --target, or empty */
    uint64_t imported;
    uint64_t already;
    uint64_t refused;
};

/* A message that comes in. */
struct import_one {
    struct import *import;
    struct import_one *next;
    json_t *json;  /* what the views below point into */
    uint64_t left; /* of its content */
    uint64_t id;
    struct message message;
    struct delivery *deliveries;
    size_t n_deliveries;
    bool has_flags; /* the source knows them */
    char flow[DB_FLOW_MAX];
    struct header header;
    struct crlf crlf;
    struct body_digest *digest;
    struct body_writer *writer; /* NULL: its content is skipped */
    struct seal_key key;
    uint64_t content_len; /* as submitted */
    const char *result;   /* set once it is known that it does not come in */
    struct why why;
};

/* --- control_import_facts.c: what the client says of a message ------------ */

/* Reads envelope and facts out of one->json. -1: it is refused. */
int import_take_facts(struct import_one *one);
/* Gives it the id it had, or always gets from this source, or a new one.
 * 1: it is here already, 0: it is to come in, -1: it is refused. */
int import_take_id(struct import_one *one);
/* Is the message with its id that is in the store this one? */
bool import_is_here(const struct import_one *one);
/* Text of the JSON; empty where there is none. */
struct view import_text(const json_t *json, const char *name);

#endif
