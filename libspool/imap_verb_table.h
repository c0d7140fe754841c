/* SPDX-License-Identifier: ISC */
/*
 * Every command of IMAP that is known, once:
 *
 *     X(NAME, "WORD", where, uid, arguments, "RFC")
 *
 * where: in which states of a session (FRESH: nobody has signed in; AUTH:
 * somebody has; SELECTED: and opened a mailbox; ANY). uid: 1 where UID may
 * stand before it, 2 where it must. arguments: the function args_... that
 * reads them. Included several times on purpose: no include guard.
 */
/* clang-format off */
X(CAPABILITY,   "CAPABILITY",   ANY,      0, none,         "RFC 9051 6.1.1")
X(NOOP,         "NOOP",         ANY,      0, none,         "RFC 9051 6.1.2")
X(LOGOUT,       "LOGOUT",       ANY,      0, none,         "RFC 9051 6.1.3")
X(ID,           "ID",           ANY,      0, id,           "RFC 2971")
X(STARTTLS,     "STARTTLS",     FRESH,    0, none,         "RFC 9051 6.2.1")
X(AUTHENTICATE, "AUTHENTICATE", FRESH,    0, authenticate, "RFC 9051 6.2.2, RFC 4959")
X(LOGIN,        "LOGIN",        FRESH,    0, login,        "RFC 9051 6.2.3")
X(ENABLE,       "ENABLE",       AUTH,     0, words,        "RFC 5161")
X(SELECT,       "SELECT",       AUTH,     0, select,       "RFC 9051 6.3.2, RFC 7162")
X(EXAMINE,      "EXAMINE",      AUTH,     0, select,       "RFC 9051 6.3.3")
X(CREATE,       "CREATE",       AUTH,     0, create,       "RFC 9051 6.3.4, RFC 6154")
X(DELETE,       "DELETE",       AUTH,     0, mailbox,      "RFC 9051 6.3.5")
X(RENAME,       "RENAME",       AUTH,     0, mailboxes,    "RFC 9051 6.3.6")
X(SUBSCRIBE,    "SUBSCRIBE",    AUTH,     0, mailbox,      "RFC 9051 6.3.7")
X(UNSUBSCRIBE,  "UNSUBSCRIBE",  AUTH,     0, mailbox,      "RFC 9051 6.3.8")
X(LIST,         "LIST",         AUTH,     0, list,         "RFC 9051 6.3.9, RFC 5258, RFC 5819")
X(LSUB,         "LSUB",         AUTH,     0, lsub,         "RFC 3501 6.3.9")
X(NAMESPACE,    "NAMESPACE",    AUTH,     0, none,         "RFC 9051 6.3.10")
X(STATUS,       "STATUS",       AUTH,     0, status,       "RFC 9051 6.3.11, RFC 8438")
X(APPEND,       "APPEND",       AUTH,     0, append,       "RFC 9051 6.3.12, RFC 6855")
X(IDLE,         "IDLE",         AUTH,     0, none,         "RFC 9051 6.3.13")
X(CHECK,        "CHECK",        SELECTED, 0, none,         "RFC 3501 6.4.1")
X(CLOSE,        "CLOSE",        SELECTED, 0, none,         "RFC 9051 6.4.1")
X(UNSELECT,     "UNSELECT",     SELECTED, 0, none,         "RFC 9051 6.4.2")
X(EXPUNGE,      "EXPUNGE",      SELECTED, 0, none,         "RFC 9051 6.4.3")
X(UID_EXPUNGE,  "EXPUNGE",      SELECTED, 2, set,          "RFC 9051 6.4.9")
X(SEARCH,       "SEARCH",       SELECTED, 1, search,       "RFC 9051 6.4.4")
X(SORT,         "SORT",         SELECTED, 1, sort,         "RFC 5256, RFC 5267")
X(FETCH,        "FETCH",        SELECTED, 1, fetch,        "RFC 9051 6.4.5, RFC 7162")
X(STORE,        "STORE",        SELECTED, 1, store,        "RFC 9051 6.4.6, RFC 7162")
X(COPY,         "COPY",         SELECTED, 1, copy,         "RFC 9051 6.4.7")
X(MOVE,         "MOVE",         SELECTED, 1, copy,         "RFC 9051 6.4.8")
/* clang-format on */
