/* SPDX-License-Identifier: ISC */
/*
 * Reads back what event.h writes: the line of an event, one field after the
 * other, values without their quotes and escapes.
 */
#ifndef SPOOL_EVENT_LINE_H
#define SPOOL_EVENT_LINE_H

#include "buf.h"
#include "view.h"

/* Takes "TIME VERB" off the front of *line; -1: not the line of an event. */
int event_line_start(struct view *line, struct view *time, struct view *verb);
/* Takes the next field. 1: *key is set and the value in *value (which was
 * emptied before); 0: there is none; -1: the line is broken or was cut. */
int event_line_field(struct view *line, struct view *key, struct buf *value);

#endif
