/* SPDX-License-Identifier: ISC */
/*
 * What every incremental parser answers. A parser takes bytes and limits and
 * never replies, logs or closes; its caller does.
 */
#ifndef SPOOL_GOT_H
#define SPOOL_GOT_H

enum got {
    GOT_MORE,   /* nothing wrong so far, give me more bytes */
    GOT_ONE,    /* one whole thing is there */
    GOT_BAD,    /* the bytes break the syntax; the reason says how */
    GOT_TOOBIG, /* a limit was passed */
};

#endif
