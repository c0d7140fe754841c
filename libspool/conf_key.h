/* SPDX-License-Identifier: ISC */
/*
 * The table of keys as data, for the parts of conf: conf_tree.c makes the
 * grammar of it, conf.c reads values by it, conf_key.c the records. Private
 * to conf*.c.
 */
#ifndef SPOOL_CONF_KEY_H
#define SPOOL_CONF_KEY_H

#include "conf.h"

enum conf_section {
    CONF_ROOT, /* keys outside of any section */
    CONF_TLS,
    CONF_LISTEN,
    CONF_TARGET,
    CONF_RESOLVER,
    CONF_DOMAIN,
    CONF_LIMIT,
    CONF_STORE,
    CONF_IMAP,
    CONF_SECTION_COUNT
};

enum conf_kind {
    CONF_TEXT,      /* view: any text */
    CONF_NAME,      /* view: a domain name, lower case */
    CONF_PATH,      /* view: a file, made absolute */
    CONF_WORD,      /* view: one of the words of low */
    CONF_CHOICE,    /* number: the position in low, from 1 */
    CONF_FLAG,      /* number: "false" 0, "true" 1; low lists those taken */
    CONF_NUM,       /* number */
    CONF_SIZE,      /* bytes */
    CONF_TIME,      /* milliseconds */
    CONF_ADDRESSES, /* list of views: address:port, numeric */
    CONF_HOSTS,     /* list of views: conf_host_parse */
    CONF_NAMES,     /* list of views: domain names, lower case */
    CONF_TEXTS,     /* list of views: any texts */
    CONF_KIND_COUNT
};

struct conf_key {
    enum conf_section section;
    const char *name;
    enum conf_kind kind;
    size_t offset;       /* of the member in the section's struct */
    const char *initial; /* NULL: needed */
    const char *low;
    const char *high;
    const char *sentence;
};
extern const struct conf_key conf_keys[];
extern const size_t conf_n_keys;

struct conf_section_row {
    const char *name;
    /* Sections with a title are items of a list in struct conf. */
    bool titled;
    size_t list;  /* offset of the list in struct conf */
    size_t size;  /* of an item */
    size_t title; /* offset of the title in an item */
};
extern const struct conf_section_row conf_sections[CONF_SECTION_COUNT];

/* Is text a domain name as it goes over the wire: ASCII, no literal? */
int conf_name_check(struct view text, struct why *why);

bool conf_kind_is_list(enum conf_kind kind);

/* The record of struct conf, made of the table. Tags are positions in it:
 * both ends of a CONF message are the same binary. */
const struct record_type *conf_record(void);

#endif
