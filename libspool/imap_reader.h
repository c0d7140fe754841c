/* SPDX-License-Identifier: ISC */
/*
 * Cuts what an IMAP client sends into commands (RFC 3501 2.2, RFC 7888). A
 * command is a line, and where it ends in a literal's length, that many bytes
 * and a further line. The reader gathers it whole, CRLFs and literals as they
 * came, up to its limits; imap_command.h says what it means.
 *
 * The one literal that may be large is the message of APPEND: it is not
 * gathered but left to the caller.
 */
#ifndef SPOOL_IMAP_READER_H
#define SPOOL_IMAP_READER_H

#include <stdint.h>

#include "buf.h"
#include "view.h"
#include "why.h"

/* RFC 7162 4 asks for 8192; clients that name thousands of UIDs need more. */
#define IMAP_LINE_MAX    65536
#define IMAP_LITERAL_MAX 65536  /* of one literal */
#define IMAP_COMMAND_MAX 262144 /* of a command with its literals */
/* A literal that is too large and comes unasked ("{n+}") is dropped up to
 * this length; after a longer one the connection is of no use. */
#define IMAP_DROP_MAX (UINT64_C(16) << 20)

enum imap_read {
    IMAP_READ_MORE,     /* the command is not whole */
    IMAP_READ_CONTINUE, /* ask for the literal: "+ ..." */
    IMAP_READ_ONE,      /* reader->command is a whole command */
    IMAP_READ_APPEND,   /* reader->command is an APPEND up to and with "{n}":
                         * see imap_reader_big */
    IMAP_READ_BAD,      /* why says what is wrong; reader->command is what came
                         * of it (for the tag). It is over, and what belongs to
                         * it is dropped */
    IMAP_READ_END,      /* the same, and the connection cannot go on */
};

struct imap_reader {
    struct buf command;
    uint64_t literal;  /* bytes of a literal still to come */
    uint64_t big;      /* length of APPEND's message */
    size_t line;       /* where the line under way begins in command */
    size_t seen;       /* bytes of input already looked at for a CRLF */
    uint64_t dropping; /* bytes of a bad literal still to be dropped */
    bool drops_line;   /* and the rest of its line */
    bool drops;        /* some of that was dropped already */
    bool is_new;       /* the command before is still there: clear it */
    bool small;        /* no big commands: nobody has signed in */
    bool unasked;      /* the big literal comes without being asked for */
};

/* Takes bytes off the front of input and says in *taken how many; what is
 * left is to be shown again. When it says anything but MORE, call it again
 * for what follows. */
enum imap_read imap_reader_feed(struct imap_reader *reader, struct view input,
                                size_t *taken, struct why *why);
/* After IMAP_READ_APPEND the next *length bytes of input are the message,
 * which the caller takes himself; *unasked: it comes without a "+". Then
 * imap_reader_go_on: the rest of the command follows, and is gathered alone
 * as if it were a line. */
void imap_reader_go_on(struct imap_reader *reader);
/* The APPEND is refused: what comes unasked is dropped. -1: it is more than
 * can be dropped, the connection cannot go on. */
int imap_reader_refuse(struct imap_reader *reader);
/* Memory is given back between two commands. */
void imap_reader_idle(struct imap_reader *reader);
void imap_reader_free(struct imap_reader *reader);

#endif
