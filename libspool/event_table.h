/* SPDX-License-Identifier: ISC */
/*
 * Every event, once: X(number, NAME, "verb", "sentence"). The number is on
 * disk in the ledger: for ever. spoold.8 lists the verbs with their fields.
 * Included several times on purpose (event.h, event.c): no include guard.
 */
/* clang-format off */
X( 1, CONNECT,          "connect",          "a client connected")
X( 2, REFUSED,          "refused",          "a connection, sender, recipient or message was refused")
X( 3, ACCEPTED,         "accepted",         "a message is durable and its 250 goes out")
X( 4, DISCONNECT,       "disconnect",       "a client's session ended")
X( 5, ATTEMPT,          "attempt",          "a session to a target failed before it could deliver")
X( 6, DELIVERED,        "delivered",        "the target took a delivery")
X( 7, DEFERRED,         "deferred",         "the target refused a delivery for now; it is tried again")
X( 8, RETURNED,         "returned",         "the target refused for good; the sender gets a DSN")
X( 9, EXPIRED,          "expired",          "hold-for ran out on a reachable target; the sender gets a DSN")
X(10, DROPPED,          "dropped",          "refused for good and the sender is null: nobody to tell")
X(11, RETRIED,          "retried",          "the operator made a delivery ready now")
X(12, TARGET_DOWN,      "target-down",      "a target cannot be reached; it is probed")
X(13, TARGET_RETURNING, "target-returning", "a probe reached the target; it starts with one message")
X(14, TARGET_UP,        "target-up",        "a target takes mail")
X(15, ROLE_DIED,        "role-died",        "a role ended unexpectedly and is started again")
X(16, STARTED,          "started",          "the daemon is up")
X(17, STOPPED,          "stopped",          "the daemon stopped in order")
X(18, RELOADED,         "reloaded",         "the configuration was read again")
X(19, SPACE_LOW,        "space-low",        "free space is under the reserve: new mail is answered 452")
X(20, SPACE_OK,         "space-ok",         "there is room again")
X(21, PURGED,           "purged",           "the content of a finished message was removed")
X(22, DUE,              "due",              "the time of a deferred delivery came; it is ready again")
/* clang-format on */
