/* SPDX-License-Identifier: ISC */
/*
 * Queue files of Postfix, read as its queue manager reads them. A file is
 * records, one behind the other:
 *
 *     type (1 byte), length (7 bits a byte, lowest first, the high bit says
 *     that more follow), so many bytes
 *
 * in three parts: the envelope up to 'M', the content up to 'X' ('N' is a
 * line, 'L' a part of one), what was extracted from the header up to 'E'. A
 * 'p' is a place to go on at (a milter has changed something); a recipient
 * that is finished has had its 'R' written over with 'D'.
 *
 * The file is whatever it is: lengths, places and the number of records are
 * limited, and a file without its end is refused.
 */
#ifndef SPOOL_POSTFIX_QUEUE_H
#define SPOOL_POSTFIX_QUEUE_H

#include <stdint.h>

#include "buf.h"
#include "got.h"
#include "view.h"
#include "why.h"

#define POSTFIX_RECORD_MAX     (64 * 1024)
#define POSTFIX_RECIPIENTS_MAX 20000
#define POSTFIX_TEXT_MAX       1024 /* addresses and attributes */

/* Bytes of the file: reads up to len at offset at; how many there were, 0 at
 * the end, -1 where it failed. */
typedef int64_t postfix_read_fn(void *arg, uint64_t at, char *to, size_t len);

struct postfix_record {
    char type;
    struct view data; /* valid until the next record */
};

struct postfix_reader {
    postfix_read_fn *read;
    void *arg;
    uint64_t at;      /* of the next record */
    uint64_t records; /* read so far: a file that goes in circles ends */
    uint64_t size;    /* of the file */
    char *bytes;
    uint64_t bytes_at;
    size_t bytes_len;
};

void postfix_reader_init(struct postfix_reader *reader, postfix_read_fn *read,
                         void *arg, uint64_t size);
void postfix_reader_free(struct postfix_reader *reader);
/* GOT_ONE: *record is the next one, 'p' records are followed. GOT_BAD. */
enum got postfix_record_next(struct postfix_reader *reader,
                             struct postfix_record *record, struct why *why);

/* What a file says of its message. */
struct postfix_envelope {
    uint64_t arrived_ms;
    struct buf sender;
    struct buf recipients; /* those to be delivered, a NUL behind each */
    size_t n_recipients;
    size_t n_finished;
    struct buf client; /* attributes; empty: unknown */
    struct buf helo;
    struct buf protocol;
    uint64_t content_at; /* offset of the first record of the content */
    uint64_t size;       /* of the content, lines ending in CRLF */
};

/* Reads the whole file. -1: it is no whole queue file. */
int postfix_envelope_read(struct postfix_reader *reader,
                          struct postfix_envelope *envelope, struct why *why);
void postfix_envelope_free(struct postfix_envelope *envelope);

/* Goes back to the first record of the content. */
void postfix_content_begin(struct postfix_reader *reader,
                           const struct postfix_envelope *envelope);
/* Some of the content: appends to out, envelope->size bytes in all. GOT_MORE:
 * call again, GOT_ONE: that was all. */
enum got postfix_content_next(struct postfix_reader *reader, struct buf *out,
                              struct why *why);

/* Is it the name of a queue file: letters and digits, 6 to 20? */
bool postfix_is_queue_id(struct view name);

#endif
