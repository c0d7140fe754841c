/* SPDX-License-Identifier: ISC */
/*
 * What the roles that serve readers say to each other: imap, auth, the store.
 * Part of proto.h, which everybody includes.
 */
#ifndef SPOOL_PROTO_IMAP_H
#define SPOOL_PROTO_IMAP_H

#include "mailbox.h"
#include "record.h"

/* LOGIN, imap -> auth. The answer may take seconds: guesses are slowed. */
struct proto_login {
    struct view name;
    struct view password;
    struct view client; /* "192.0.2.1", for slowing guesses and the log */
    uint64_t beside;    /* 1: this name has a session open from this client */
};
enum login_result {
    LOGIN_OK = 1,
    LOGIN_WRONG = 2, /* name or password: nobody is told which */
    LOGIN_BUSY = 3,  /* cannot be told now; RFC 5530 UNAVAILABLE */
};
/* LOGIN_RESULT. On LOGIN_OK what the user is and may read. */
struct proto_login_result {
    uint64_t result;             /* enum login_result */
    uint64_t user;               /* account.number */
    uint64_t version;            /* account.version it was right for */
    struct view name;            /* account.name */
    struct record_list patterns; /* account_text: account_reads() */
    struct view text;            /* a sentence for the user when it failed */
};

/* A delivery, by (id, n); own messages (Drafts, Sent) have n = 0. */
struct proto_mail {
    uint64_t id;
    uint64_t n;
};

enum flags_what {
    FLAGS_ADD = 1,
    FLAGS_REMOVE = 2,
    FLAGS_SET = 3,
};
/* FLAGS, imap -> store: one STORE command, in one transaction and with one
 * modseq. FLAGGED says the modseq (0: nothing was changed); an item that was
 * changed has it in its mark (db_read_mark) afterwards. With conditional, items
 * whose modseq is above unchanged_since are left alone: UNCHANGEDSINCE of RFC
 * 7162 3.1.3. Items that are gone, or already have these flags, are passed
 * over. */
struct proto_flags {
    uint64_t user;
    uint64_t what;        /* enum flags_what */
    uint64_t flags;       /* enum mark_flag, or-ed */
    struct view keywords; /* with a space between */
    uint64_t conditional; /* 1: unchanged_since counts */
    uint64_t unchanged_since;
    struct record_list items; /* struct proto_mail */
};
/* PLACE, imap -> store: EXPUNGE and MOVE, for this user only. box BOX_NONE
 * hides for good, and removes what is the user's own (Drafts, Sent: also from
 * Trash); BOX_TRASH hides and puts a row there; BOX_INBOX brings back to INBOX
 * or Delivered, as the delivery is; own messages go to any of Drafts, Sent and
 * Trash. PLACED says the modseq; the new box and uid are in the mark. */
struct proto_place {
    uint64_t user;
    uint64_t box;
    struct record_list items; /* struct proto_mail */
};
/* APPEND, imap -> store. submit: an encoded proto_submit without deliveries;
 * message.arrived_ms is the internal date. APPENDED says the modseq: the uid
 * is modseq - uid_base (db_read_mailbox_facts). SUBMIT_FULL: the quota. */
struct proto_append {
    uint64_t user;
    uint64_t box; /* BOX_DRAFTS or BOX_SENT */
    uint64_t flags;
    struct view keywords;
    struct view submit;
    uint64_t quota_bytes; /* set by the store, from its configuration */
};
/* FLAGGED, PLACED, APPENDED, STRUCTURED: after the commit. */
struct proto_marked {
    uint64_t result; /* enum submit_result */
    uint64_t modseq;
    struct view reason;
};

/* STRUCTURE, imap -> store: cached structure of messages. Bytes are opaque
 * here and at most STRUCTURE_MAX; what does not fit is not cached. */
#define STRUCTURE_MAX 32000
struct proto_structure_item {
    uint64_t id;
    struct view bytes;
};
struct proto_structure {
    struct record_list items; /* struct proto_structure_item */
};

enum news_what {
    NEWS_CAME = 1,
    NEWS_GONE = 2,
    NEWS_MARKED = 3, /* a user's mark is another: read it */
    NEWS_USER = 4,   /* a user's account was changed or removed: read it */
};
/* NEWS, store -> imap, after the commit; the next comes after NEWS_SEEN. What
 * is of an address has it in address; what is one user's, his number in user:
 * a row of his own folders, or (GONE) one of an address that he hid. */
struct proto_news_item {
    uint64_t what;       /* enum news_what */
    struct view address; /* mailbox_address */
    uint64_t user;
    uint64_t box;
    uint64_t uid;
    uint64_t id;
    uint64_t n;
    uint64_t modseq;
};
struct proto_news {
    uint64_t all;             /* 1: more happened than is told: look anew */
    struct record_list items; /* struct proto_news_item */
};

enum sign_in_what {
    SIGN_LEARN = 1,  /* the primary took it: keep the hash */
    SIGN_FORGET = 2, /* the primary refused it: drop the hash */
    SIGN_CODE = 3,   /* an access code is used up */
};
/* SIGN_IN, auth -> store; SIGNED_IN says done = 0 where a code is gone. */
struct proto_sign_in {
    uint64_t what; /* enum sign_in_what */
    uint64_t when_ms;
    struct view name;    /* account_name */
    struct view hash;    /* LEARN: password hash; CODE: the code's hash */
    struct view pattern; /* LEARN: what a user who is new may read */
};

enum user_change_what {
    USER_ADD = 1,      /* the account as given; there is none of that name */
    USER_PASSWORD = 2, /* other hashes; codes and what was learned go */
    USER_PATTERNS = 3, /* other patterns */
    USER_INVITE = 4,   /* one more access code */
    USER_REMOVE = 5,   /* with the user's marks and own messages */
    USER_IMPORT = 6,   /* ADD, or PASSWORD where there is one of that name */
};
/* USER, control -> store, in one transaction; USER_CHANGED answers. */
#define USER_IMPORT_MAX       10000 /* accounts at once */
#define USER_IMPORT_BYTES_MAX (8 * 1024 * 1024)
struct proto_user {
    uint64_t what; /* enum user_change_what */
    uint64_t when_ms;
    struct view by; /* the operator */
    /* account_text, each an encoded struct account; only USER_IMPORT takes
     * more than one. */
    struct record_list accounts;
};

extern const struct record_type proto_login_record, proto_login_result_record,
    proto_mail_record, proto_flags_record, proto_place_record,
    proto_append_record, proto_marked_record, proto_structure_item_record,
    proto_structure_record, proto_news_item_record, proto_news_record,
    proto_sign_in_record, proto_user_record;

#endif
