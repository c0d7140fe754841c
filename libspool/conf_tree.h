/* SPDX-License-Identifier: ISC */
/*
 * A configuration file as sections, keys and texts, each text with the place
 * where it stands. The grammar is the library's (libconfuse), the keys are
 * those of the table; values are not looked at. Private to conf*.c.
 */
#ifndef SPOOL_CONF_TREE_H
#define SPOOL_CONF_TREE_H

#include "conf_key.h"

struct conf_tree;

struct conf_value {
    const char *key;
    const char *file;      /* as given, or as included */
    const char *directory; /* of that file, absolute */
    unsigned line;
    char text[];
};

/* NULL and "FILE:LINE: reason". All the tree gives out lives as long as the
 * tree. */
struct conf_tree *conf_tree_load(const char *path, struct why *why);
void conf_tree_free(struct conf_tree **tree);

/* How many sections of this name there are; 1 for those without a title. */
size_t conf_tree_count(const struct conf_tree *tree, enum conf_section section);
const char *conf_tree_title(const struct conf_tree *tree,
                            enum conf_section section, size_t i);
/* How often the key was given a value (more than once only in a list), and
 * the nth of them. */
size_t conf_tree_n_values(const struct conf_tree *tree,
                          const struct conf_key *key, size_t i);
const struct conf_value *conf_tree_value(const struct conf_tree *tree,
                                         const struct conf_key *key, size_t i,
                                         size_t n);

bool conf_tree_has(const struct conf_tree *tree, enum conf_section section,
                   size_t i, const char *key);

/* Sets *why to "FILE:LINE: " and the text, for a section (key NULL) or a key
 * in it; where the key is not there, the section stands for it. Returns -1. */
int conf_tree_why(const struct conf_tree *tree, enum conf_section section,
                  size_t i, const char *key, struct why *why,
                  const char *format, ...)
    __attribute__((format(printf, 6, 7)));

#endif
