/* SPDX-License-Identifier: ISC */
/*
 * What the measuring programs share: the messages they send or store, and
 * the report on how long each one took.
 *
 * A file of messages is, for each, a line "LENGTH SENDER RECIPIENT\n" and
 * LENGTH bytes as they go over the wire (dots doubled, final dot included).
 */
#ifndef BENCH_MAILS_H
#define BENCH_MAILS_H

#include <stddef.h>
#include <stdint.h>

struct mail {
    const char *sender; /* with recipient: views into the file */
    size_t sender_bytes;
    const char *recipient;
    size_t recipient_bytes;
    const char *content;
    size_t content_bytes;
};

struct mails {
    struct mail *list;
    size_t count;
};

/* Reads the file; ends the program with a sentence when it can't. */
void mails_load(struct mails *mails, const char *path);

/* A number from the command line; ends the program when it is none. */
size_t mails_number(const char *text);

uint64_t mails_now_ns(void);

/* Prints one JSON object: how many, in what time, median and 99th
 * percentile of TOOK_NS. Sorts it. */
void mails_report(uint64_t *took_ns, size_t count, uint64_t total_ns);

#endif
