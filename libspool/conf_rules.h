/* SPDX-License-Identifier: ISC */
/*
 * What no single value can show: names that must fit together, limits in the
 * wrong order, one half of a pair. Private to conf*.c.
 */
#ifndef SPOOL_CONF_RULES_H
#define SPOOL_CONF_RULES_H

#include "conf_tree.h"

/* conf holds the values of tree, its lists sorted. -1 and "FILE:LINE:
 * reason" for the first rule that is broken. */
int conf_rules_check(const struct conf_tree *tree, const struct conf *conf,
                     struct why *why);

#endif
