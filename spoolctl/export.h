/* SPDX-License-Identifier: ISC */
/*
 * Private to export*.c: the forms in which messages are written. Nothing that
 * is there is ever written over.
 */
#ifndef SPOOLCTL_EXPORT_H
#define SPOOLCTL_EXPORT_H

#include "spoolctl.h"

struct export_format {
    const char *name;
    /* Makes what PATH names and the manifest, whose descriptor it returns; -1
     * and a reason. */
    int (*open)(const char *path, struct why *why);
    /* A message of that id and row begins, has more content, and is whole:
     * end adds to the row where it is. -1 with errno. */
    int (*begin)(const char *id, const json_t *row);
    int (*write)(struct view bytes);
    int (*end)(json_t *row);
    /* The message under way is not to be had: nothing stays of it. */
    int (*drop)(void);
    /* All is on the disk, names included. */
    int (*sync)(void);
};
extern const struct export_format export_eml;
extern const struct export_format export_maildir;
extern const struct export_format export_mbox;

/* export.c: -1 with errno. */
int export_write(int fd, struct view bytes);

#endif
