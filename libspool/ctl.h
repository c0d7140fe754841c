/* SPDX-License-Identifier: ISC */
/*
 * The operator's commands (ctl_table.h) as spoolctl and the control role see
 * them: finding one by its words, and whether its arguments can be right.
 */
#ifndef SPOOL_CTL_H
#define SPOOL_CTL_H

#include "view.h"
#include "why.h"

#define CTL_ARGUMENTS_MAX 20000 /* of "retry ID ..." */

enum ctl_shape {
    CTL_ONE,  /* one row */
    CTL_MANY, /* any number of rows */
    CTL_RAW,  /* bytes */
};

enum ctl_command {
#define X(NAME, answers, words, arguments, min, max, shape, sentence, details) \
    CTL_##NAME,
#include "ctl_table.h"
#undef X
    CTL_COUNT
};

enum ctl_option {
#define X(NAME, name, takes_value) CTL_OPTION_##NAME,
#include "ctl_option_table.h"
#undef X
    CTL_OPTION_COUNT
};

struct ctl_option_row {
    const char *name; /* "--dry-run" */
    bool takes_value;
};

struct ctl_row {
    const char *words;
    const char *arguments;
    size_t min;
    size_t max;
    enum ctl_shape shape;
    const char *sentence;
    const char *details;
};

const struct ctl_row *ctl_row(enum ctl_command command);
/* The command whose words are at the front; CTL_COUNT and a reason where
 * there is none. *used is how many words it has. */
enum ctl_command ctl_find(const struct view *words, size_t n, size_t *used,
                          struct why *why);
/* 0, or -1 and how the command is to be written. */
int ctl_check(enum ctl_command command, size_t n_arguments, struct why *why);

const struct ctl_option_row *ctl_option_row(enum ctl_option option);
/* Does the command's row name the option among its arguments? */
bool ctl_has_option(enum ctl_command command, enum ctl_option option);

#endif
