/* SPDX-License-Identifier: ISC */
/*
 * Every live counter, once: X(NAME, "name", "sentence"). Read by
 * "spoolctl status". Included several times on purpose: no include guard.
 */
/* clang-format off */
X(CONNECTIONS,        "connections",         "client connections accepted")
X(CONNECTIONS_NOW,    "connections-now",     "client connections open")
X(CONNECTIONS_REFUSED,"connections-refused", "client connections refused by a limit")
X(TLS_SESSIONS,       "tls-sessions",        "client connections that started TLS")
X(ACCEPTED,           "accepted",            "messages answered 250 after the commit")
X(ACCEPTED_BYTES,     "accepted-bytes",      "their content")
X(REFUSED,            "refused",             "senders, recipients and messages refused")
X(TRANSACTIONS_NOW,   "transactions-now",    "messages under way in the listener")
X(COMMITS,            "commits",             "transactions the store committed")
X(COMMIT_RECORDS,     "commit-records",      "changes in them")
X(COMMIT_USEC,        "commit-usec",         "time spent in commits, microseconds")
X(COMMIT_USEC_MAX,    "commit-usec-max",     "the slowest commit since status was last asked, microseconds")
X(TARGET_SESSIONS,    "target-sessions",     "connections to targets that greeted")
X(TARGET_TLS,         "target-tls",      "connections to targets that were secured by TLS")
X(TARGET_TLS_RESUMED, "target-tls-resumed", "... by resuming a session of an earlier one")
X(TARGET_SESSIONS_NOW,"target-sessions-now", "connections to targets open")
X(ATTEMPTS,           "attempts",            "transactions started with targets")
X(DELIVERED,          "delivered",           "deliveries a target took")
X(DEFERRED,           "deferred",            "deliveries refused for now")
X(RETURNED,           "returned",            "deliveries returned to the sender")
X(DROPPED,            "dropped",             "deliveries given up with nobody to tell")
X(IMAP_SESSIONS,      "imap-sessions",       "IMAP connections accepted")
X(IMAP_SESSIONS_NOW,  "imap-sessions-now",   "IMAP connections open")
X(IMAP_REFUSED,       "imap-refused",        "IMAP connections refused by a limit")
X(IMAP_PIECES,        "imap-pieces",         "pieces of content read for IMAP")
X(UNKNOWN,            "unknown",             "deliveries whose final reply never came: they may arrive twice")
X(WARNED,             "warned",              "deliveries whose sender was told of a delay")
/* clang-format on */
