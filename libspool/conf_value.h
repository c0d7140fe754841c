/* SPDX-License-Identifier: ISC */
/*
 * One text of the configuration made the value of its key. Private to
 * conf*.c.
 */
#ifndef SPOOL_CONF_VALUE_H
#define SPOOL_CONF_VALUE_H

#include "conf_key.h"

/* Texts made while values are read; they live until the end of the load. */
struct conf_kept {
    char **texts;
    size_t count;
};
void conf_kept_free(struct conf_kept *kept);
/* Takes text, which malloc made; returns it. */
char *conf_kept_add(struct conf_kept *kept, char *text);
/* A copy of text in ASCII lower case. */
struct view conf_kept_lower(struct conf_kept *kept, struct view text);

/* Sets the member at "at" (of a list: one item's text) from a text that is
 * not empty. directory, absolute, is where relative paths start: that of the
 * file the text stands in, so that the directory spoold happens to be
 * started in does not matter. */
int conf_value_parse(struct conf_kept *kept, const struct conf_key *key,
                     struct view text, const char *directory, void *at,
                     struct why *why);

#endif
