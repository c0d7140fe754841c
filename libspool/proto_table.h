/* SPDX-License-Identifier: ISC */
/*
 * Every message between roles, once:
 *
 *     X(NAME, from, to, descriptor, payload, "sentence")
 *
 * from and to are sets of roles; the channel refuses a kind from a role its
 * row does not name. descriptor: FD_NONE, FD_MAY, FD_MUST. payload is the
 * record type (proto.h) of what it carries. With role.c's table this is the
 * security design. Included several times on purpose: no include guard.
 */
/* clang-format off */
X(CONF,         PARENT,             ANY_ROLE,             FD_NONE, proto_blob,        "the whole configuration (conf.h); in force at START")
X(PEER,         PARENT,             ANY_ROLE,             FD_MUST, proto_peer,        "your channel to that role, in place of an earlier one")
X(LISTEN,       PARENT,             LISTENER|CONTROL,     FD_MUST, proto_listen,      "a bound, listening socket")
X(RECIPIENTS,   PARENT,             LISTENER,             FD_MUST, proto_name,        "the open recipient file of a domain; checked by the parent")
X(CERTIFICATE,  PARENT,             LISTENER,             FD_NONE, proto_certificate, "TLS certificate chain and key, PEM")
X(STATS,        PARENT,             ANY_ROLE,             FD_MUST, proto_none,        "the shared page of counters")
X(START,        PARENT,             ANY_ROLE,             FD_NONE, proto_none,        "all is there: begin, or take the new configuration in force")
X(DRAIN,        PARENT,             ANY_ROLE,             FD_NONE, proto_drain,       "take no new work, finish within the limit, exit")
X(ROLES,        PARENT,             CONTROL,              FD_NONE, proto_roles,       "which processes there are, after each change")
X(READY,        ANY_ROLE,           PARENT,               FD_NONE, proto_none,        "set up and serving")
X(REPORT,       ANY_ROLE,           PARENT,               FD_NONE, proto_peer,        "that role sent nonsense: end it")
X(SUBMIT,       LISTENER|REPLAY,    STORE,                FD_MAY,  proto_submit,      "keep this message; the content inline or in the descriptor")
X(SUBMITTED,    STORE,              LISTENER|REPLAY,      FD_NONE, proto_submitted,   "it is durable, or why not")
X(SPACE,        STORE,              LISTENER|REPLAY|CONTROL, FD_NONE, proto_space,    "whether there is room, and the floor for new ids")
X(QUEUED,       STORE,              REPLAY,               FD_NONE, proto_queued,      "these deliveries became ready")
X(OUTCOME,      REPLAY,             STORE,                FD_NONE, proto_outcome,     "what the target said of each recipient, with the DSN it causes")
X(RECORDED,     STORE,              REPLAY,               FD_NONE, proto_recorded,    "that outcome is durable, or was refused")
X(HEALTH,       REPLAY,             STORE,                FD_NONE, target_health,     "keep this state of a target")
X(NOTE,         PARENT|REPLAY,      STORE,                FD_NONE, ledger_entry,      "an event for the ledger that no other record carries")
X(RETRY,        CONTROL,            STORE,                FD_NONE, proto_ids,         "make what waits of these messages ready now")
X(RETRIED,      STORE,              CONTROL,              FD_NONE, proto_count,       "how many deliveries became ready, durably")
X(PROBE,        CONTROL,            REPLAY,               FD_NONE, proto_name,        "try this target now; an empty name: all")
X(PROBED,       REPLAY,             CONTROL,              FD_NONE, proto_count,       "how many targets were meant")
X(TARGETS,      CONTROL,            REPLAY,               FD_NONE, proto_none,        "how are the targets?")
X(TARGETS_NOW,  REPLAY,             CONTROL,              FD_NONE, proto_targets,     "this is how")
X(FETCH,        CONTROL,            REPLAY,               FD_NONE, proto_fetch,       "one piece of a message's content, in clear")
X(FETCHED,      REPLAY,             CONTROL,              FD_NONE, proto_fetched,     "the piece")
X(WATCH,        CONTROL,            LISTENER|STORE|REPLAY|PARENT, FD_NONE, proto_count, "send events (1) or stop (0)")
X(EVENT,        LISTENER|STORE|REPLAY|PARENT, CONTROL,    FD_NONE, proto_blob,        "one event's line")
/* clang-format on */
